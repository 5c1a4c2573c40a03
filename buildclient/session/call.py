"""One gRPC call from the daemon on the session, as a service's handler sees it.

A service is one file with a function that returns a table `{"/package.Service/Method": handler}`. Inputs, results
and credentials hand out the services that a build needs of them; all of them are served and advertised
(`x-docker-expose-session-grpc-method`). A handler returns for status OK and raises Status for any other; any other
exception becomes INTERNAL with its text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

__all__ = ["Call", "Code", "Handler", "Service", "Status", "methods_of", "only_message"]


_MAX_REQUEST = 1 << 20
"""Bytes of the request of a unary call at most."""


class Code:
    """The gRPC status codes in use (grpc/doc/statuscodes.md)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class Status(Exception):
    """Ends a call with a code and a message for the daemon."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Call(Protocol):
    """A stream of messages both ways; messages are serialised protobuf, without gRPC's five-byte prefix.

    Unary methods read one message and write one.
    """

    @property
    def method(self) -> str:
        """`/package.Service/Method`, as the daemon wrote it."""

    @property
    def metadata(self) -> Mapping[str, tuple[str, ...]]:
        """Request headers by lower-case name, every value in order; `-bin` values are not decoded."""

    async def read(self) -> bytes | None:
        """Returns the next message, or None once the daemon half-closed. Raises Status(CANCELLED) if the call ended."""

    async def read_batch(self) -> list[bytes]:
        """Waits for at least one message and returns all received; empty once the daemon half-closed."""

    async def write(self, *parts: bytes | memoryview) -> None:
        """Sends one message, the concatenation of `parts`; waits while too much is in flight."""

    async def write_batch(self, messages: Iterable[bytes]) -> None:
        """Sends many small messages, packed together."""


Handler = Callable[[Call], Awaitable[None]]
Service = Mapping[str, Handler]
"""A service's methods, `/package.Service/Method`; empty for a service that this build does not need."""


def methods_of(services: Iterable[Service]) -> dict[str, Handler]:
    """Merges the methods of several services. Raises ValueError if two services have the same method."""
    methods: dict[str, Handler] = {}
    for service in services:
        if claimed := methods.keys() & service.keys():
            raise ValueError(f"two session services claim {', '.join(sorted(claimed))}")
        methods.update(service)
    return methods


async def only_message(call: Call) -> bytes:
    """Returns the message of a unary call. Raises Status if none came, or one longer than any request has to be."""
    message = await call.read()
    if message is None:
        raise Status(Code.INVALID_ARGUMENT, "the call came without a request")
    if len(message) > _MAX_REQUEST:
        raise Status(Code.INVALID_ARGUMENT, f"a request of {len(message)} bytes is longer than any of its kind")
    return message
