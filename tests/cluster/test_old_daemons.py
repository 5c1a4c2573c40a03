"""Older BuildKit daemons serve docker buildx and buildclient alike, or ours says in a line what they lack."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from localcluster import tools
from localcluster.tools.older import VERSIONS, older_buildkitd
from tests.cluster.client_builder import BIN, Ran
from tests.cluster.corpus import ROWS
from tests.cluster.corpus.peers import Peers
from tests.cluster.corpus.row import Row
from tests.cluster.test_corpus import flat
from tests.daemons import Running, buildkitd
from tests.engines import Engine
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.olddaemons]
_REFUSED = re.compile(r"the builder's BuildKit v\S+ has no .*: needs v0\.\d+ or newer \(node \S+\)$")
_ROWS = tuple(row for row in ROWS if row.nodes == 1)


class Plain(NamedTuple):
    """A daemon without a cluster, as `Peers` wants a builder."""

    version: str
    daemon: Running
    folder: Path
    environment: dict[str, str]
    registry: str
    base: str

    def run(self, *arguments: str, **environment: str) -> Ran:
        """Runs `buildclient` with the daemon's address."""
        done = subprocess.run(
            [str(BIN / "buildclient"), arguments[0], "--addr", self.daemon.socket, *arguments[1:]],
            env={**self.environment, **environment}, cwd=self.folder, timeout=120, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def context(self, dockerfile: str) -> str:
        """A context's folder with one file."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        (folder / "Dockerfile").write_text(dockerfile.replace("BASE", self.base))
        (folder / "file").write_text(folder.name)
        return str(folder)


class OldPeers(Peers):
    """Both clients of one daemon at a socket."""

    def __init__(self, plain: Plain, engine: Callable[[], Engine]) -> None:
        self.builder: Any = plain
        self._engine = engine
        self.buildx = str(tools.ensure("buildx"))
        self.environment = {
            **plain.environment,
            "BUILDX_CONFIG": str(plain.folder / "buildx"),
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
            "SOURCE_DATE_EPOCH": "1700000000",
        }
        self._buildx("create", "--name", "old", "--driver", "remote", plain.daemon.socket)

    def _program(self, row: Row, client: str) -> list[str]:
        if client == "buildx":
            return [self.buildx, "build", "--builder", "old"]
        return [str(BIN / "buildclient"), "build", "--addr", self.builder.daemon.socket]


def _daemon(
    version: str, program: Path, cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plain]:
    folder = tmp_path_factory.mktemp(version)
    environment = {**cluster, "HOME": str(folder), "DOCKER_CONFIG": str(folder / "docker")}
    environment.pop("BUILDCLIENT_BUILDER", None)
    with buildkitd(program, folder / "d", environment) as daemon:
        yield Plain(version, daemon, folder, environment, cluster["REGISTRY"], cluster["BASE_IMAGE"])


@pytest.fixture(scope="module", params=VERSIONS)
def old(
    request: pytest.FixtureRequest, cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plain]:
    """A daemon of an older version."""
    yield from _daemon(request.param, older_buildkitd(request.param), cluster, tmp_path_factory)


@pytest.fixture(scope="module")
def newest(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    """A daemon of the version that the cluster has."""
    yield from _daemon("newest", tools.ensure("buildkitd"), cluster, tmp_path_factory)


@pytest.fixture(scope="module")
def peers(old: Plain, docker_engine: Callable[[], Engine]) -> OldPeers:
    """Both clients of it."""
    return OldPeers(old, docker_engine)


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row.name)
def test_both_clients_leave_the_same(peers: OldPeers, row: Row) -> None:
    """What docker buildx does on that daemon; only what the daemon would ignore is refused by ours."""
    (theirs, left_by_buildx), (ours, left_by_us) = peers.run(row).values()
    assert "Traceback" not in ours.err
    if _REFUSED.search(ours.last):
        assert ours.status == 2
        return
    told = f"buildx:\n{theirs.err[-2000:]}\n\nours:\n{ours.err[-2000:]}"
    if "; this frontend is too old, and" in ours.last:
        # Both fail: the frontend in v0.13 has no checks, and the newer one is on Docker Hub.
        assert theirs.status, told
        return
    if row.unlike:
        # Ours is the stricter one, on a daemon that does not know what is asked for.
        assert left_by_us.failed, told
        return
    assert flat(left_by_us._asdict()) == flat(left_by_buildx._asdict()), told


def test_the_version_is_shown(old: Plain) -> None:
    """`inspect` and `ls` read what it reports."""
    assert old.version in old.run("inspect").out
    assert old.version in old.run("ls").out


def test_a_failing_step_is_shown_with_its_lines(old: Plain) -> None:
    """The Dockerfile's line, the step's output, and the daemon's last line."""
    done = old.run("build", old.context("FROM BASE\nRUN echo about to fail; exit 7\n"))
    assert done.status == 1
    assert ">>> RUN echo about to fail; exit 7" in done.err
    assert "about to fail" in done.err
    assert done.last.startswith("ERROR: failed to build: failed to solve: process"), done.err
    assert done.last.endswith("exit code: 7")


def test_an_interrupt_ends_the_step(old: Plain) -> None:
    """The step's process is gone and the status is 130."""
    mark = str(4000 + os.getpid() % 1000)
    with subprocess.Popen(
        [str(BIN / "buildclient"), "build", "--addr", old.daemon.socket, "--progress", "plain",
         old.context(f"FROM BASE\nRUN echo begun; sleep {mark}\n")],
        env=old.environment, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if re.search(r"^#\d+ [\d.]+ begun", line):
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(busy(20)) == 130
    until = time.monotonic() + busy(10)
    while subprocess.run(["pgrep", "-f", f"^sleep {mark}$"], capture_output=True, check=False).returncode == 0:
        assert time.monotonic() < until, "the step goes on"
        time.sleep(0.1)


def test_provenance_and_metadata_are_recorded(old: Plain) -> None:
    """The daemon's record is read after the build."""
    file = old.folder / "metadata.json"
    tag = f"{old.registry}/old-{old.version}:1"
    context = old.context("FROM BASE\nCOPY file /\n")
    done = old.run("build", "--metadata-file", str(file), "-t", tag, "--push", "--provenance", "mode=max", context)
    assert done.status == 0, done.err
    metadata = json.loads(file.read_text())
    assert metadata["containerimage.digest"].startswith("sha256:")
    assert "buildx.build.provenance" in metadata


def test_cache_is_exported_and_imported(old: Plain) -> None:
    """By way of the registry."""
    ref = f"{old.registry}/old-{old.version}-cache:1"
    context = old.context("FROM BASE\nRUN date +%s%N >/t\n")
    done = old.run("build", "--cache-to", f"type=registry,ref={ref},mode=max", context)
    assert done.status == 0, done.err
    done = old.run("build", "--cache-from", f"type=registry,ref={ref}", "--progress", "plain", context)
    assert done.status == 0, done.err
    assert f"importing cache manifest from {ref}" in done.err
    assert "CACHED" in done.err


def test_two_outputs_at_once(old: Plain) -> None:
    """Both are written, each to its place."""
    done = old.run(
        "build",
        "-o",
        "type=local,dest=both",
        "-o",
        "type=oci,dest=both.tar",
        old.context("FROM scratch\nCOPY file /\n"),
    )
    assert done.status == 0, done.err
    assert (old.folder / "both" / "file").exists()
    assert (old.folder / "both.tar").stat().st_size > 1000


def test_a_large_context_is_sent(old: Plain) -> None:
    """Many messages, none larger than the daemon takes."""
    context = Path(old.context("FROM scratch\nCOPY . /\n"))
    (context / "big").write_bytes(os.urandom(40 << 20))
    for number in range(500):
        (context / f"f{number}-é").write_text(str(number))
    done = old.run("build", "-o", "large", str(context))
    assert done.status == 0, done.err
    assert (old.folder / "large" / "big").read_bytes() == (context / "big").read_bytes()
    assert (old.folder / "large" / "f7-é").read_text() == "7"


def test_what_it_lacks_is_said_before_the_build(old: Plain) -> None:
    """In a line; nothing is written."""
    done = old.run("build", "-o", "type=local,dest=gone,mode=delete", old.context("FROM scratch\nCOPY file /\n"))
    line = f"ERROR: the builder's BuildKit {old.version} has no mode=delete of outputs: needs v0.31 or newer"
    assert done.status == 2
    assert done.last.startswith(line), done.err
    assert not (old.folder / "gone").exists()


def test_nodes_of_two_versions_push_one_index(old: Plain, newest: Plain) -> None:
    """All manifests have OCI's media types and attestations of the same kind."""
    tag = f"{old.registry}/mixed-{old.version}:1"
    done = subprocess.run(
        [str(BIN / "buildclient"), "build", "--addr", f"{old.daemon.socket},platform=linux/amd64,name=old",
         "--addr", f"{newest.daemon.socket},platform=linux/arm64,name=new", "--platform", "linux/amd64,linux/arm64",
         "--push", "-t", tag, old.context("FROM scratch\nCOPY file /\n")],
        env={**old.environment, "BUILDCLIENT_INSECURE_REGISTRIES": old.registry}, cwd=old.folder, timeout=120,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peers = OldPeers.__new__(OldPeers)
    peers.builder = old
    index = json.loads(peers._get(f"mixed-{old.version}/manifests/1"))
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    kinds = set()
    for one in index["manifests"]:
        manifest = json.loads(peers._get(f"mixed-{old.version}/manifests/{one['digest']}"))
        kinds.add((one["platform"]["os"] == "unknown", manifest["mediaType"], manifest.get("artifactType")))
    oci = "application/vnd.oci.image.manifest.v1+json"
    assert kinds == {(False, oci, None), (True, oci, None)}
