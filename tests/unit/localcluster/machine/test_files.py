"""Files that are written whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.machine import files


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failing write leaves the old content and no file beside."""
    path = tmp_path / "file"
    files.write_text(path, "old", 0o600)
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "new \udc80")
    assert path.read_text() == "old"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
