"""Local caches and layouts between this client and docker buildx: what one writes the other reads."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import tools
from tests.cluster.client_builder import HandMadeBuilder, hand_made

pytestmark = pytest.mark.cluster

_ONE = ("--platform", "linux/amd64")
_BOTH = ("--platform", "linux/amd64,linux/arm64")
_STEPS = """FROM BASE AS make
ARG SALT
RUN echo $SALT > /made
FROM scratch
COPY --from=make /made /
"""


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """A builder of two nodes, ready; docker buildx knows the first as `peer`."""
    with hand_made(cluster, tmp_path_factory.mktemp("layouts"), "layouts") as one:
        one.environment["BUILDX_CONFIG"] = str(one.folder / "buildx")
        node = ("--node", "builder-amd64", "--driver-opt", f"namespace={one.namespace}")
        _buildx(one, "create", "--name", "peer", "--driver", "kubernetes", *node)
        yield one


def _buildx(builder: HandMadeBuilder, *arguments: str) -> str:
    done = subprocess.run(
        [str(tools.ensure("buildx")), *arguments],
        env=builder.environment,
        cwd=builder.folder,
        capture_output=True,
        timeout=120,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


def _build(builder: HandMadeBuilder, client: str, *arguments: str) -> str:
    """Standard error of a build by `ours` or `buildx`."""
    if client == "buildx":
        return _buildx(builder, "build", "--builder", "peer", "--progress=plain", *arguments)
    done = builder.run("build", "--progress=plain", *arguments)
    assert done.status == 0, done.err[-2000:]
    return done.err


def _forget(builder: HandMadeBuilder) -> None:
    """Empties the caches of both daemons."""
    for architecture in ("amd64", "arm64"):
        (pod,) = builder.pods(architecture)
        builder.kubectl("exec", pod, "--", "buildctl", "prune", "--all")


@pytest.mark.parametrize(("writer", "reader"), [("ours", "buildx"), ("buildx", "ours")])
def test_a_cache_of_one_client_serves_the_other(builder: HandMadeBuilder, writer: str, reader: str) -> None:
    """The step that ran is CACHED on a daemon that never ran it."""
    context = builder.context(f"by-{writer}", _STEPS)
    flags = ("--build-arg", f"SALT={uuid.uuid4().hex}", *_ONE, context)
    _build(builder, writer, "--cache-to", f"type=local,dest=cache-{writer},mode=max", *flags)
    _forget(builder)
    said = _build(builder, reader, "--cache-from", f"type=local,src=cache-{writer}", "-o", f"by-{reader}", *flags)
    assert "importing cache manifest from local:" in said
    assert said.count("CACHED") == 2, said
    assert len((builder.folder / f"by-{reader}/made").read_text()) == 33


def test_a_cache_of_two_nodes_serves_both(builder: HandMadeBuilder) -> None:
    """One folder and one tag hold what both need."""
    context = builder.context("both", _STEPS)
    flags = ("--build-arg", f"SALT={uuid.uuid4().hex}", *_BOTH, context)
    _build(builder, "ours", "--cache-to", "type=local,dest=both,mode=max", *flags)
    assert len(json.loads((builder.folder / "both/index.json").read_text())["manifests"]) == 2
    _forget(builder)
    # Both nodes have two steps to reuse.
    said = _build(builder, "ours", "--cache-from", "type=local,src=both", "-o", "type=local,dest=out", *flags)
    assert said.count("CACHED") == 4, said


def test_a_layout_of_two_nodes_is_a_context_of_both(builder: HandMadeBuilder) -> None:
    """An image goes into a folder and comes back from it, by tag and by digest, for docker buildx as well."""
    made = builder.context("made", "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", amd64="amd", arm64="arm")
    _build(builder, "ours", "-o", "type=oci,tar=false,dest=lay", "-t", "r.example/app:1", *_BOTH, made)
    (top,) = json.loads((builder.folder / "lay/index.json").read_text())["manifests"]
    assert top["annotations"]["io.containerd.image.name"] == "r.example/app:1"
    index = json.loads((builder.folder / "lay/blobs" / top["digest"].replace(":", "/")).read_text())
    assert [one["platform"]["architecture"] for one in index["manifests"]][:2] == ["amd64", "arm64"]
    uses = builder.context("uses", "FROM scratch\nCOPY --from=lay /arch /\n")
    for number, reference in enumerate(("lay:1", f"lay@{top['digest']}")):
        out = f"used{number}"
        _build(builder, "ours", "--build-context", f"lay=oci-layout://{reference}", "-o", out, *_BOTH, uses)
        found = {path.parent.name: path.read_text() for path in (builder.folder / out).glob("*/arch")}
        assert found == {"linux_amd64": "amd", "linux_arm64": "arm"}
    _build(builder, "buildx", "--build-context", "lay=oci-layout://lay:1", "-o", "theirs", *_ONE, uses)
    assert (builder.folder / "theirs/arch").read_text() == "amd"


def test_a_build_that_fails_leaves_the_layout(builder: HandMadeBuilder) -> None:
    """One node's failure takes what the other wrote."""
    context = builder.context("fails", "FROM BASE\nARG TARGETARCH\nRUN sleep 1; [ $TARGETARCH = amd64 ]\n")
    done = builder.run("build", "-o", "type=oci,tar=false,dest=never", *_BOTH, context)
    assert done.status == 1, done.err
    assert not Path(builder.folder / "never").exists()
