"""Texts of others as they reach a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.visible import log_text, one_line, visible

TEXTS = st.one_of(st.text(), st.binary().map(lambda data: data.decode(errors="surrogateescape")))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ERROR: größe\n\t早餐 👩\u200d👧", "ERROR: größe\n\t早餐 👩\u200d👧"),
        ("a\x1b[2J\rb\x9bc\x07", r"a\x1b[2J\x0db\u009bc\x07"),
        ("FROM a\r\nRUN b\r\n", "FROM a\nRUN b\n"),
        ("\udcff\u202etxt\u2066", r"\xff\u202etxt\u2066"),
        ("https://u:PW@host/a and http://token@b", "https://xxxxx@host/a and http://xxxxx@b"),
        ("ssh://git@github.com/a ssh://u:PW@b", "ssh://git@github.com/a ssh://xxxxx@b"),
        ("https://host/a@b?c=d:e@f", "https://host/a@b?c=d:e@f"),
    ],
)
def test_what_is_shown_moves_no_cursor_and_tells_no_password(text: str, shown: str) -> None:
    """Lines stay lines; every other control character is written out, and passwords in URLs are masked."""
    assert visible(text) == shown


@given(TEXTS)
def test_anything_can_be_shown(text: str) -> None:
    """In UTF-8, without a control character but line break and tab."""
    shown = visible(text)
    assert not any((byte < 0x20 and byte not in b"\n\t") or byte == 0x7F for byte in shown.encode())
    assert visible(shown) == shown
    assert "\n" not in one_line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b[8mhidden", "\x1b[8mhidden\x1b[0m"),
        ("a\x1b[2J\x1b[1Ab\x1b]0;title\x07c\x1b]8;;http://x\x1b\\d\x1bcE", "abcdE"),
        ("10%\r20%\x9b2J\u202e", "10%20%"),
    ],
)
def test_of_a_log_s_sequences_only_colours_stay(text: str, shown: str) -> None:
    """A program's output may have colours; it moves no cursor and sets no title."""
    assert log_text(text) == shown


@given(TEXTS)
def test_a_log_has_no_control_character_but_those_of_colours(text: str) -> None:
    """Whatever a program prints."""
    assert not any(sign < " " and sign not in "\n\t\x1b" for sign in log_text(text))
