"""The client's exceptions, by who is at fault; each carries the command's exit status.

Only `buildclient.cli` exits; everything else raises one of these. The message is one or two lines: what was
wrong, where, and what to do. Exit statuses: those of docker buildx (1, 100, 102, 130), and 2 and 125.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = [
    "BuildFailed",
    "Cancelled",
    "ClientError",
    "ConfigurationError",
    "DaemonLost",
    "ExceptionTable",
    "InternalFailure",
    "InvalidBuild",
    "ResourceExhausted",
    "UnreachableError",
    "UsageError",
    "map_exceptions",
]

ExceptionTable = Sequence[tuple[type[Exception], Callable[[Any], Exception]]]
"""Exception types, subclasses first, each with a function that makes the client's exception from one."""


class ClientError(Exception):
    """Base class of all errors that users see; `str(error)` is the message with its hint."""

    exit_status = 1
    of_build = False
    """Whether the build failed, not the command: `buildclient build` then prints `failed to build: ` before it, as
    docker buildx does."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        """What was wrong, and where."""
        self.hint = hint
        """What to do about it; may be empty."""

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(ClientError):
    """The caller's fault: a wrong flag, file or value."""

    exit_status = 2

    def __init__(self, message: str, *, flag: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.flag = flag
        """The flag at fault, such as `--tag`, if the message (docker buildx's own) does not name it."""


class InvalidBuild(UsageError):
    """The caller's fault, found while checking the whole build; the message is docker buildx's."""

    of_build = True


class UnreachableError(ClientError):
    """The builder cannot be reached: no builder output, no cluster, no ready pod, or no connection.

    The message names kubeconfig context, namespace, pod and container as far as they are known.
    """

    exit_status = 125


class DaemonLost(UnreachableError):
    """A daemon that is listed as ready is gone or does not answer; another one, or the same one later, may."""

    def __init__(self, message: str, *, silent: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.silent = silent
        """Whether it did not answer for a while, rather than refused or broke the connection."""


class ConfigurationError(UnreachableError):
    """The builder cannot be reached and a retry would not help: the context, the builder or a permission is missing."""

    exit_status = 2


class BuildFailed(ClientError):
    """The build itself failed; the message is the daemon's, as docker buildx prints it."""

    def __init__(self, message: str, *, sources: tuple[str, ...] = (), vertex: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sources = sources
        """Excerpts of the Dockerfile with the failing lines marked, ready to print."""
        self.vertex = vertex
        """Digest of the step that failed, if the daemon named one."""


class InternalFailure(BuildFailed):
    """The daemon had an internal error (gRPC INTERNAL)."""

    exit_status = 100


class ResourceExhausted(BuildFailed):
    """The daemon ran out of a resource (gRPC RESOURCE_EXHAUSTED)."""

    exit_status = 102


class Cancelled(ClientError):
    """The user or the deadline ended the build."""

    exit_status = 130


@contextlib.contextmanager
def map_exceptions(table: ExceptionTable) -> Iterator[None]:
    """Translates exceptions of a library raised in the block, by the first row whose type matches."""
    try:
        yield
    except Exception as error:
        for kind, translate in table:
            if isinstance(error, kind):
                raise translate(error) from None
        raise
