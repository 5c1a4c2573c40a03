"""What a SOCKS5 proxy is told, and whatever it may answer."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.net.socks import SocksRefused, Steps, socks5


def talk(steps: Steps, answers: bytes) -> list[bytes]:
    """What is sent to a proxy that answers so; EOFError where it says too little."""
    sent = []
    with contextlib.suppress(StopIteration):
        data, size = next(steps)
        while True:
            sent.append(data)
            if len(answers) < size:
                raise EOFError
            piece, answers = answers[:size], answers[size:]
            data, size = steps.send(piece)
    assert answers == b""
    return [data for data in sent if data]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("k.example", b"\3\x09k.example"),
        ("10.1.2.3", b"\1\x0a\1\2\3"),
        ("fd00::1", b"\4\xfd" + bytes(14) + b"\1"),
    ],
)
@pytest.mark.parametrize("bound", [b"\1" + bytes(6), b"\4" + bytes(18), b"\3\4here\0\0"])
def test_the_way_is_asked_for_as_rfc_1928_has_it(host: str, address: bytes, bound: bytes) -> None:
    """Names go to the proxy; whatever its own address is, not a byte of the server's is taken."""
    assert talk(socks5(host, 6443), b"\5\0\5\0\0" + bound) == [b"\5\1\0", b"\5\1\0" + address + b"\x19\x2b"]


def test_user_and_password_are_given_where_they_are_wanted() -> None:
    """RFC 1929; a proxy that wants none gets none."""
    login = ("me", "p@ss")
    asked = b"\5\1\0\3\1k\0\1"
    fine = b"\5\0\0\1" + bytes(6)
    assert talk(socks5("k", 1, *login), b"\5\2\1\0" + fine) == [b"\5\2\0\2", b"\1\2me\4p@ss", asked]
    assert talk(socks5("k", 1, *login), b"\5\0" + fine) == [b"\5\2\0\2", asked]


@pytest.mark.parametrize(
    ("answers", "login", "words"),
    [
        (b"\5\xff", (), "it wants a user and a password"),
        (b"\5\xff", ("u", "p"), "it wants another kind of login"),
        (b"\5\2", (), "it wants a user and a password"),
        (b"\5\2\1\1", ("u", "p"), "it does not accept the user and password"),
        (b"HTTP", (), "it speaks no SOCKS5"),
        (b"\5\0\5\2\0\1", (), "it does not allow this"),
        (b"\5\0\5\4\0\1", (), "host unreachable"),
        (b"\5\0\5\x63\0\1", (), "it answers 99"),
        (b"", ("u", "p" * 256), "more than 255 bytes"),
    ],
)
def test_a_refusal_says_why(answers: bytes, login: tuple[str, ...], words: str) -> None:
    """In a few words."""
    with pytest.raises(SocksRefused, match=words):
        talk(socks5("k", 1, *login), answers or b"\5\2")


@given(st.binary(max_size=40), st.text(max_size=300), st.booleans())
def test_whatever_a_proxy_answers_ends(answers: bytes, host: str, login: bool) -> None:
    """With a way, or with a refusal."""
    with contextlib.suppress(SocksRefused, EOFError, AssertionError):
        talk(socks5(host, 1, *(("u", "p") if login else ())), answers)
