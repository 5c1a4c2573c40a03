"""Records of processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.machine import process


def test_a_record_is_of_one_process_only(tmp_path: Path) -> None:
    """The process that was started counts; the same pid with another start time, a zombie or nothing does not."""
    record = process.start("sleeper", ["sleep", "60"], tmp_path / "log", tmp_path)
    assert process.alive(record)
    assert process.load(tmp_path, "sleeper") == record
    assert not process.alive(record._replace(started=record.started + 1))
    assert process.kill([record]) == []
    assert not process.alive(record)
    process.remove(tmp_path, "sleeper")
    assert process.load(tmp_path, "sleeper") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"name": "x", "pid": "y", "started": 1}'])
def test_a_half_written_record_is_no_record(tmp_path: Path, text: str) -> None:
    """What a killed run left half-written is taken for nothing, without an error."""
    (tmp_path / "x.json").write_text(text)
    assert process.load(tmp_path, "x") is None
    assert process.records(tmp_path) == []
