"""Texts of users as gRPC metadata."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from hypothesis import given
from hypothesis import strategies as st

from buildclient.session.header import shared_key_headers

_ANY = st.one_of(st.text(), st.binary().map(lambda data: data.decode(errors="surrogateescape")))


@given(_ANY)
def test_any_key_is_sent_as_printable_ascii_and_is_the_same_again(key: str) -> None:
    """So that uploads of an unchanged context stay incremental."""
    headers = dict(shared_key_headers(key))
    assert all(re.fullmatch(r"[\x20-\x7e]*", value) and value == value.strip(" ") for value in headers.values())
    sent = headers["x-docker-expose-session-sharedkey"]
    encoded = "x-docker-expose-session-sharedkey-encoded" in headers
    assert (unquote_plus(sent, errors="surrogateescape") if encoded else sent) == key
    assert shared_key_headers(key) == shared_key_headers(key)


def test_a_plain_key_is_sent_as_it_is() -> None:
    """As before there was another way: what an old daemon has cached under it is found."""
    assert shared_key_headers("my app:kube/amd64") == [("x-docker-expose-session-sharedkey", "my app:kube/amd64")]


def test_other_keys_are_escaped_as_buildkit_does_it() -> None:
    """Go's url.QueryEscape."""
    assert shared_key_headers("größe a")[0][1] == "gr%C3%B6%C3%9Fe+a"
