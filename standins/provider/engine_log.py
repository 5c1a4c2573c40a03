"""What the user reads while an operation runs, sent to the engine."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import grpc

from standins.protocol import engine_pb2, engine_pb2_grpc
from standins.serving import unlimited

__all__ = ["EngineLog", "Log", "StatusLine"]


class Log(Protocol):
    """Where messages go."""

    def say(self, urn: str, severity: str, text: str, *, passing: bool = False) -> None:
        """One message about a resource (`urn` may be empty: the stack). `passing`: shown only while it is true."""


class EngineLog:
    """Messages to the engine at an address."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=unlimited))

    def say(self, urn: str, severity: str, text: str, *, passing: bool = False) -> None:
        """Sends one message; `severity` is debug, info, warning or error. An engine that is gone is no error."""
        level: Any = getattr(engine_pb2, severity.upper())
        request = engine_pb2.LogRequest(severity=level, message=text, urn=urn, ephemeral=passing)
        try:
            self._stub.Log(request, timeout=10)
        except grpc.RpcError:
            return


class StatusLine:
    """The status of one operation: each text once, and cleared when done."""

    def __init__(self, log: Log, urn: str) -> None:
        self._log, self._urn = log, urn
        self._said: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def show(self, severity: str, text: str) -> None:
        """Shows a text, unless it was shown before."""
        with self._lock:
            if (severity, text) in self._said:
                return
            self._said.add((severity, text))
        self._log.say(self._urn, severity, text, passing=True)

    def clear(self) -> None:
        """Leaves the status empty."""
        self._log.say(self._urn, "info", "", passing=True)

    def keep(self, severity: str, text: str) -> None:
        """A message that stays among the diagnostics."""
        self._log.say(self._urn, severity, text)
