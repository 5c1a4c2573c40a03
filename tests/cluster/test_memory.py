"""What a build of 2 GB takes of the client's memory: less than 150 MB, whichever way the bytes go. `make memory`.

All content is zeros, written as holes where that is possible: cheap to make, and the same bytes on every wire.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cluster.client_builder import BIN, HandMadeBuilder, hand_made

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.memory, pytest.mark.timeout(900)]

LIMIT = 150 << 20
"""Bytes."""
SIZE = 2 << 30
"""Bytes of a context or a result; two nodes send half of it each."""
_FREE = 8 << 30
_ONE, _TWO = ("linux/amd64",), ("linux/amd64", "linux/arm64")
_PLATFORM = ("--platform", "linux/amd64")
_PLAIN = "compression=uncompressed,force-compression=true"


class Spent(NamedTuple):
    """What a command took."""

    status: int
    most: int
    """Bytes of memory that the process held at most."""
    err: str


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """A builder of two nodes; afterwards nothing of this size is left on the disk."""
    folder = tmp_path_factory.mktemp("memory")
    if shutil.disk_usage(folder).free < _FREE:
        pytest.skip(f"{folder} has less than {_FREE >> 30} GiB free")
    try:
        with hand_made(cluster, folder, "memory") as one:
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def spent(builder: HandMadeBuilder, *arguments: str) -> Spent:
    """Runs `buildclient build` and measures it."""
    err = builder.folder / "stderr"
    with open(err, "wb") as file:
        command = [str(BIN / "buildclient"), "build", "--progress=plain", *arguments]
        process = subprocess.Popen(
            command, env=builder.environment, cwd=builder.folder, stdout=subprocess.DEVNULL, stderr=file
        )
        _, status, usage = os.wait4(process.pid, 0)
    most = usage.ru_maxrss << 10
    print(f"{most / 1e6:.0f} MB: buildclient build {' '.join(arguments[:-1])}")
    return Spent(os.waitstatus_to_exitcode(status), most, err.read_text())


def _check(done: Spent) -> None:
    assert done.status == 0, done.err[-2000:]
    assert done.most < LIMIT, f"{done.most / 1e6:.0f} MB"


_RESULTS = {
    "tar": ("type=tar,dest=big.tar", _ONE),
    "folder": ("type=local,dest=big", _ONE),
    "oci": (f"type=oci,dest=big.tar,{_PLAIN}", _ONE),
    "docker": (f"type=docker,dest=big.tar,{_PLAIN}", _ONE),
    "merged tar": ("type=tar,dest=big.tar", _TWO),
    "merged folder": ("type=local,dest=big", _TWO),
    "merged oci": (f"type=oci,dest=big.tar,{_PLAIN}", _TWO),
    "merged stdout": (f"type=oci,dest=-,{_PLAIN}", _TWO),
}


@pytest.mark.parametrize("case", _RESULTS)
def test_a_result_is_not_held_in_memory(builder: HandMadeBuilder, case: str) -> None:
    """An archive, a folder, and both merged of two nodes; half of one node's layer differs from the other's."""
    output, platforms = _RESULTS[case]
    lines = ("FROM BASE AS make", "ARG TARGETARCH", "ARG MB", "RUN echo $TARGETARCH > /big && truncate -s ${MB}M /big")
    context = builder.context("result", "\n".join((*lines, "FROM scratch", "COPY --from=make /big /d/big")))
    megabytes = (SIZE >> 20) // len(platforms)
    try:
        flags = ("--platform", ",".join(platforms), "--build-arg", f"MB={megabytes}", "--provenance=false")
        _check(spent(builder, *flags, "-o", output, context))
        place = builder.folder / "big.tar"
        if "stdout" not in case:
            sent = place.stat().st_size if place.exists() else _tree_size(builder.folder / "big")
            assert sent >= SIZE
    finally:
        (builder.folder / "big.tar").unlink(missing_ok=True)
        shutil.rmtree(builder.folder / "big", ignore_errors=True)


@pytest.mark.parametrize("platforms", [_ONE, _TWO], ids=["one", "two"])
def test_a_context_is_not_held_in_memory(builder: HandMadeBuilder, platforms: tuple[str, ...]) -> None:
    """One large file, to one node and to two at once."""
    context = Path(builder.context("large", "FROM scratch\nCOPY Dockerfile big /\n"))
    with open(context / "big", "wb") as file:
        file.truncate(SIZE)
    try:
        _check(spent(builder, "--platform", ",".join(platforms), "-o", "type=cacheonly", str(context)))
    finally:
        (context / "big").unlink()


@pytest.mark.parametrize("way", ["cache", "layout"])
def test_a_folder_of_blobs_is_not_held_in_memory(builder: HandMadeBuilder, way: str) -> None:
    """A local cache, written and read by a daemon that has forgotten it; and an image as a folder."""
    context = builder.context(
        "blobs", "FROM BASE AS make\nRUN truncate -s 2G /big\nFROM scratch\nCOPY --from=make /big /\n"
    )
    try:
        if way == "layout":
            _check(spent(builder, *_PLATFORM, "-o", f"type=oci,tar=false,dest=blobs,{_PLAIN}", context))
            assert _tree_size(builder.folder / "blobs") >= SIZE
            return
        _check(spent(builder, *_PLATFORM, "--cache-to", f"type=local,dest=blobs,{_PLAIN}", context))
        assert _tree_size(builder.folder / "blobs") >= SIZE
        (pod,) = builder.pods("amd64")
        builder.kubectl("exec", pod, "--", "buildctl", "prune", "--all", timeout=300)
        output = ("-o", "type=tar,dest=/dev/null")
        done = spent(builder, *_PLATFORM, "--cache-from", "type=local,src=blobs", *output, context)
        _check(done)
        assert "CACHED" in done.err
    finally:
        shutil.rmtree(builder.folder / "blobs", ignore_errors=True)


def _tree_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
