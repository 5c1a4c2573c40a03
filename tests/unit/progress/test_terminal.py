"""Which display of progress is chosen, and what each one shows."""

from __future__ import annotations

import fcntl
import io
import json
import os
import struct
import termios
import unicodedata

import pytest

from buildclient.base.errors import UsageError
from buildclient.progress.colours import colours
from buildclient.progress.events import Log, SourceRange, Vertex, VertexStatus, Warned
from buildclient.progress.terminal import choose_mode, open_display


@pytest.mark.parametrize(
    ("asked", "environ", "terminal", "mode"),
    [
        ("", {}, False, "plain"),
        ("", {"TERM": "xterm"}, True, "tty"),
        ("", {"TERM": "dumb"}, True, "plain"),
        ("plain", {"BUILDKIT_PROGRESS": "tty"}, True, "plain"),
        ("auto", {"BUILDKIT_PROGRESS": "quiet"}, True, "quiet"),
        ("rawjson", {}, False, "rawjson"),
    ],
)
def test_the_mode_follows_flag_variable_and_terminal(
    asked: str, environ: dict[str, str], terminal: bool, mode: str
) -> None:
    """The flag wins over the variable, and that over the terminal."""
    assert choose_mode(asked, environ, terminal) == mode


@pytest.mark.parametrize(("asked", "environ"), [("tty", {}), ("", {"BUILDKIT_PROGRESS": "tty"})])
def test_the_live_display_needs_a_terminal(asked: str, environ: dict[str, str]) -> None:
    """As with docker buildx: a file full of control codes serves nobody."""
    assert choose_mode(asked, environ, True) == "tty"
    with pytest.raises(UsageError, match="needs a terminal"):
        choose_mode(asked, environ, False)


def test_a_mode_that_there_is_not_is_refused() -> None:
    """With where it was asked for."""
    with pytest.raises(UsageError, match="BUILDKIT_PROGRESS"):
        choose_mode("", {"BUILDKIT_PROGRESS": "loud"}, False)


def show(mode: str, environ: dict[str, str] | None = None, *, failed: bool = False) -> str:
    """What a display writes for a short build."""
    out = io.StringIO()
    display = open_display(mode, out, environ or {})
    display.feed(Vertex("b", "[2/2] RUN later", started=11.0))
    display.feed(Vertex("a", "[1/2] RUN make", started=10.0))
    for number in range(9):
        display.feed(Log("a", 1, f"line {number}\x1b[2J\n".encode(), 10.5))
    display.feed(VertexStatus("a", "copy", current=5, total=10))
    display.show()
    display.feed(Vertex("a", "[1/2] RUN make", started=10.0, completed=12.0, error="bad" if failed else ""))
    display.feed(Vertex("b", "[2/2] RUN later", started=11.0, completed=12.0))
    display.end(failed)
    return out.getvalue()


def test_the_live_display_shows_steps_times_and_last_lines() -> None:
    """In order of their start, with the last six lines of what works, and no foreign control codes."""
    text = show("tty", {"NO_COLOR": "1"})
    first, last = text.split("[+] Building")[1], text.split("[+] Building")[-1]
    assert "(0/2)" in first
    assert "(2/2) FINISHED" in last
    assert "line 2" not in first
    assert all(f"line {number}" in first for number in range(3, 9))
    assert first.index("RUN make") < first.index("RUN later")
    assert "copy 5B / 10B" in first
    assert "\x1b[2J" not in text
    assert "\x1b[3" not in text


def test_the_number_of_lines_is_the_variable_s() -> None:
    """BUILDKIT_TTY_LOG_LINES; none at all is possible."""
    assert "line 7" not in show("tty", {"BUILDKIT_TTY_LOG_LINES": "1"}).split("[+] Building")[1]
    assert "line" not in show("tty", {"BUILDKIT_TTY_LOG_LINES": "0"}).split("[+] Building")[1]


def test_a_failure_is_repeated_and_coloured_on_a_terminal() -> None:
    """Unless NO_COLOR says otherwise."""
    text = show("tty", failed=True)
    assert "\x1b[31m => ERROR" in text
    assert " > [1/2] RUN make:" in text


