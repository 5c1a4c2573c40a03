"""SOCKS5 (RFC 1928), with user and password (RFC 1929): connects to a host and port; pure, without I/O."""

from __future__ import annotations

from collections.abc import Generator

__all__ = ["SocksRefused", "Steps", "socks5"]

Steps = Generator[tuple[bytes, int], bytes, None]
"""Yields what to send and how many bytes to read; is sent these bytes."""

_VERSION, _LOGIN_VERSION = 5, 1
_NO_LOGIN, _LOGIN = 0, 2
_CONNECT = 1
_V4, _NAME, _V6 = 1, 3, 4
_LONGEST = 255
"""Maximum bytes of a host name, a user or a password."""
_REPLIES = {
    1: "it failed",
    2: "it does not allow this",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "it knows no CONNECT",
    8: "it does not know this kind of address",
}


class SocksRefused(Exception):
    """The proxy refuses the connection or does not speak SOCKS5; the message says why."""


def socks5(host: str, port: int, username: str = "", password: str = "") -> Steps:
    """Yields the steps to `host:port`; the proxy resolves the name, as with Go. Raises SocksRefused."""
    login = bool(username or password)
    methods = bytes((_NO_LOGIN, _LOGIN) if login else (_NO_LOGIN,))
    version, method = yield bytes((_VERSION, len(methods))) + methods, 2
    if version != _VERSION:
        raise SocksRefused("it speaks no SOCKS5")
    if method not in methods:
        raise SocksRefused("it wants a user and a password" if not login else "it wants another kind of login")
    if method == _LOGIN:
        _, status = yield bytes((_LOGIN_VERSION,)) + _sized(username) + _sized(password), 2
        if status:
            raise SocksRefused("it does not accept the user and password")
    version, reply, _, kind = yield (
        bytes((_VERSION, _CONNECT, 0)) + _address(host) + port.to_bytes(2),
        4,
    )
    if version != _VERSION:
        raise SocksRefused("it speaks no SOCKS5")
    if reply:
        raise SocksRefused(_REPLIES.get(reply, f"it answers {reply}"))
    # The proxy's own address, which is of no use.
    size = {_V4: 4, _V6: 16}.get(kind, 0)
    if kind == _NAME:
        (size,) = yield b"", 1
    yield b"", size + 2


def _address(host: str) -> bytes:
    from ipaddress import ip_address

    try:
        packed = ip_address(host).packed
    except ValueError:
        return bytes((_NAME,)) + _sized(host)
    return bytes((_V4 if len(packed) == 4 else _V6,)) + packed


def _sized(text: str) -> bytes:
    data = text.encode(errors="replace")
    if len(data) > _LONGEST:
        raise SocksRefused(f"a name, a user or a password has more than {_LONGEST} bytes")
    return bytes((len(data),)) + data
