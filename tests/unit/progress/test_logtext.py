"""A step's output as lines: pieces, rewritten lines, colours, and what a hostile program prints."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildclient.progress.logtext import LONGEST_LINE, LONGEST_REWRITTEN, LogLines

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_RESET = "\x1b[0m"
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def lines_of(*pieces: bytes) -> list[str]:
    """The lines that pieces of output become."""
    lines = LogLines()
    found = [line.text for piece in pieces for line in lines.feed(piece, None)]
    last = lines.close()
    return [*found, last.text] if last else found


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        (b"10%\r20%\r30%\n", "30%"),
        (b"10%\r\n", "10%"),
        (b"abc\rX\n", "Xbc"),
        (b"long text\r\x1b[Kend\n", "end"),
        (b"long text\x1b[2K\rend\n", "end"),
        (b"abc\b\bX\n", "aXc"),
        (b"abc\x1b[2DX\n", "aXc"),
        (b"abc\x1b[1GX\n", "Xbc"),
        (b"a\x1b[3Cb\n", "a   b"),
        (b"abcd\r\x1b[2P\n", "cd"),
        (b"abcd\r\x1b[2X!\n", "! cd"),
        (b"\x1b[31mred\x1b[0m\r\x1b[32mg\x1b[0m\n", "\x1b[32mg\x1b[0m\x1b[31med\x1b[0m"),
        (b"\x1b]0;title\x07a\x1b]52;c;QQ==\x1b\\b\x1b[2J\x1b[10;10Hc\x1b[?1049hd\n", "abcd"),
        (b"\x9b1mx\n", "\ufffd1mx"),
        ("\u009b2Jx\n".encode(), "x"),
        (b"\x1b[1mbold\n", "\x1b[1mbold\x1b[0m"),
        (b"a\tb\n", "a\tb"),
        (b"\r\r\r\n", ""),
        (b"\x1b[999999999Cx\x1b[99999G\n", " x"),
    ],
)
def test_a_line_is_what_a_terminal_shows_last(printed: bytes, line: str) -> None:
    """Whether it comes at once or byte by byte; colours stay, and nothing else that steers a terminal."""
    assert lines_of(printed) == [line]
    assert lines_of(*(printed[at : at + 1] for at in range(len(printed)))) == [line]


def test_a_line_s_time_is_that_of_its_first_piece() -> None:
    """As docker buildx shows it."""
    lines = LogLines()
    assert lines.feed(b"half", 1.0) == []
    assert lines.begun is not None
    assert (lines.begun.text, lines.begun.rewritten) == ("half", False)
    first, second = lines.feed(b" whole\nnext\n", 2.0)
    assert (first.stamp, second.stamp) == (1.0, 2.0)
    assert lines.begun is None


@pytest.mark.parametrize(
    "piece", [b"x" * 4096, b"\rx" * 2048, b"x\b" * 2048, b"\x1b]" + b"y" * 4094, b"\x1b[31m" * 800]
)
def test_a_line_without_an_end_is_bounded(piece: bytes) -> None:
    """Two megabytes of it, as text, as a bar that moves, as a title that never ends, as colours."""
    lines = LogLines()
    for _ in range(512):
        for line in lines.feed(piece, 0.0):
            assert len(line.text) <= LONGEST_LINE + len(_RESET)
    begun = lines.begun
    assert begun is None or len(begun.text) <= max(LONGEST_LINE, LONGEST_REWRITTEN * 16)


@example([b"\x1b[", b"m", b"\r", b"\n"])
@given(st.lists(st.binary(max_size=24) | st.sampled_from([b"\x1b[", b"\r", b"\n", b"31m", b"\x1b]0;", b"\x07", b"2K"])))
def test_no_output_steers_the_terminal(pieces: list[bytes]) -> None:
    """Of controls only colours are left, and pieces or one: the lines are the same."""
    whole = lines_of(b"".join(pieces))
    assert lines_of(*pieces) == whole
    assert not any(_UNSAFE.search(_COLOUR.sub("", line)) for line in whole)
