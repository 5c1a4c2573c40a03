"""What daemons write into stores becomes caches and images once a build has succeeded."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildclient.base.errors import BuildFailed, InvalidBuild
from buildclient.contract.platform import parse_platforms
from buildclient.progress.events import Event, Vertex
from buildclient.request.destinations import ToFolder
from buildclient.request.localcache import LocalExport
from buildclient.request.make import build_request
from buildclient.request.values import NodeResult, Output
from buildclient.results.layoutfolder import LayoutExport
from buildclient.results.localcache import LocalCacheExport
from buildclient.results.storesteps import store_steps
from buildclient.session.call import Code, Status
from tests.load import busy
from tests.unit.content_daemon import ContentDaemon, sha256

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_REF = "org.opencontainers.image.ref.name"


def _ignore(event: Event) -> None:
    return None


def _manifest(layer: bytes) -> bytes:
    layers = [{"mediaType": "layer", "digest": sha256(layer), "size": len(layer)}]
    config = {"mediaType": "config", "digest": sha256(b"{}"), "size": 2}
    return json.dumps({"mediaType": _MANIFEST, "config": config, "layers": layers}).encode()


def _descriptor(data: bytes, kind: str = _MANIFEST, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": sha256(data), "size": len(data), **more}


def _result(**response: str) -> NodeResult:
    return NodeResult("n", "ref", (), response)


def _answer(descriptor: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(descriptor).encode()).decode()


async def _cache(step: LocalCacheExport, layer: bytes, node: int = 0) -> NodeResult:
    """A node's export of one layer."""
    ((store, served),) = step.stores(node).items()
    daemon = ContentDaemon({store: served})
    manifest = _manifest(layer)
    for blob in (layer, b"{}", manifest):
        await _written(daemon, store, blob)
    return _result(**{"cache.manifest": json.dumps(_descriptor(manifest))})


async def _written(daemon: ContentDaemon, store: str, blob: bytes) -> None:
    try:
        await daemon.write(store, blob)
    except Status as status:
        if status.code != Code.ALREADY_EXISTS:
            raise


def _index(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())["manifests"]
    return found


def _blobs(folder: Path) -> set[str]:
    return {f"sha256:{path.name}" for path in folder.glob("blobs/sha256/*")}


async def _done(step: LocalCacheExport | LayoutExport, *results: NodeResult) -> None:
    await step.stage(results)
    await step.commit()
    step.abort()


async def test_a_cache_of_two_nodes_names_both_manifests(tmp_path: Path) -> None:
    """Under one tag, in the nodes' order; what they share is there once."""
    step = LocalCacheExport(LocalExport(str(tmp_path / "c"), "t"), _ignore)
    results = [await _cache(step, layer, node) for node, layer in enumerate((b"one", b"two"))]
    assert not (tmp_path / "c/index.json").exists()
    await _done(step, *results)
    manifests = [_manifest(layer) for layer in (b"one", b"two")]
    assert [one["digest"] for one in _index(tmp_path / "c")] == [sha256(data) for data in manifests]
    assert {one["annotations"][_REF] for one in _index(tmp_path / "c")} == {"t"}
    assert _blobs(tmp_path / "c") == {sha256(data) for data in (b"one", b"two", b"{}", *manifests)}


async def test_each_cache_names_its_own_manifest(tmp_path: Path) -> None:
    """Even if the daemon's one answer is about another cache of the build."""
    one, two = (LocalCacheExport(LocalExport(str(tmp_path / name)), _ignore) for name in "ab")
    await _cache(one, b"one")
    answer = await _cache(two, b"two")
    for step in (one, two):
        await _done(step, answer)
    assert [_index(tmp_path / name)[0]["digest"] for name in "ab"] == [
        sha256(_manifest(layer)) for layer in (b"one", b"two")
    ]


@pytest.mark.parametrize("response", [{}, {"cache.manifest": ""}])
async def test_a_node_without_a_cache_writes_none(tmp_path: Path, response: dict[str, str]) -> None:
    """An export that failed and was to be ignored, or had nothing to export."""
    step = LocalCacheExport(LocalExport(str(tmp_path / "c")), _ignore)
    step.stores(0)
    await _done(step, _result(**response))
    assert not (tmp_path / "c").exists()


