"""Runs one row with both clients and gathers what each left."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from localcluster import tools
from tests.cluster.client_builder import ARCHITECTURES, BIN, HandMadeBuilder, Ran
from tests.cluster.corpus.row import Row
from tests.cluster.equal_contexts import Plot
from tests.engines import Engine

__all__ = ["CLIENTS", "Left", "Peers"]

CLIENTS = ("buildx", "ours")
_EPOCH = "1700000000"
_LIBRARYS = re.compile(r"^[EWI]\d{4} \d\d:\d\d:.*\n?", re.MULTILINE)
"""Lines of the Kubernetes library in docker buildx, which now and then come after its own last one."""
_VARYING = re.compile(
    r"\b[a-z0-9]{25}(::[a-z0-9]{25})?\b|(?<=blobs/sha256:)[0-9a-f]{64}|(?<=:)\d+(?=->)|(?<=DONE )[\d.]+s$|^#\d+(?= )"
)
"""What differs between any two builds: ids of daemon and snapshot, the blob pushed first, a socket's port, a time; and
the number of a step, as ours has none for .dockerignore."""
_KINDS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
_ATTESTED = "vnd.docker.reference.digest"


class Left(NamedTuple):
    """What a command left behind."""

    failed: bool
    out: str
    last: str
    """The last line of standard error, of a failure."""
    tree: dict[str, str]
    """Files of `OUT` and members of its archives: path -> mode and digest."""
    image: Any
    metadata: dict[str, Any]


class Peers:
    """Both clients of one builder with two nodes."""

    def __init__(self, builder: HandMadeBuilder, engine: Callable[[], Engine]) -> None:
        """`engine` starts a Docker Engine; called if a row needs one."""
        self.builder = builder
        self._engine = engine
        self.buildx = str(tools.ensure("buildx"))
        self.environment = {
            **builder.environment,
            "BUILDX_CONFIG": str(builder.folder / "buildx"),
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
            "SOURCE_DATE_EPOCH": _EPOCH,
        }
        option = ("--driver", "kubernetes", "--driver-opt", f"namespace={builder.namespace}")
        self._buildx("create", "--name", "corpus1", *option, "--node", f"builder-{ARCHITECTURES[0]}")
        for number, architecture in enumerate(ARCHITECTURES):
            more = (*(("--append",) if number else ()), "--platform", f"linux/{architecture}")
            self._buildx("create", "--name", "corpus2", *option, "--node", f"builder-{architecture}", *more)
        self.outputs = {}
        for count in (1, 2):
            self.outputs[count] = builder.folder / f"nodes{count}.json"
            self.outputs[count].write_text(builder.output._replace(nodes=builder.output.nodes[:count]).dumps())

    def run(self, row: Row) -> dict[str, tuple[Ran, Left]]:
        """Runs the row with docker buildx, then with ours; one that fails with both at once.

        BuildKit takes five seconds to refuse some of them.
        """
        home = self.builder.folder / row.name
        context = home / "context"
        context.mkdir(parents=True)
        words = {
            "CONTEXT": str(context),
            "REGISTRY": self.builder.registry,
            "BASE": self.builder.base,
            "SALT": uuid.uuid4().hex,
            **({"ENGINE": self._engine().host} if "ENGINE" in row.env.values() else {}),
        }
        self._plant(row, context, words)

        def run(client: str) -> tuple[Ran, Left]:
            out = home / client
            out.mkdir()
            tag = f"{self.builder.registry}/corpus/{row.name}:{client}"
            own = {**words, "OUT": str(out), "TAG": tag, "META": str(home / f"{client}.json")}
            done = self._run(row, client, own)
            return done, self._left(row, done, own)

        with ThreadPoolExecutor(len(CLIENTS) if row.fails else 1) as threads:
            ran = dict(zip(CLIENTS, threads.map(run, CLIENTS), strict=True))
        shutil.rmtree(home)
        return ran

    def _plant(self, row: Row, context: Path, words: dict[str, str]) -> None:
        plot = Plot(context)
        row.plant(plot)
        for name, text in row.files.items():
            plot.file(name, _filled(text, words))
        if row.dockerfile is not None:
            plot.file("Dockerfile", _filled(row.dockerfile, words))

    def _run(self, row: Row, client: str, words: dict[str, str]) -> Ran:
        done = subprocess.run(
            [*self._program(row, client), *(_filled(text, words) for text in row.argv)],
            env={**self.environment, **{key: _filled(value, words) for key, value in row.env.items()}},
            cwd=Path(words["CONTEXT"]).parent,
            input=_filled(row.stdin.decode("latin-1"), words).encode("latin-1"),
            timeout=120,
            capture_output=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def _program(self, row: Row, client: str) -> list[str]:
        if client == "buildx":
            return [self.buildx, "build", "--builder", f"corpus{row.nodes}"]
        return [str(BIN / "buildclient"), "build", "--builder-file", str(self.outputs[row.nodes])]

    def _left(self, row: Row, done: Ran, words: dict[str, str]) -> Left:
        def plain(text: str) -> str:
            for word in ("OUT", "TAG", "META"):
                text = text.replace(words[word], word)
            for pattern in row.masked:
                text = re.sub(pattern, "…", text)
            return _VARYING.sub("ID", text)

        last = plain(done._replace(err=_LIBRARYS.sub("", done.err)).last) if done.status else ""
        tagged = done.status == 0 and any("TAG" in text for text in row.argv)
        find = self._loaded if "ENGINE" in words else self._image
        image = find(words["TAG"]) if tagged else None
        return Left(
            done.status != 0,
            plain(done.out) if row.stdout else "",
            "" if row.unlike else last,
            _tree(Path(words["OUT"])),
            image,
            _metadata(Path(words["META"]), plain),
        )

    def _loaded(self, tag: str) -> Any:
        """The image that the engine has under a tag."""
        image = self._engine().image(tag) or {}
        return {key: image.get(key) for key in ("Id", "Architecture", "Config", "RootFS")}

    def _image(self, tag: str) -> Any:
        """The image under a tag, attestations by their kinds; None if nothing was pushed."""
        repository, _, name = tag.removeprefix(f"{self.builder.registry}/").rpartition(":")
        try:
            return self._manifest(repository, name)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def _manifest(self, repository: str, reference: str) -> Any:
        manifest = json.loads(self._get(f"{repository}/manifests/{reference}"))
        if "manifests" not in manifest:
            manifest["config"] = json.loads(self._get(f"{repository}/blobs/{manifest['config']['digest']}"))
            return manifest
        for one in manifest["manifests"]:
            if _ATTESTED in one.get("annotations", {}):
                # Provenance tells times and ids of its own build.
                proof = json.loads(self._get(f"{repository}/manifests/{one['digest']}"))
                one["statements"] = [layer["annotations"] for layer in proof["layers"]]
                del one["digest"], one["size"]
            else:
                one["manifest"] = self._manifest(repository, one["digest"])
        return manifest

    def _get(self, path: str) -> bytes:
        url = f"http://{self.builder.registry}/v2/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": _KINDS}), timeout=30) as answer:
            return bytes(answer.read())

    def _buildx(self, *arguments: str) -> None:
        done = subprocess.run(
            [self.buildx, *arguments], env=self.environment, timeout=60, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(
        r"CONTEXT|REGISTRY|BASE|SALT|\bENGINE\b|\bOUT\b|\bTAG\b|\bMETA\b",
        lambda found: words.get(found[0], found[0]),
        text,
    )


def _tree(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_dir():
            found[name + "/"] = oct(path.stat().st_mode & 0o7777)
        elif tarfile.is_tarfile(path):
            found.update({f"{name}:{member}": text for member, text in _members(path.read_bytes()).items()})
        else:
            found[name] = f"{path.stat().st_mode & 0o7777:o} {_digest(name, path.read_bytes())}"
    return found


def _members(data: bytes) -> dict[str, str]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            body = _digest(member.name, file.read()) if file else member.linkname
            found[member.name] = f"{member.mode:o} {member.uid}:{member.gid} {body}"
    return found


def _digest(name: str, data: bytes) -> str:
    # Readable where it is small: an index, a list of files.
    return data.decode() if len(data) < 2000 and data.isascii() else hashlib.sha256(data).hexdigest()


def _metadata(path: Path, plain: Any) -> dict[str, Any]:
    if not path.exists():
        return {}
    metadata: dict[str, Any] = json.loads(plain(path.read_text()))
    for key in ("buildx.build.ref", "buildx.build.provenance"):
        if key in metadata:
            metadata[key] = "differs between any two builds"
    return metadata
