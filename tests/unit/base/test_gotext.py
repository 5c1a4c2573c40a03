"""Go's quotes."""

from __future__ import annotations

import pytest

from buildclient.base.gotext import go_quoted


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
