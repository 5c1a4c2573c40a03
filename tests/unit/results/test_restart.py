"""Outputs of a solve that ended before its end, and came anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildclient.base.errors import Cancelled
from buildclient.results.file import FileExport
from buildclient.results.folder import FolderExport
from buildclient.results.stream import StreamExport
from buildclient.session.diffcopy import Stat


def test_a_file_holds_the_last_archive_alone(tmp_path: Path) -> None:
    """Nothing of the first one, whose receiver takes no more."""
    export = FileExport("oci", str(tmp_path / "x"))
    first = export.receiver(0)
    first.write([b"broken"])
    export.restart(0)
    with pytest.raises(ValueError, match="closed"):
        first.write([b"more"])
    second = export.receiver(0)
    second.write([b"whole"])
    second.finish()
    export.stage()
    export.commit()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_a_folder_keeps_what_was_there_and_nothing_of_the_broken_try(tmp_path: Path) -> None:
    """A build need not make the same files twice."""
    (tmp_path / "mine").write_text("mine")
    export = FolderExport("local", str(tmp_path))
    first = export.receiver(0).open()
    for name in (b"kept", b"stale"):
        first.entry(Stat(name, 0o644))
    first.data(0, b"1")
    first.data(0, b"")
    first.data(1, b"1")
    first.data(1, b"")
    export.restart(0)
    with pytest.raises(Cancelled):
        first.entry(Stat(b"late", 0o644))
    first.close()
    second = export.receiver(0).open()
    second.entry(Stat(b"kept", 0o644))
    second.data(0, b"2")
    second.data(0, b"")
    second.finish()
    export.stage()
    export.commit()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"mine": "mine", "kept": "2"}


def test_a_stream_is_final_from_its_first_byte(tmp_path: Path) -> None:
    """Before it, the broken solve's receiver takes nothing more, and the next one does."""
    export = StreamExport("tar", str(tmp_path / "pipe"))
    first = export.receiver(0)
    assert not export.final()
    export.restart(0)
    with pytest.raises(Cancelled):
        first.write([b"x"])
    export.receiver(0).write([b"y"])
    assert "has been written to" in export.final()
