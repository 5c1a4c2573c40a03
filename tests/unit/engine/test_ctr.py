"""containerd through `ctr`."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildclient.contract.platform import Platform
from buildclient.engine.ctr import ContainerdEngine, import_command
from buildclient.engine.errors import EngineError
from buildclient.engine.messages import LoadMessage

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@pytest.fixture
def containerd(tmp_path: Path) -> Iterator[ContainerdEngine]:
    """One whose socket somebody listens at, and whose `ctr` is a script."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        yield ContainerdEngine(str(tmp_path / "s"), "n", {"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def _ctr(folder: Path, script: str) -> None:
    (folder / "ctr").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "ctr").chmod(0o755)


@pytest.mark.parametrize(
    ("platforms", "named", "flags"),
    [
        ((), True, []),
        ((ARM64,), True, ["--platform", "linux/arm64"]),
        ((AMD64, ARM64), False, ["--all-platforms", "--digests"]),
    ],
)
def test_the_platforms_are_those_of_the_build(platforms: tuple[Platform, ...], named: bool, flags: list[str]) -> None:
    """ctr alone takes its own machine's, and no image without a name."""
    assert import_command(["ctr"], platforms, named) == ["ctr", "images", "import", *flags, "-"]


def test_ctr_gets_the_archive_and_its_words_are_shown(containerd: ContainerdEngine, tmp_path: Path) -> None:
    """On its standard input, to the end."""
    _ctr(tmp_path, f"cat >{tmp_path}/got; echo unpacking a:1")
    load = containerd.load([AMD64], True)
    load.write(b"x" * 200_000)
    load.write(b"y")
    messages: list[LoadMessage] = []
    load.finish(messages.append)
    assert (tmp_path / "got").read_bytes() == b"x" * 200_000 + b"y"
    assert messages == [LoadMessage(stream="unpacking a:1\n")]


def test_what_ctr_says_is_the_error(containerd: ContainerdEngine, tmp_path: Path) -> None:
    """Whether it ends before the archive does, or after it."""
    for script in ("echo ctr: no space >&2; exit 1", "cat >/dev/null; echo ctr: no space >&2; exit 1"):
        _ctr(tmp_path, script)
        load = containerd.load([], True)
        with pytest.raises(EngineError, match=r"does not take the image: no space$"):
            _send(load)


def _send(load: object) -> None:
    for _ in range(100):
        load.write(b"x" * 100_000)  # type: ignore[attr-defined]
    load.finish(lambda message: None)  # type: ignore[attr-defined]


def test_containerd_that_is_not_there_is_said(containerd: ContainerdEngine, tmp_path: Path) -> None:
    """Which socket; that `ctr` is missing; what `ctr` says."""
    with pytest.raises(EngineError, match="connect to /nowhere/s: no such file"):
        ContainerdEngine("/nowhere/s", "n", {}).info()
    with pytest.raises(EngineError, match="ctr cannot be run"):
        ContainerdEngine(str(tmp_path / "s"), "n", {"PATH": "/nowhere"}).info()
    _ctr(tmp_path, "echo 'ctr: permission denied' >&2; exit 1")
    with pytest.raises(EngineError, match=r"permission denied$"):
        containerd.info()
    _ctr(tmp_path, "exit 0")
    assert containerd.info().takes_index


def test_an_aborted_import_is_ended(containerd: ContainerdEngine, tmp_path: Path) -> None:
    """The program with it."""
    _ctr(tmp_path, "exec cat >/dev/null")
    load = containerd.load([], True)
    load.write(b"x")
    load.abort()
    with pytest.raises(EngineError):
        load.finish(lambda message: None)


def test_a_ctr_that_takes_nothing_is_ended(
    containerd: ContainerdEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that one piece may take, and said in a line."""
    monkeypatch.setattr("buildclient.engine.ctr._LOAD", 0.3)
    _ctr(tmp_path, "exec sleep 30")
    load = containerd.load([AMD64], True)
    with pytest.raises(EngineError, match="took nothing of the image for"):
        load.write(b"x" * 1_000_000)
