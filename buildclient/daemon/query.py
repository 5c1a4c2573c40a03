"""Calls to a daemon besides builds: how one is written, and how its messages are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from buildclient.daemon.status import seconds

__all__ = ["Query", "attributes", "server_stream", "stamp", "unary"]

_T = TypeVar("_T")
_LATEST = 253402214400.0
"""9999-12-31, in seconds since the epoch: a day before the last moment of `datetime`, for any time zone."""
Query = Callable[[grpc.aio.Channel, float], Awaitable[_T]]
"""Asks a daemon over its channel; the second argument is the time limit in seconds. May raise AioRpcError."""


def unary(channel: grpc.aio.Channel, method: str, response: Any) -> Any:
    """Returns a callable for a method with one request and one response."""
    return channel.unary_unary(
        method,
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=response.FromString,
    )


def server_stream(channel: grpc.aio.Channel, method: str, response: Any) -> Any:
    """Returns a callable for a method with one request and a stream of responses."""
    return channel.unary_stream(
        method,
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=response.FromString,
    )


def stamp(message: Any, field: str) -> float | None:
    """Returns a timestamp field in seconds since the epoch; None if it is not set.

    What lies outside of the years that can be shown is moved to their bounds.
    """
    value = seconds(message, field)
    return None if value is None else min(max(0.0, value), _LATEST)


def attributes(entries: Any) -> dict[str, str]:
    """Returns a map whose texts were read as bytes; what is no UTF-8 is replaced."""
    return {one.key.decode(errors="replace"): one.value.decode(errors="replace") for one in entries}
