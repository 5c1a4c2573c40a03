"""Records that a hostile daemon, or another user of it, made: their texts lead nowhere and steer no terminal."""

from __future__ import annotations

import io
import os
import sys

import pytest

from buildclient.cli.bundle import record_object
from buildclient.cli.page import page_name
from buildclient.cli.recordparts import to_stdout
from buildclient.cli.records import record_json, record_text
from buildclient.daemon.query import stamp
from buildclient.daemon.records import BuildRecord
from buildclient.proto import history_pb2 as pb
from buildclient.upkeep import FoundRecord


@pytest.mark.parametrize("ref", ["../../etc/x", "/etc/x", "", ".", "a\0b", "a" * 200, "-x", "\ud800"])
def test_a_page_is_a_file_of_the_cache_s_folder_whatever_the_build_s_id_is(ref: str) -> None:
    """An id may be chosen by anyone who builds there."""
    name = page_name(ref)
    assert os.path.basename(name) == name
    assert name.endswith(".html")
    assert len(name) == 69


def test_a_usual_id_names_its_page() -> None:
    """As BuildKit makes ids."""
    assert page_name("tq4n2lb6mivlrhxk4l6c6r6ns") == "tq4n2lb6mivlrhxk4l6c6r6ns.html"


def test_an_attachment_steers_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sequence, and a character in two pieces."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    write = to_stdout()
    for piece in (b"\x1b]0;x\x07\xc3", b"\xa9\n"):
        write(piece)
    assert out.getvalue() == "\\x1b]0;x\\x07é\n"


@pytest.mark.parametrize("seconds", [-(1 << 62), 1 << 62])
def test_a_time_beyond_all_years_is_shown(seconds: int) -> None:
    """The texts of a record with such times, and its JSON."""
    message = pb.BuildHistoryRecord(ref="a")
    message.created_at.seconds = message.completed_at.seconds = seconds
    created = stamp(message, "created_at")
    assert created is not None
    found = FoundRecord("n", "p", BuildRecord("a", created=created, completed=created))
    assert record_text(found, (), ("", ()), 0.0)
    assert record_json(found, 0.0)["StartedAt"]


def test_caches_nested_too_deeply_are_left_out() -> None:
    """In the export of a record."""
    message = pb.BuildHistoryRecord(ref="a")
    message.frontend_attrs.append(pb.Attr(key=b"cache-imports", value=b"[" * 100_000))
    assert record_object(message)["FrontendAttrs"]["cache-imports"] == ""
