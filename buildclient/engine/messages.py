"""What an engine says about itself and while it loads an image; pure.

Reference: `GET /info` and `POST /images/load` of the Docker Engine API; `jsonstream.Message` of moby.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from buildclient.contract.jsontext import read_json
from buildclient.contract.platform import Platform, PlatformError, parse_platform

__all__ = ["EngineInfo", "LoadMessage", "LoadMessageReader", "MessageError", "error_text", "read_info", "read_message"]

MAX_LINE = 1 << 20
"""Bytes of one message."""
_MAX_INFO = 16 << 20
_MACHINES = {"armv6l": "arm/v6", "armv7l": "arm/v7", "armv8l": "arm/v7", "i686": "386"}
"""Kernel names of machines, as a Docker Engine gives them, that are no names of platforms."""
_MAX_ERROR = 2000
"""Characters of an error that are shown."""


class MessageError(ValueError):
    """An engine sent what is no message."""


class EngineInfo(NamedTuple):
    """What matters of `GET /info`."""

    platform: Platform | None
    """The platform that the engine runs; None where it names none that is known."""
    takes_index: bool
    """Whether it takes OCI layouts with an index: a Docker Engine with the containerd image store."""
    version: str = ""


class LoadMessage(NamedTuple):
    """One message of an engine that loads an image."""

    id: str = ""
    """Of the layer that the message is about."""
    status: str = ""
    current: int = 0
    total: int = 0
    """Bytes, or 0 where unknown."""
    stream: str = ""
    """A line for the user, such as `Loaded image: app:1`."""
    error: str = ""
    has_progress: bool = False


class LoadMessageReader:
    """Splits the engine's answer into messages, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[LoadMessage]:
        """Takes the next bytes; returns the messages that are complete. Raises MessageError."""
        self._rest += data
        lines: list[bytearray] = []
        # Only what is new is searched, however small the pieces are.
        if b"\n" in data:
            *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise MessageError("a message of the engine is too long")
        return [read_message(bytes(line)) for line in lines if line.strip()]

    def end(self) -> list[LoadMessage]:
        """Returns the message that no line break ends. Raises MessageError."""
        line, self._rest = bytes(self._rest), bytearray()
        return [read_message(line)] if line.strip() else []


def read_message(line: bytes) -> LoadMessage:
    """Reads one message. Raises MessageError for what is no JSON object."""
    value = _object(line, MAX_LINE)
    progress, detail = value.get("progressDetail"), value.get("errorDetail")
    progress = progress if isinstance(progress, dict) and progress else None
    error = _text(detail, "message") if isinstance(detail, dict) else ""
    return LoadMessage(
        id=_text(value, "id"),
        status=_text(value, "status"),
        current=_count(progress, "current"),
        total=_count(progress, "total"),
        stream=_text(value, "stream"),
        error=(error or _text(value, "error"))[:_MAX_ERROR],
        has_progress=progress is not None,
    )


def read_info(data: bytes) -> EngineInfo:
    """Reads the answer of `GET /info`. Raises MessageError."""
    value = _object(data, _MAX_INFO)
    machine = _text(value, "Architecture")
    try:
        platform = parse_platform(f"{_text(value, 'OSType') or 'linux'}/{_MACHINES.get(machine, machine)}")
    except PlatformError:
        platform = None
    status = value.get("DriverStatus")
    pairs = status if isinstance(status, list) else []
    return EngineInfo(
        platform if platform and platform.known else None,
        ["driver-type", "io.containerd.snapshotter.v1"] in pairs,
        _text(value, "ServerVersion"),
    )


def error_text(data: bytes, status: int, words: str) -> str:
    """Returns the reason in a refusal: the engine's message, else its status and the first line of what it said."""
    try:
        message = _text(_object(data, MAX_LINE), "message")
    except MessageError:
        message = ""
    lines = data.decode(errors="replace").strip().splitlines()
    said = message or (lines[0] if lines and len(lines[0]) < 200 else "")
    return said[:_MAX_ERROR] if message else f"{status} {words}{f': {said}' if said else ''}"


def _object(data: bytes, size: int) -> Mapping[str, Any]:
    try:
        value = read_json(data, size=size)
    except ValueError as error:
        raise MessageError(f"the engine's answer is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise MessageError("the engine's answer is not a JSON object")
    return value


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _count(value: Mapping[str, Any] | None, key: str) -> int:
    found = (value or {}).get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 1 << 63 else 0
