"""The socket in front of a tunnel is this user's alone."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.daemon.bridge import Bridge


class Nowhere:
    """An endpoint that notes who wanted to go there."""

    description = "nowhere"

    def __init__(self) -> None:
        self.asked = 0

    async def connect(self, deadline: float) -> Any:
        self.asked += 1
        raise UnreachableError("nobody is there")


@pytest.mark.parametrize(("stranger", "asked"), [(0, 1), (1, 0)])
async def test_only_this_user_gets_through(monkeypatch: pytest.MonkeyPatch, stranger: int, asked: int) -> None:
    """An abstract socket has no permissions: whoever finds its name can connect, and gets no further."""
    real = socket.socket.getsockopt

    def getsockopt(self: socket.socket, level: int, name: int, *size: int) -> Any:
        found = real(self, level, name, *size)
        if name != socket.SO_PEERCRED or not isinstance(found, bytes):
            return found
        process, user, group = struct.unpack("3i", found)
        return struct.pack("3i", process, user + stranger, group)

    endpoint = Nowhere()
    bridge = Bridge(endpoint)
    scheme, _, name = (await bridge.open()).partition(":")
    try:
        monkeypatch.setattr("asyncio.trsock.TransportSocket.getsockopt", getsockopt_of(getsockopt))
        assert scheme == "unix-abstract"
        reader, writer = await asyncio.open_unix_connection(f"\0{name}")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
    finally:
        await bridge.close()
    assert endpoint.asked == asked


def getsockopt_of(ask: Any) -> Any:
    """The same for the socket that asyncio hands out."""
    return lambda shown, *arguments: ask(shown._sock, *arguments)
