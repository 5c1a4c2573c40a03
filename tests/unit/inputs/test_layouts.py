"""Named contexts and caches in OCI layouts: which manifest is meant, and what is said where there is none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from buildclient.base.digests import parse_digest
from buildclient.base.errors import InvalidBuild
from buildclient.inputs.context import prepare
from buildclient.inputs.layouts import layout_context, local_caches, parse_layout
from buildclient.request.make import build_request
from buildclient.request.solve import CacheEntry

_D = f"sha256:{'d' * 64}"


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Closes what was opened, all of it."""
    before = len(os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as made:
        yield made
    assert len(os.listdir("/proc/self/fd")) == before


def _layout(folder: Path, *tags: str) -> list[str]:
    """A layout with a manifest for each tag; their digests."""
    digests = []
    for number, _ in enumerate(tags):
        data = json.dumps({"number": number}).encode()
        digests.append(f"sha256:{hashlib.sha256(data).hexdigest()}")
        blob = folder / "blobs" / digests[-1].replace(":", "/")
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
    manifests: list[dict[str, Any]] = [
        {"digest": digest, "size": 1, "annotations": {"org.opencontainers.image.ref.name": tag}}
        for digest, tag in zip(digests, tags, strict=True)
    ]
    (folder / "index.json").write_text(json.dumps({"manifests": manifests}))
    return digests


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("oci-layout://d", ("d", "latest", "")),
        ("oci-layout:///a/b:1", ("/a/b", "1", "")),
        ("oci-layout://./d:x.y-z", ("./d", "x.y-z", "")),
        (f"oci-layout://d@{_D}", ("d", "", _D)),
        (f"oci-layout://d:1@{_D}", ("d", "1", _D)),
        ("oci-layout://me@home/d", ("me@home/d", "latest", "")),
        ("oci-layout://a:b/c", ("a", "b/c", "")),
        ("oci-layout://", ("", "latest", "")),
    ],
)
def test_a_layout_s_parts_are_those_of_docker_buildx(text: str, parts: tuple[str, str, str]) -> None:
    """Tag and digest are looked for from the end."""
    assert parse_layout(text) == parts


@given(some.text(alphabet="ab/:@.256sha\udcff\n", max_size=90))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Whatever a path is, there is a tag or a digest."""
    with contextlib.suppress(InvalidBuild):
        _, tag, digest = parse_layout(f"oci-layout://{text}")
        assert tag or digest


def test_a_context_is_found_by_tag_and_as_the_only_one(tmp_path: Path, stack: contextlib.ExitStack) -> None:
    """The daemon gets a digest, and a store whose name tells no path."""
    one, two = _layout(tmp_path, "1", "2")
    found = layout_context(f"oci-layout://{tmp_path}:2", stack)
    assert found.attr == f"oci-layout://{found.store.removeprefix('oci:')}:2@{two}"
    assert str(tmp_path) not in found.attr
    blob = found.blobs.open(parse_digest(one))
    assert blob is not None
    os.close(blob.handle)
    with pytest.raises(InvalidBuild, match=r'reference "oci-layout://.*:3" could not be resolved: failed to resolve'):
        layout_context(f"oci-layout://{tmp_path}:3", stack)
    _layout(tmp_path, "1")
    assert layout_context(f"oci-layout://{tmp_path}", stack).attr.endswith(f":latest@{one}")
    assert layout_context(f"oci-layout://{tmp_path}@{_D}", stack).attr.endswith(f"@{_D}")


def test_every_manifest_of_a_cache_s_tag_is_imported(tmp_path: Path, stack: contextlib.ExitStack) -> None:
    """One for each node that exported it, in order; other entries stay in their places."""
    first, _, third = _layout(tmp_path, "latest", "other", "latest")
    entry = CacheEntry("local", {"src": str(tmp_path)})
    inline = CacheEntry("registry", {"ref": "r"})
    found = local_caches([entry, inline], stack)
    assert [one.attrs.get("digest") for one in found.entries] == [first, third, None]
    assert list(found.stores) == [f"local:{tmp_path}"]
    assert found.skipped == ()


@pytest.mark.parametrize(
    ("attrs", "why"),
    [
        ({"src": "x/y"}, " due to err: could not read x/y/index.json: open x/y/index.json: no such file or directory"),
        ({"tag": "t"}, ": no digest found for tag t"),
        ({"digest": _D}, f": digest {_D} unavailable: content {_D}: not found"),
        ({"digest": "x"}, ": digest x unavailable: invalid checksum digest format"),
    ],
)
def test_a_cache_that_is_not_there_is_skipped(
    tmp_path: Path, stack: contextlib.ExitStack, attrs: dict[str, str], why: str
) -> None:
    """With docker buildx's words; nothing is created."""
    _layout(tmp_path, "latest")
    entry = CacheEntry("local", {"src": str(tmp_path), **attrs})
    found = local_caches([entry], stack)
    assert found.entries == ()
    assert found.stores == {}
    assert found.skipped == (f"local cache import at {entry.attrs['src']} skipped{why}",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "index.json"]


def test_a_build_s_stores_are_those_that_it_names(tmp_path: Path) -> None:
    """A context and a cache; their folders are closed afterwards."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    _layout(tmp_path, "latest")
    request = build_request(
        str(tmp_path),
        build_contexts={"base": f"oci-layout://{tmp_path}"},
        cache_from=[f"type=local,src={tmp_path}", "type=local,src=/nowhere/at/all"],
    )
    before = len(os.listdir("/proc/self/fd"))
    with prepare(request) as prepared:
        names = sorted(name.partition(":")[0] for name in prepared.stores)
        assert names == ["local", "oci"]
        assert len(prepared.cache_from) == 1
        assert len(prepared.skipped) == 1
        assert prepared.attrs["context:base"].startswith("oci-layout://")
        assert prepared.attrs["frontend.caps"] == "moby.buildkit.frontend.contexts+forward"
    assert len(os.listdir("/proc/self/fd")) == before
