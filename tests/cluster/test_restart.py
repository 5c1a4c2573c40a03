"""Results of a build whose connection is cut while they come: whole in the end, or not there.

`--timeout` besides: it holds over all tries, and ends a push that is never answered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.relay import Relay
from localcluster import tools
from tests.cluster.client_builder import BIN, Ran
from tests.daemons import buildkitd
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_SIZE = 2 << 20
_CUTS = 2
"""Broken connections, each somewhere else."""


class Place(NamedTuple):
    """A daemon behind a relay, and a context whose result is mostly one file of random bytes."""

    folder: Path
    relay: Relay

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begins `buildclient build` of the context."""
        address = f"tcp://127.0.0.1:{self.relay.port}"
        return subprocess.Popen(
            [str(BIN / "buildclient"), "build", "--addr", address, *arguments, str(self.folder / "context")],
            env={**os.environ, "HOME": str(self.folder), "BUILDKIT_PROGRESS": "plain"},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Ran:
        """Ends it."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=busy(60))
        return Ran(process.returncode, out, err)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for all tests."""
    folder = tmp_path_factory.mktemp("restart")
    (folder / "context").mkdir()
    (folder / "context/Dockerfile").write_text("FROM scratch\nCOPY busybox /bin/\nCOPY file /dir/\nCOPY file /other\n")
    (folder / "context/file").write_bytes(random.Random(1).randbytes(_SIZE))
    shutil.copy(tools.ensure("busybox"), folder / "context/busybox")
    environment = {"PATH": os.environ["PATH"], "REGISTRY": "127.0.0.1:1"}
    with buildkitd(tools.ensure("buildkitd"), folder / "daemon", environment) as daemon:
        relay = Relay("127.0.0.1", daemon.port)
        try:
            made = Place(folder, relay)
            # What is measured and cut afterwards is the result alone.
            assert made.run().status == 0
            yield made
        finally:
            relay.close()


def _tree(folder: Path) -> dict[str, str]:
    """Every file of a folder, with the hash of what it holds."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _archive(path: Path) -> dict[str, str]:
    """As above, of an archive that must be whole."""
    with tarfile.open(path) as found:
        files = [one for one in found if one.isfile()]
        return {one.name: hashlib.sha256(found.extractfile(one).read()).hexdigest() for one in files}  # type: ignore[union-attr]


def _layout(folder: Path) -> dict[str, str]:
    """The blobs that are reached from a layout's index, each of them whole; nothing else may lie there."""
    todo = [descriptor["digest"] for descriptor in json.loads((folder / "index.json").read_bytes())["manifests"]]
    found: dict[str, str] = {}
    while todo:
        digest = todo.pop()
        data = (folder / "blobs" / digest.replace(":", "/")).read_bytes()
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
        found[digest] = digest
        manifest = json.loads(data) if b'"schemaVersion"' in data[:100] else {}
        below = [*manifest.get("layers", ()), *manifest.get("manifests", ()), manifest.get("config")]
        todo += [one["digest"] for one in below if one]
    assert {path.name for path in (folder / "blobs/sha256").iterdir()} == {one.partition(":")[2] for one in found}
    assert not (folder / "ingest").exists() or not any((folder / "ingest").iterdir())
    return found


_KINDS = {
    "folder": ("-o type=local,dest={}", _tree),
    "tar": ("-o type=tar,dest={}", _archive),
    "archive": ("-o type=oci,dest={},rewrite-timestamp=true", _archive),
    "layout": ("-o type=oci,dest={},tar=false,rewrite-timestamp=true", _layout),
    "cache": ("--cache-to type=local,dest={},mode=max", _layout),
}


def test_results_that_break_off_come_whole_from_the_next_try(place: Place) -> None:
    """All kinds of one build, cut at random bytes on their way to the client: as without, and nothing beside them."""

    def build(name: str) -> tuple[Ran, dict[str, dict[str, str]]]:
        (place.folder / name).mkdir()
        flags = [word for kind, (text, _) in _KINDS.items() for word in text.format(f"{name}/{kind}").split()]
        done = place.run("--provenance=false", "--build-arg", "SOURCE_DATE_EPOCH=1", *flags)
        assert done.status == 0, done.err
        assert {path.name for path in (place.folder / name).iterdir()} == set(_KINDS)
        return done, {kind: read(place.folder / name / kind) for kind, (_, read) in _KINDS.items()}

    before = place.relay.passed["down"]
    _, whole = build("whole")
    size = place.relay.passed["down"] - before
    assert size > _SIZE * len(_KINDS) / 2
    chance, taken_up = random.Random(17), 0
    for number in range(_CUTS):
        place.relay.cut("down", chance.randrange(size // 20, size))
        done, found = build(f"cut-{number}")
        assert found == whole
        taken_up += "try 2 of 3" in done.err
    assert taken_up, "no cut hit a build"


@pytest.fixture
def mute() -> Iterator[str]:
    """A registry that reads whatever comes, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def read(one: socket.socket) -> None:
            with one, contextlib.suppress(OSError):
                while one.recv(1 << 16):
                    pass

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=read, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_the_time_limit_ends_a_push_that_is_never_answered(place: Place, mute: str) -> None:
    """One line with the limit, status 130, no metadata; and the daemon is asked to end the solve."""
    begun = time.monotonic()
    output = f"type=image,name={mute}/app:1,push=true,registry.insecure=true"
    done = place.run("--timeout=3s", "--output", output, "--metadata-file", "push.json")
    assert 3 <= time.monotonic() - begun < busy(6)
    errors = [line for line in done.err.splitlines() if line.startswith("ERROR")]
    assert (done.status, errors) == (
        130,
        ["ERROR: failed to build: the build did not end within 3 s, its time limit"],
    )
    assert not (place.folder / "push.json").exists()


def test_the_time_limit_holds_over_all_tries(place: Place) -> None:
    """However often it may be taken up again: every try is cut here, and the first pauses alone are longer."""
    over = threading.Event()

    def cut() -> None:
        while not over.wait(0.3):
            place.relay.reset_all()

    cutting, limit = threading.Thread(target=cut), round(busy(5))
    begun = time.monotonic()
    with place.start(f"--timeout={limit}s", "--retries=100", "-o", "type=oci,dest=limited") as process:
        cutting.start()
        try:
            err = process.communicate(timeout=busy(30))[1]
        finally:
            over.set()
            cutting.join()
    assert limit <= time.monotonic() - begun < limit + busy(3)
    assert "try 2 of 101" in err
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == f"ERROR: failed to build: the build did not end within {limit} s, its time limit"
    assert not [path for path in place.folder.iterdir() if "limited" in path.name]
