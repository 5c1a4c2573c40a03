"""Where `history export` puts its file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from buildclient.cli.bundle import _file


def test_the_file_appears_whole(tmp_path: Path) -> None:
    """Until the end there is the old one, or none, and after a failure nothing else."""
    place = tmp_path / "builds.dockerbuild"
    place.write_bytes(b"old")
    with contextlib.suppress(ValueError), _file(str(place)) as out:
        out.write(b"half")
        raise ValueError
    assert (place.read_bytes(), os.listdir(tmp_path)) == (b"old", [place.name])
    with _file(str(place)) as out:
        out.write(b"new")
        assert place.read_bytes() == b"old"
    assert (place.read_bytes(), os.listdir(tmp_path)) == (b"new", [place.name])


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    """As with every other file that the client writes."""
    (tmp_path / "link").symlink_to("target")
    with _file(str(tmp_path / "link")) as out:
        out.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    """A device too: `-o /dev/stdout` must not put a file in the place of the device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with _file(str(pipe)) as out:
            out.write(b"all")
        assert os.read(reader, 9) == b"all"
        assert pipe.is_fifo()
    finally:
        os.close(reader)


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    """A folder that is not there is a typing error."""
    with pytest.raises(FileNotFoundError), _file(str(tmp_path / "no" / "file")):
        pass
    assert os.listdir(tmp_path) == []