async def test_a_failed_build_leaves_the_cache_as_it_was(tmp_path: Path) -> None:
    """Before its end nothing of it is in the layout."""
    step = LocalCacheExport(LocalExport(str(tmp_path)), _ignore)
    await _done(step, await _cache(step, b"old"))
    before = _blobs(tmp_path), _index(tmp_path)
    failed = LocalCacheExport(LocalExport(str(tmp_path)), _ignore)
    await failed.stage([await _cache(failed, b"new")])
    failed.abort()
    assert (_blobs(tmp_path), _index(tmp_path)) == before
    assert not list((tmp_path / "ingest").iterdir())


async def test_reset_deletes_what_the_index_does_not_reach(tmp_path: Path) -> None:
    """Other tags keep theirs; files that are no blobs stay."""
    for tag, layer in (("a", b"kept"), ("b", b"old")):
        step = LocalCacheExport(LocalExport(str(tmp_path), tag), _ignore)
        await _done(step, await _cache(step, layer))
    (tmp_path / "blobs/sha256/README").write_text("mine")
    step = LocalCacheExport(LocalExport(str(tmp_path), "b", reset=True), _ignore)
    await _done(step, await _cache(step, b"new"))
    kept = {sha256(data) for data in (b"kept", b"new", b"{}", _manifest(b"kept"), _manifest(b"new"))}
    assert _blobs(tmp_path) == {*kept, "sha256:README"}


@pytest.mark.parametrize("trouble", ["in use", "broken"])
async def test_a_reset_that_is_not_possible_is_a_failed_step(tmp_path: Path, trouble: str) -> None:
    """While another build writes, or if the index leads nowhere; the cache is written all the same."""
    seen: list[Event] = []
    step = LocalCacheExport(LocalExport(str(tmp_path), reset=True), seen.append)
    result = await _cache(step, b"new")
    if trouble == "broken":
        missing = _descriptor(b"gone", annotations={_REF: "gone"})
        (tmp_path / "index.json").write_text(json.dumps({"manifests": [missing]}))
    (tmp_path / "blobs/sha256").mkdir(parents=True)
    (tmp_path / "blobs/sha256" / ("1" * 64)).write_text("x")
    with (tmp_path / "cache.lock").open() as lock:
        if trouble == "in use":
            fcntl.flock(lock, fcntl.LOCK_SH)
        await _done(step, result)
    errors = [event.error for event in seen if isinstance(event, Vertex) and event.error]
    words = {"in use": "cache store is in use, skipping cleanup", "broken": f"content {sha256(b'gone')}: not found"}
    assert errors == [f"reset of {tmp_path}: {words[trouble]}"]
    assert f"sha256:{'1' * 64}" in _blobs(tmp_path)
    assert sha256(b"new") in _blobs(tmp_path)


async def _image(step: LayoutExport, layer: bytes, node: int = 0, **more: Any) -> NodeResult:
    """A node's image: an index of one manifest."""
    daemon = ContentDaemon(step.stores(node))
    manifest = _manifest(layer)
    platform = {"architecture": ("amd64", "arm64")[node], "os": "linux"}
    index = json.dumps(
        {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [_descriptor(manifest, platform=platform)], **more}
    ).encode()
    for blob in (layer, b"{}", manifest, index):
        await _written(daemon, "export", blob)
    answer = _answer(_descriptor(index, _INDEX, annotations={"created": "now"}))
    return _result(**{"containerimage.descriptor": answer, "image.name": "r.example/a:1,r.example/b:2"})


async def test_an_image_is_added_to_a_layout(tmp_path: Path) -> None:
    """Under each of its names; an image of another name stays."""
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [_descriptor(b"x", annotations={_REF: "x"})]}))
    step = LayoutExport(Output("oci", {"tar": "false"}, ToFolder(str(tmp_path))), 1)
    await _done(step, await _image(step, b"one"))
    names = [one["annotations"].get("io.containerd.image.name") for one in _index(tmp_path)]
    assert names == [None, "r.example/a:1", "r.example/b:2"]
    assert [one["annotations"][_REF] for one in _index(tmp_path)] == ["x", "1", "2"]
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


