"""Archives of several nodes in one export."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from buildclient.base.errors import Cancelled
from buildclient.results.archive import merge_tars
from buildclient.results.file import FileExport
from buildclient.results.merged import MergedExport


def test_an_abort_in_the_middle_of_a_merge_leaves_nothing(tmp_path: Path) -> None:
    """The parts, and what was merged of them, are gone; what was there stays as it was."""
    dest = tmp_path / "out.tar"
    dest.write_text("old")

    def merging(parts: Sequence[BinaryIO], out: BinaryIO) -> None:
        merge_tars(parts, out)
        export.abort()

    export = MergedExport("tar", FileExport("tar", str(dest)), merging, str(tmp_path))
    for node in range(2):
        part = export.receiver(node)
        part.write([bytes(1024)])
        part.finish()
    for put in (export.stage, export.commit):
        with pytest.raises(Cancelled):
            put()
    assert dest.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.tar"]
