"""A docker archive is made of an OCI layout as it comes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import BuildFailed
from buildclient.contract.platform import Platform
from buildclient.results.docker_archive import DockerArchive

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def _layout(*platforms: Platform, attested: bool = False, names: tuple[str, ...] = ("docker.io/library/a:1",)) -> bytes:
    """An archive as BuildKit sends it: blobs first, lists last."""
    blobs: dict[str, bytes] = {}

    def blob(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def text(value: Any) -> dict[str, Any]:
        return blob(json.dumps(value).encode())

    manifests = []
    for one in platforms:
        layers = [blob(f"layer of {one}".encode() * 900), blob(b'{"a file": "that looks like JSON"}')]
        image = text({"config": text({"of": str(one)}), "layers": layers})
        manifests.append({**image, "platform": one.to_json()})
    if attested:
        note = {"vnd.docker.reference.type": "attestation-manifest"}
        manifests.append({**text({"layers": []}), "annotations": note, "platform": {"os": "unknown"}})
    top = manifests[0] if len(manifests) == 1 else text({"manifests": manifests})
    tops = [{**top, "annotations": {"io.containerd.image.name": name}} for name in names] or [top]
    blobs["index.json"] = json.dumps({"manifests": tops}).encode()
    blobs["oci-layout"] = b"{}"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        folder = tarfile.TarInfo("blobs/sha256/")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in blobs.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _converted(layout: bytes, platform: Platform | None, cuts: list[int]) -> dict[str, bytes]:
    archive, out = DockerArchive(platform), b""
    places = [0, *sorted(cuts), len(layout)]
    for start, end in pairwise(places):
        out += b"".join(archive.feed([layout[start:end]]))
    out += b"".join(archive.end())
    with tarfile.open(fileobj=io.BytesIO(out), mode="r:") as tar:
        members = [member for member in tar if member.isfile()]
        return {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]


@given(st.lists(st.integers(0, 20_000), max_size=8), st.sampled_from([AMD64, ARM64]), st.booleans())
def test_the_engine_s_platform_is_listed(cuts: list[int], platform: Platform, attested: bool) -> None:
    """Whatever pieces the layout comes in; blobs stay as they are."""
    layout = _layout(AMD64, ARM64, attested=attested)
    files = _converted(layout, platform, [min(cut, len(layout)) for cut in cuts])
    (image,) = json.loads(files["manifest.json"])
    assert json.loads(files[image["Config"]]) == {"of": str(platform)}
    assert files[image["Layers"][0]] == f"layer of {platform}".encode() * 900
    assert image["RepoTags"] == ["a:1"]
    assert not {"index.json", "oci-layout"} & set(files)


def test_the_only_image_needs_no_platform() -> None:
    """With or without attestations beside it; its names are those of docker archives."""
    names = ("docker.io/library/a:1", "docker.io/me/a:1", "b.example/library/a:2")
    for layout in (_layout(ARM64, names=names), _layout(ARM64, attested=True, names=names)):
        (image,) = json.loads(_converted(layout, None, [])["manifest.json"])
        assert image["RepoTags"] == ["a:1", "me/a:1", "b.example/library/a:2"]
    assert json.loads(_converted(_layout(ARM64, names=()), None, [])["manifest.json"])[0]["RepoTags"] is None


@pytest.mark.parametrize(
    ("layout", "platform", "why"),
    [
        (_layout(AMD64, ARM64), Platform("linux", "s390x"), "no image for linux/s390x"),
        (_layout(AMD64, ARM64), None, "no image for one platform"),
        (b"", None, "no OCI layout"),
        (b"x" * 512, None, "cannot be read"),
        (_layout(AMD64)[:1024], None, "no OCI layout"),
    ],
)
def test_a_layout_without_the_image_is_refused(layout: bytes, platform: Platform | None, why: str) -> None:
    """Nothing that an engine would take for an image comes out."""
    archive = DockerArchive(platform)
    with pytest.raises(BuildFailed, match=why):
        [*archive.feed([layout]), *archive.end()]


def test_an_entry_with_a_negative_size_ends_the_archive() -> None:
    """It would hold back all that follows."""
    member = tarfile.TarInfo("blobs/sha256/a")
    member.size = -512
    with pytest.raises(BuildFailed, match="negative size"):
        list(DockerArchive(None).feed([member.tobuf(tarfile.GNU_FORMAT)]))


def test_entries_that_may_be_manifests_have_a_bound() -> None:
    """Each is kept; empty ones are not."""
    archive = DockerArchive(None)

    def header(number: int, size: int) -> bytes:
        member = tarfile.TarInfo(f"blobs/sha256/{number}")
        member.size = size
        return member.tobuf(tarfile.USTAR_FORMAT) + (b"{".ljust(512, b"\0") if size else b"")

    list(archive.feed([header(number, 0) for number in range(20_000)]))
    with pytest.raises(BuildFailed, match="too many manifests"):
        list(archive.feed([header(number, 1) for number in range(20_000)]))
