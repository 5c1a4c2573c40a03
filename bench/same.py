"""Whether both clients made the same thing; a time means nothing otherwise.

Of a context: the daemon's own listing of what it received, beside the folder's. Of an output: its files, by digest. Of
a pushed image: its platforms, their steps and, where all was cached, their layers.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.measure import BenchError

__all__ = ["LISTING", "differing", "folder_listing", "image", "layout_archive", "listing_sum"]

LISTING = """FROM BASE AS listed
COPY . /src/
RUN cd /src && find . -type f | sort | xargs sha256sum | sha256sum >/sum
FROM scratch
COPY --from=listed /sum /
"""
"""A Dockerfile whose result is the sum of what a daemon got as context; BASE is filled in."""
_ACCEPTED = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"


def folder_listing(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its path there, with its SHA-256; links and folders by their kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = os.fspath(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_file():
            with open(path, "rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        elif path.is_dir():
            found[name] = "folder"
    return found


def listing_sum(folder: Path) -> str:
    """What LISTING writes of a context that is this folder: the sum of the lines of `sha256sum`, sorted by name."""
    files = {f"./{name}": kind for name, kind in folder_listing(folder).items() if len(kind) == 64}
    lines = (f"{files[name]}  {name}\n" for name in sorted(files, key=os.fsencode))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def layout_archive(archive: Path) -> dict[str, str]:
    """The layers of every image in an archive of an OCI layout, by platform."""
    with tarfile.open(archive) as opened:

        def blob(digest: str) -> Any:
            member = opened.extractfile(f"blobs/{digest.replace(':', '/')}")
            assert member
            return json.load(member)

        index = opened.extractfile("index.json")
        assert index
        return _images(json.load(index), blob)


def image(registry: str, repository: str, tag: str, *, layers: bool) -> dict[str, str]:
    """What an image in a plain HTTP registry is: by platform its layers, or the steps where these may differ."""

    def get(kind: str, reference: str) -> Any:
        url = f"http://{registry}/v2/{repository}/{kind}/{reference}"
        request = urllib.request.Request(url, headers={"Accept": _ACCEPTED})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    root = get("manifests", tag)
    kinds = {entry["digest"]: "manifests" for entry in root.get("manifests", [])}
    return _images(root, lambda digest: get(kinds.get(digest, "blobs"), digest), layers=layers)


def _images(root: Mapping[str, Any], blob: Any, *, layers: bool = True) -> dict[str, str]:
    if "manifests" not in root:
        config = blob(root["config"]["digest"])
        platform = f"{config['os']}/{config['architecture']}"
        made = [layer["digest"] for layer in root["layers"]]
        steps = [entry.get("created_by", "") for entry in config.get("history", [])]
        return {platform: " ".join(made if layers else steps)}
    found: dict[str, str] = {}
    for entry in root["manifests"]:
        found.update(_images(blob(entry["digest"]), blob, layers=layers))
    return found


def differing(what: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> None:
    """Raises BenchError, naming the first difference, unless both are the same and not empty."""
    if not ours and not theirs:
        raise BenchError(f"{what}: there is nothing to compare")
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            raise BenchError(
                f"{what}: the clients did not make the same: {name} is {ours.get(name, 'missing')} of ours, "
                f"{theirs.get(name, 'missing')} of docker buildx's"
            )
