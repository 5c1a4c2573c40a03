"""What `--call` prints, where it goes, and the command's exit status."""

from __future__ import annotations

import contextlib
import io
import json
import sys

import pytest

from buildclient.base.errors import BuildFailed, ClientError
from buildclient.cli.call import dockerfile_name, print_answer, print_text
from buildclient.request.callmethod import CallMethod


class Terminal(io.TextIOWrapper):
    """Standard output that is a terminal, or is not."""

    def __init__(self, terminal: bool) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def printed(monkeypatch: pytest.MonkeyPatch, text: str, *, terminal: bool) -> bytes:
    """What arrives of a text."""
    out = Terminal(terminal)
    monkeypatch.setattr(sys, "stdout", out)
    print_text(text)
    return out.bytes.getvalue()


def test_a_terminal_is_not_steered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gets the answer's bytes; on a terminal its control characters are escapes."""
    text = "name\x1b]0;title\x07 \u202e \udcff\n"
    assert printed(monkeypatch, text, terminal=False) == b"name\x1b]0;title\x07 \xe2\x80\xae \xff\n"
    assert printed(monkeypatch, text, terminal=True) == b"name\\x1b]0;title\\x07 \\u202e \\xff\n"


def test_an_output_that_is_full_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, as for an image ID."""
    # What could not be written is tried again as the file is closed.
    with contextlib.suppress(OSError), open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(ClientError, match="cannot write the answer to standard output: no space left on device"):
            print_text("text")


@pytest.mark.parametrize(
    ("status", "ignored", "expected"),
    [("0", False, 0), ("1", False, 1), ("1", True, 0), ("256", False, 255), ("", False, 0), ("x", False, 0)],
)
def test_the_answers_status_is_the_commands(
    capsysbinary: pytest.CaptureFixture[bytes], status: str, ignored: bool, expected: int
) -> None:
    """Unless it is ignored; one that does not fit stays a failure."""
    response = {"result.json": json.dumps({"warnings": []}), "result.statuscode": status}
    assert print_answer(CallMethod("lint", ignore_status=ignored), response, "Dockerfile") == expected
    assert capsysbinary.readouterr().out == b"Check complete, no warnings found.\n"


@pytest.mark.parametrize("ignored", [False, True])
def test_a_dockerfile_that_cannot_be_built(capsysbinary: pytest.CaptureFixture[bytes], ignored: bool) -> None:
    """It fails even where the status is ignored; JSON is printed first."""
    text = json.dumps({"buildError": {"message": "why"}})
    method = CallMethod("lint", "json", ignored)
    with pytest.raises(BuildFailed, match=r"^why$"):
        print_answer(method, {"result.json": text, "result.statuscode": "1"}, "Dockerfile")
    assert capsysbinary.readouterr().out.decode() == f"{text}\n"


@pytest.mark.parametrize(
    ("context", "dockerfile", "name"),
    [
        (".", "", "Dockerfile"),
        ("app/", "", "app/Dockerfile"),
        ("../a/../b", "", "../b/Dockerfile"),
        ("//srv/app", "", "/srv/app/Dockerfile"),
        ("https://example.test/r.git", "", "https:/example.test/r.git/Dockerfile"),
        ("-", "", "-/Dockerfile"),
        ("app", "./x/../Dockerfile", "./x/../Dockerfile"),
        ("app", "-", "stdin"),
    ],
)
def test_the_dockerfiles_name(context: str, dockerfile: str, name: str) -> None:
    """As docker buildx writes it: what the flag says as it is, else a clean path."""
    assert dockerfile_name(context, dockerfile) == name
