"""A byte stream joined with two descriptors."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.base.stdio import join_descriptors
from tests.load import busy


class Stream:
    """A connection whose other end is `far`, a socket."""

    answers = None

    def __init__(self, *, half: bool = True, error: str = "") -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.half, self.error = half, error

    async def read(self) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self.near, 65536)
        if not data and self.error:
            raise UnreachableError(self.error)
        return data

    async def write(self, data: bytes | memoryview) -> None:
        await asyncio.get_running_loop().sock_sendall(self.near, data)

    async def close_write(self) -> bool:
        if self.half:
            self.near.shutdown(socket.SHUT_WR)
        return self.half

    async def close(self) -> None:
        self.near.close()


def echo(stream: Stream) -> threading.Thread:
    """Sends back what comes, to the end."""

    def work() -> None:
        while data := stream.far.recv(65536):
            stream.far.sendall(data)
        stream.far.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


async def test_both_ways_are_whole_to_the_byte() -> None:
    """Ten megabytes go out and come back; the end of the input ends all."""
    stream, data = Stream(), os.urandom(10 << 20)
    echo(stream)
    source, feed = os.pipe()
    drain, target = os.pipe()

    def give() -> None:
        with open(feed, "wb") as pipe:
            pipe.write(data)

    found = bytearray()

    def take() -> None:
        with open(drain, "rb") as pipe:
            found.extend(pipe.read())

    threads = [threading.Thread(target=work, daemon=True) for work in (give, take)]
    for thread in threads:
        thread.start()
    await asyncio.wait_for(join_descriptors(stream, source, target), 30)
    os.close(target)
    threads[1].join(10)
    assert bytes(found) == data


async def test_the_end_of_the_connection_ends_it_though_input_is_open() -> None:
    """A terminal never ends."""
    stream = Stream()
    source, feed = os.pipe()
    drain, target = os.pipe()
    stream.far.sendall(b"bye")
    stream.far.close()
    await asyncio.wait_for(join_descriptors(stream, source, target), 10)
    assert os.read(drain, 10) == b"bye"
    os.close(feed)


async def test_a_connection_that_cannot_be_half_closed_is_given_a_moment() -> None:
    """The daemon does not learn of the end of the input: TLS."""
    stream = Stream(half=False)
    began = time.monotonic()
    with open(os.devnull, "rb") as source, open(os.devnull, "wb") as target:
        await asyncio.wait_for(join_descriptors(stream, source.fileno(), target.fileno(), close_grace=0.2), 10)
    assert 0.2 <= time.monotonic() - began < busy(5)


async def test_a_connection_that_breaks_is_an_error() -> None:
    """And a reader that has gone away is one, too."""
    source, _feed = os.pipe()
    drain, target = os.pipe()
    stream = Stream(error="lost")
    stream.far.close()
    with pytest.raises(UnreachableError, match="lost"):
        await asyncio.wait_for(join_descriptors(stream, source, target), 10)
    os.close(drain)
    stream = Stream()
    stream.far.sendall(b"x")
    with pytest.raises(BrokenPipeError):
        await asyncio.wait_for(join_descriptors(stream, source, target), 10)
