"""Archives of several nodes become one, the same whichever node sent what."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from buildclient.base.errors import BuildFailed
from buildclient.contract.platform import parse_platform
from buildclient.request.destinations import ToFile
from buildclient.request.values import Output
from buildclient.results.archive import merge_oci, merge_tars
from buildclient.results.exports import Exports
from tests.unit.node_archives import Image, blob, layout, put, send_archive, tar_files, tar_of

_PLATFORMS = ["linux/amd64", "linux/arm64", "linux/s390x", "linux/386", "linux/ppc64le"]
_WANTED = [parse_platform(platform) for platform in _PLATFORMS]


def _merged(merge: Callable[..., None], parts: Sequence[bytes], *more: Any) -> bytes:
    out = io.BytesIO()
    files: list[BinaryIO] = [io.BytesIO(part) for part in parts]
    merge(files, out, *more)
    return out.getvalue()


@some.composite
def _images(draw: some.DrawFn) -> list[list[Image]]:
    """Images of some platforms, in the order asked for, on up to three nodes."""
    platforms = [p for p in _PLATFORMS if draw(some.booleans())] or _PLATFORMS[:1]
    layers = some.lists(some.sampled_from([b"shared", b"a", b"b" * 2000, b""]), max_size=3)
    nodes: list[list[Image]] = [[], [], []]
    for platform in platforms:
        nodes[draw(some.integers(0, 2))].append(Image(platform, draw(layers), attested=draw(some.booleans())))
    return [node for node in nodes if node]


@settings(max_examples=80, deadline=None)
@given(nodes=_images(), names=some.lists(some.sampled_from(["r/a:1", "r/b:1"]), unique=True), twice=some.booleans())
def test_any_split_over_nodes_gives_the_archive_of_one_node(
    nodes: list[list[Image]], names: list[str], twice: bool
) -> None:
    """The same files in the same order: manifests, attestations, shared layers once, every name, annotations."""
    annotations = {"org.example.a": "<1>"}
    ordered = sorted((image for node in nodes for image in node), key=lambda image: _PLATFORMS.index(image.platform))
    whole = _merged(merge_oci, [layout(ordered, names, annotations)], _WANTED)
    parts = [layout(node, names, annotations) for node in nodes]
    # A platform that two nodes sent is one.
    merged = _merged(merge_oci, [*parts, *parts[:1]] if twice else parts, _WANTED)
    assert merged == whole
    found = tar_files(merged)
    if len(ordered) > 1:
        assert list(found) == sorted(found)
    index = json.loads(found["index.json"])
    assert [top.get("annotations", {}).get("io.containerd.image.name") for top in index["manifests"]] == (
        names or [None]
    )
    manifests = json.loads(found["blobs/" + index["manifests"][0]["digest"].replace(":", "/")])
    assert manifests["annotations"] == annotations
    images = [one for one in manifests["manifests"] if one["platform"]["os"] != "unknown"]
    assert [f"{one['platform']['os']}/{one['platform']['architecture']}" for one in images] == [
        image.platform for image in ordered
    ]
    assert {one["digest"] for one in manifests["manifests"]} == {
        entry["digest"] for image in ordered for entry in (image.entry, image.proof) if entry
    }
    expected = {name for image in ordered for name in image.blobs}
    assert {name for name in found if name.count("/") == 2} - expected == {
        "blobs/" + index["manifests"][0]["digest"].replace(":", "/")
    }


def test_the_archive_of_one_node_stays_as_it_is() -> None:
    """Entry for entry as BuildKit writes it, so that what reads the one reads the other."""
    one = layout([Image("linux/amd64", attested=True), Image("linux/arm64", attested=True)], ["r/a:1"])
    assert list(tar_files(_merged(merge_oci, [one], _WANTED)).items()) == [
        (name.rstrip("/"), data) for name, data in tar_files(one).items()
    ]


def test_an_image_without_an_index_gets_its_platform_from_its_config() -> None:
    """As a node may send it that exports one platform."""
    image = Image("linux/arm64")
    index = {"schemaVersion": 2, "manifests": [{k: image.entry[k] for k in ("mediaType", "digest", "size")}]}
    single = tar_of({**image.blobs, "index.json": json.dumps(index).encode()})
    both = _merged(merge_oci, [layout([Image("linux/amd64")]), single], _WANTED)
    assert both == _merged(merge_oci, [layout([Image("linux/amd64"), image])], _WANTED)


@settings(max_examples=60, deadline=None)
@given(
    folders=some.dictionaries(
        some.sampled_from(["linux_386", "linux_amd64", "linux_arm64", "linux_arm_v7"]),
        some.dictionaries(some.sampled_from(["a", "b/c", "n" * 150, "é"]), some.binary(max_size=1500), max_size=3),
        min_size=1,
    ),
    second=some.sets(some.sampled_from(["linux_386", "linux_arm64"])),
)
def test_any_split_of_folders_over_nodes_gives_the_tar_of_one_node(
    folders: dict[str, dict[str, bytes]], second: set[str]
) -> None:
    """To the byte: entries sorted by folder, each as its node sent it, one end."""

    def tar(names: Sequence[str]) -> bytes:
        files: dict[str, bytes] = {}
        for folder in names:
            files[f"{folder}/"] = b""
            files |= {f"{folder}/{name}": data for name, data in sorted(folders[folder].items())}
        return tar_of(files)

    parts = [sorted(set(folders) - second), sorted(set(folders) & second)]
    merged = _merged(merge_tars, [tar(names) for names in parts])
    assert merged == _merged(merge_tars, [tar(sorted(folders))])
    assert merged.rstrip(b"\0") == tar(sorted(folders)).rstrip(b"\0")


async def test_tars_of_two_nodes_reach_their_file(tmp_path: Path) -> None:
    """Nothing else is beside it."""
    dest = tmp_path / "out.tar"
    exports = Exports([Output("tar", {}, ToFile(str(dest)))], 2)
    await send_archive(exports, 1, tar_of({"linux_amd64/f": b"1" * 1000, "linux_amd64/g": b""}))
    await send_archive(exports, 0, tar_of({"linux_arm64/f": b"2"}))
    await put(exports)
    assert list(tar_files(dest.read_bytes())) == ["linux_amd64/f", "linux_amd64/g", "linux_arm64/f"]
    assert os.listdir(tmp_path) == ["out.tar"]


def test_two_nodes_must_not_send_the_same_folder_for_a_tar() -> None:
    """Which of the two files is unpacked last would be a matter of luck."""
    with pytest.raises(BuildFailed, match="two nodes sent bin for one tar"):
        _merged(merge_tars, [tar_of({"bin/a": b"1"}), tar_of({"bin/b": b"2"})])


async def test_something_that_is_no_tar_from_a_node_fails_the_build(tmp_path: Path) -> None:
    """One line, and no destination."""
    dest = tmp_path / "out.tar"
    for type_ in ("tar", "oci"):
        exports = Exports([Output(type_, {}, ToFile(str(dest)))], 2)
        await send_archive(exports, 0, tar_of({"a": b"1"}))
        await send_archive(exports, 1, b"no tar at all" * 100)
        with pytest.raises(BuildFailed, match="a node sent an archive"):
            await put(exports)
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("index", [b"[]", b"{}", b'{"manifests": []}', b'{"manifests": [{}]}', b'{"manifests": 1}'])
async def test_a_layout_that_lies_fails_the_build(tmp_path: Path, index: bytes) -> None:
    """One line; a hostile daemon is no fault of ours."""
    exports = Exports([Output("oci", {}, ToFile(str(tmp_path / "out.tar")))], 2)
    for node in range(2):
        await send_archive(exports, node, tar_of({"index.json": index}))
    with pytest.raises(BuildFailed, match="no OCI layout"):
        await put(exports)
    assert os.listdir(tmp_path) == []


def test_a_blob_that_is_missing_or_other_than_its_digest_fails_the_build() -> None:
    """Of two nodes with one layer, the one that lies about it must not give the other's image its content."""
    honest = Image("linux/amd64", [b"shared"])
    name = next(name for name, data in honest.blobs.items() if data == b"shared")
    for change, words in ((b"evil!!", "has other content"), (b"longer", "has other content"), (None, "no blob")):
        bad = Image("linux/arm64", [b"shared"])
        if change is None:
            del bad.blobs[name]
        else:
            bad.blobs[name] = change
        with pytest.raises(BuildFailed, match=words):
            _merged(merge_oci, [layout([bad]), layout([honest])], _WANTED)
    resized = Image("linux/arm64", [b"shared"])
    resized.blobs[name] = b"other size"
    with pytest.raises(BuildFailed, match="another size"):
        _merged(merge_oci, [layout([resized]), layout([honest])], _WANTED)


def test_indexes_that_lead_to_each_other_end() -> None:
    """Each blob is read once, however often it is listed."""
    image = Image("linux/amd64")
    many = [image.entry] * 2000
    index = json.dumps({"schemaVersion": 2, "manifests": many}).encode()
    blobs = dict(image.blobs)
    top = blob(blobs, "application/vnd.oci.image.index.v1+json", index)
    whole = tar_of({**blobs, "index.json": json.dumps({"manifests": [top]}).encode()})
    assert _merged(merge_oci, [whole, whole], _WANTED) == _merged(merge_oci, [layout([image])], _WANTED)


def test_a_folder_s_name_has_a_bound() -> None:
    """The names of all folders are kept."""
    with pytest.raises(BuildFailed, match="a name of 100000 bytes"):
        merge_tars([io.BytesIO(tar_of({"n" * 100_000: b""}))], io.BytesIO())
