"""Calls to a daemon besides builds: how one is written, and how its messages are read."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from buildclient.daemon.channel import Channel
from buildclient.daemon.rpcerror import RpcError
from buildclient.daemon.status import seconds

__all__ = ["Query", "attributes", "server_stream", "stamp", "unary"]

_T = TypeVar("_T")
_LATEST = 253402214400.0
"""9999-12-31, in seconds since the epoch: a day before the last moment of `datetime`, for any time zone."""
Query = Callable[[Channel, float], Awaitable[_T]]
"""Asks a daemon over its channel; the second argument is the time limit in seconds. May raise RpcError."""
_Metadata = Iterable[tuple[str, str]]


def unary(channel: Channel, method: str, response: Any) -> Callable[..., Awaitable[Any]]:
    """Returns a callable for a method with one request and one response, a message of the type `response`.

    It takes the request, and by name the `timeout` in seconds and `metadata`. It raises RpcError.
    """

    async def call(request: Message, *, timeout: float | None = None, metadata: _Metadata = ()) -> Any:
        return _read(response, await channel.unary(method, request.SerializeToString(), timeout, metadata))

    return call


def server_stream(channel: Channel, method: str, response: Any) -> Callable[..., AsyncIterator[Any]]:
    """Returns a callable for a method with one request and a stream of responses; it takes what `unary`'s does."""

    async def call(request: Message, *, timeout: float | None = None) -> AsyncIterator[Any]:
        answered = channel.answered(method, request.SerializeToString(), timeout)
        async with contextlib.aclosing(answered) as messages:
            async for message in messages:
                yield _read(response, message)

    return call


def _read(response: Any, message: bytes) -> Any:
    try:
        return response.FromString(message)
    except DecodeError:
        raise RpcError("Internal", f"the daemon's answer is no {response.DESCRIPTOR.full_name}") from None


def stamp(message: Any, field: str) -> float | None:
    """Returns a timestamp field in seconds since the epoch; None if it is not set.

    What lies outside of the years that can be shown is moved to their bounds.
    """
    value = seconds(message, field)
    return None if value is None else min(max(0.0, value), _LATEST)


def attributes(entries: Any) -> dict[str, str]:
    """Returns a map whose texts were read as bytes; what is no UTF-8 is replaced."""
    return {one.key.decode(errors="replace"): one.value.decode(errors="replace") for one in entries}