@pytest.mark.parametrize(
    ("environ", "codes"),
    [
        ({}, {"run": "34", "cancel": "33", "error": "31", "warning": "33"}),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1", "BUILDKIT_COLORS": "run=red"}, {}),
        ({"NO_COLOR": ""}, {"run": "34", "cancel": "33", "error": "31", "warning": "33"}),
        ({"TERM": "dumb"}, {}),
        ({"TERM": "dumb", "CLICOLOR_FORCE": "1"}, {"run": "34", "cancel": "33", "error": "31", "warning": "33"}),
        ({"TERM": "dumb", "FORCE_COLOR": "0"}, {}),
        (
            {"BUILDKIT_COLORS": "run=Light-Green:cancel=default:error=255,0,0:warning=red:x=y:z"},
            {"run": "92", "cancel": "39", "error": "38;5;196", "warning": "31"},
        ),
        (
            {"BUILDKIT_COLORS": "run=nosuch:error=1,2:cancel=300,0,0"},
            {"run": "34", "cancel": "33", "error": "31", "warning": "33"},
        ),
    ],
)
def test_colours_follow_the_environment(environ: dict[str, str], codes: dict[str, str]) -> None:
    """NO_COLOR wins, then what forces them, then the terminal; BUILDKIT_COLORS names single ones."""
    assert colours(environ) == codes


def test_what_has_ended_is_coloured_by_how_it_ended() -> None:
    """What still works has the terminal's own colour."""
    text = show("tty", {"BUILDKIT_COLORS": "run=green"}, failed=True)
    assert "\x1b[32m => [2/2] RUN later" in text
    assert "\x1b[2K => [1/2] RUN make" in text


@pytest.mark.parametrize(("columns", "room"), [(40, 40), (0, 80)])
def test_lines_fit_the_terminal_they_are_written_to(columns: int, room: int) -> None:
    """Wide characters take two columns; standard output's size says nothing, it may be a file."""
    leader, follower = os.openpty()
    try:
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", columns // 4, columns, 0, 0))
        with open(follower, "w", encoding="utf-8", closefd=False) as out:
            display = open_display("tty", out, {"NO_COLOR": "1"})
            display.feed(Vertex("a", "[1/2] RUN " + "建" * 40, started=10.0))
            display.feed(Vertex("b", "[2/2] RUN " + "x" * 80, started=10.0))
            display.show()
        lines = os.read(leader, 1 << 16).decode().split("\x1b[2K")[2:]
    finally:
        os.close(leader)
        os.close(follower)
    for line in lines:
        shown = line.split("\r\n")[0]
        width = sum(2 if unicodedata.east_asian_width(char) == "W" else 1 for char in shown)
        assert room - 10 < width <= room, shown
    assert len(lines) == 2


def test_quiet_shows_nothing() -> None:
    """Not even a failure: the last line is the command's."""
    assert show("quiet", failed=True) == ""


def test_warnings_are_told_once_each_also_when_the_build_fails() -> None:
    """Two nodes read the same Dockerfile; the same words about two lines are two warnings."""
    for failed in (True, False):
        out = io.StringIO()
        display = open_display("plain", out, {})
        for node, line in (("amd", 1), ("arm", 1), ("amd", 2)):
            display.feed(Warned(f"v-{node}", 1, "Casing: …", ranges=(SourceRange(line, line),), node=node))
        display.end(failed)
        assert (
            out.getvalue() == "\n 2 warnings found (use buildclient --debug to expand):\n - Casing: …\n - Casing: …\n"
        )


def test_a_warning_in_raw_json_is_docker_buildx_s() -> None:
    """With the source and the lines it is about."""
    out = io.StringIO()
    display = open_display("rawjson", out, {})
    display.feed(Warned("v", 1, "s", ("d",), "u", "Dockerfile", b"FROM x\n", (SourceRange(1, 1),), "", "Dockerfile"))
    assert json.loads(out.getvalue()) == {
        "warnings": [
            {
                "vertex": "v",
                "level": 1,
                "short": "cw==",
                "detail": ["ZA=="],
                "url": "u",
                "sourceInfo": {"filename": "Dockerfile", "data": "RlJPTSB4Cg==", "language": "Dockerfile"},
                "range": [{"start": {"line": 1}, "end": {"line": 1}}],
            }
        ]
    }


def test_raw_json_is_docker_buildx_s() -> None:
    """One object a line, the daemon's own lists, times in UTC, bytes in base64."""
    lines = [json.loads(line) for line in show("rawjson").splitlines()]
    assert lines[0] == {
        "vertexes": [{"digest": "b", "name": "[2/2] RUN later", "started": "1970-01-01T00:00:11.000000Z"}]
    }
    assert {key for line in lines for key in line} == {"vertexes", "logs", "statuses"}
    assert lines[-1]["vertexes"][0]["completed"] == "1970-01-01T00:00:12.000000Z"