async def test_images_of_two_nodes_become_one_index(tmp_path: Path) -> None:
    """In the order of the platforms, with the annotations of their indexes; their own indexes are left out."""
    platforms = tuple(parse_platforms(["linux/arm64", "linux/amd64"]))
    step = LayoutExport(Output("oci", {"tar": "false"}, ToFolder(str(tmp_path))), 2, platforms)
    results = [await _image(step, layer, node, annotations={"k": "v"}) for node, layer in enumerate((b"one", b"two"))]
    await _done(step, *results)
    first = _index(tmp_path)[0]
    assert first["annotations"]["created"] == "now"
    merged = json.loads((tmp_path / "blobs" / first["digest"].replace(":", "/")).read_text())
    assert [one["platform"]["architecture"] for one in merged["manifests"]] == ["arm64", "amd64"]
    assert merged["annotations"] == {"k": "v"}
    data = (b"one", b"two", b"{}", _manifest(b"one"), _manifest(b"two"))
    assert _blobs(tmp_path) == {first["digest"], *map(sha256, data)}


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: {},
        lambda _: {"containerimage.descriptor": "%"},
        lambda _: {"containerimage.descriptor": _answer({"digest": "sha256:../../x", "size": 1})},
        lambda result: result.response,
    ],
    ids=["none", "no base64", "no digest", "nothing written"],
)
async def test_an_image_that_did_not_come_is_a_failure(
    tmp_path: Path, answer: Callable[[NodeResult], dict[str, str]]
) -> None:
    """Nothing is left, not even the folder."""
    other = LayoutExport(Output("oci", {"tar": "false"}, ToFolder(str(tmp_path / "other"))), 1)
    result = await _image(other, b"one")
    other.abort()
    step = LayoutExport(Output("oci", {"tar": "false"}, ToFolder(str(tmp_path / "a/b"))), 1)
    step.stores(0)
    with pytest.raises(BuildFailed):
        await step.stage([_result(**answer(result))])
    step.abort()
    assert not list(tmp_path.iterdir())


def test_destinations_that_cannot_be_are_refused_at_once(tmp_path: Path) -> None:
    """In docker buildx's words; nothing is made."""
    (tmp_path / "f").touch()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/index.json").write_text("{")
    cache, image = ("cache_to", "type=local"), ("outputs", "type=oci,tar=false")
    for (field, text), name, words in (
        (cache, "f", f"mkdir {tmp_path}/f: not a directory"),
        (cache, "f/x", f"mkdir {tmp_path}/f: not a directory"),
        (cache, "bad", "could not unmarshal"),
        (image, "f", f"destination directory {tmp_path}/f is a file"),
        (image, "bad", "could not unmarshal"),
    ):
        request = build_request(**{field: [f"{text},dest={tmp_path}/{name}"]})  # type: ignore[arg-type]
        with pytest.raises(InvalidBuild, match=words):
            store_steps(request, 1, _ignore)
    twice = build_request(outputs=[f"type=oci,tar=false,dest={tmp_path}/{name}" for name in "xy"])
    with pytest.raises(InvalidBuild, match='oci store key "export" already exists'):
        store_steps(twice, 1, _ignore)
    assert sorted(os.listdir(tmp_path)) == ["bad", "f"]


async def test_an_abort_ends_the_wait_for_a_folder_s_lock(tmp_path: Path) -> None:
    """While another build resets the folder; an interrupted one does not wait for it."""
    with open(tmp_path / "cache.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        step = LocalCacheExport(LocalExport(str(tmp_path)), _ignore)
        writing = asyncio.ensure_future(_cache(step, b"layer"))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        step.abort()
        assert time.monotonic() - began < busy(2)
        with pytest.raises(Status):
            await writing


async def test_a_folder_whose_lock_was_not_had_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked a second time either, as for the next blob."""
    monkeypatch.setattr("buildclient.results.localcache.LOCK_TIMEOUT", 0.1)
    with open(tmp_path / "cache.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        step = LocalCacheExport(LocalExport(str(tmp_path)), _ignore)
        for _ in range(2):
            with pytest.raises(Status, match="resetting"):
                await _cache(step, b"layer")
        assert not (tmp_path / "ingest").exists()
        fcntl.flock(held, fcntl.LOCK_UN)
        await _done(step, await _cache(step, b"layer"))
    assert len(_blobs(tmp_path)) == 3
