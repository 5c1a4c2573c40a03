"""Go's quotes, and texts that are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.gotext import go_quoted, printable


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("größe 早餐", '"größe 早餐"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\0\x1b[31m\x7f", r'"\x00\x1b[31m\x7f"'),
        ("\x80\u200d\u00a0\U000e0001", r'"\u0080\u200d\u00a0\U000e0001"'),
        ("\udcff", r'"\xff"'),
    ],
)
def test_quotes_are_go_s(text: str, quoted: str) -> None:
    """As `fmt.Sprintf("%q", …)` writes them, which docker buildx's messages do."""
    assert go_quoted(text) == quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ERROR: größe\n\t早餐 👩\u200d👧", "ERROR: größe\n\t早餐 👩\u200d👧"),
        ("a\x1b[2J\rb\x9bc\x07", r"a\x1b[2J\x0db\u009bc\x07"),
        ("FROM a\r\nRUN b\r\n", "FROM a\nRUN b\n"),
        ("\udcff\u202etxt", r"\xff\u202etxt"),
    ],
)
def test_what_is_shown_moves_no_cursor(text: str, shown: str) -> None:
    """Lines stay lines; every other control character is written out."""
    assert printable(text) == shown


@given(st.one_of(st.text(), st.binary().map(lambda data: data.decode(errors="surrogateescape"))))
def test_anything_can_be_shown(text: str) -> None:
    """In UTF-8, without a control character but line break and tab."""
    shown = printable(text)
    assert not any((byte < 0x20 and byte not in b"\n\t") or byte == 0x7F for byte in shown.encode())
    assert printable(shown) == shown
