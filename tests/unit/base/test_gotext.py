"""Go's quotes."""

from __future__ import annotations

import pytest

from buildclient.base.gotext import go_json, go_quoted


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


def test_json_can_always_be_encoded() -> None:
    """Of bytes that are no UTF-8, such as a file's name."""
    assert go_json({"a": b"\xffb".decode("utf-8", "surrogateescape")}).encode() == '{"a":"\ufffdb"}'.encode()
