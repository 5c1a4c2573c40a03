"""URLs of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.contract.urls import is_url, split_login


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://u:P%40W@host:1/a@b", ("https://host:1/a@b", "u", "P@W")),
        ("https://host?a=b@c", ("https://host?a=b@c", "", "")),
        ("https://u@[::1]", ("https://[::1]", "u", "")),
        ("nothing", ("nothing", "", "")),
    ],
)
def test_a_login_is_taken_out_of_a_url(url: str, parts: tuple[str, str, str]) -> None:
    """And only out of where it may stand."""
    assert split_login(url) == parts


@pytest.mark.parametrize("text", ["", "host", "http://", "http://[", "http://h:x", "http://h:99999", "x:y"])
def test_what_is_no_url_is_none(text: str) -> None:
    """Also what Python reads only until it is asked for the port."""
    assert not is_url(text)
    assert is_url("http://h:1/p?q", "http")
    assert not is_url("file://h/p", "http", "https")


@given(st.text())
def test_any_text_is_told(text: str) -> None:
    """No exception."""
    is_url(text)
    split_login(text)
