"""A WebSocket client's side as pure functions and one reader (RFC 6455): the upgrade, frames out, messages in.

Rules: a client masks its frames, a server does not; a message may be fragmented, with control frames between the
fragments; no extension is offered, so no reserved bit may be set. Own code because a cached build is mostly start-up,
and a library's imports cost more than a tenth of it. Errors tell whose fault it is, as in h11: LocalProtocolError for
what this client was about to send, RemoteProtocolError for what the server sent.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "Head",
    "LocalProtocolError",
    "Mask",
    "MessageReader",
    "RemoteProtocolError",
    "WebSocketError",
    "accepted",
    "body_of",
    "close_reason",
    "frame",
    "mask_by_number",
    "read_head",
    "request",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_KNOWN = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_HEAD = 64 << 10
"""Bytes of a response's head, and of a refusal's body: what http.client allows one line (h11 allows a head 16 KiB)."""
_MAX_MESSAGE = 16 << 20
"""Bytes. `websockets` allows 1 MiB by default; the apiserver copies an exec's output in pieces of 32 KiB."""
_MAX_CONTROL = 125
"""Bytes of a control frame's payload (RFC 6455, 5.5)."""
_SHORT, _MEDIUM = struct.Struct(">BB"), struct.Struct(">BBH")
_LONG = struct.Struct(">BBQ")

Mask = Callable[[bytes, bytes], bytes]
"""Exclusive or of data with a key of four bytes, repeated."""


class WebSocketError(Exception):
    """One side broke the protocol; the message says how."""


class LocalProtocolError(WebSocketError):
    """What this client was about to send would break the protocol."""


class RemoteProtocolError(WebSocketError):
    """What the server sent breaks the protocol."""


class Head(NamedTuple):
    """The head of an HTTP response."""

    status: int
    reason: str
    headers: Mapping[str, str]
    """By lower-case name."""
    rest: bytes
    """The bytes received after it."""


def request(host: str, target: str, key: bytes, protocols: Sequence[str], headers: Iterable[tuple[str, str]]) -> bytes:
    """The upgrade request; `key` is 16 random bytes. Raises LocalProtocolError for a line break in a header."""
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(key).decode()}",
        *([f"Sec-WebSocket-Protocol: {', '.join(protocols)}"] if protocols else []),
        *(f"{name}: {value}" for name, value in headers),
    ]
    for line in lines:
        if "\n" in line or "\r" in line:
            # The value may be a secret.
            raise LocalProtocolError(f"line break in header {line.partition(':')[0]!r}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def read_head(data: bytes) -> Head | None:
    """The head of a response; None while it is incomplete. Raises RemoteProtocolError."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > _MAX_HEAD:
            raise RemoteProtocolError(f"response head longer than {_MAX_HEAD} bytes")
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or len(code) != 3 or not (code.isascii() and code.isdigit()):
        raise RemoteProtocolError(f"not an HTTP/1 response: {first[:80]!r}")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Head(int(code), reason, headers, data[end + 4 :])


def accepted(head: Head, key: bytes, protocols: Sequence[str]) -> str:
    """The subprotocol the server chose, empty for none. Raises RemoteProtocolError if this is not a valid upgrade."""
    wanted = base64.b64encode(hashlib.sha1(base64.b64encode(key) + _GUID, usedforsecurity=False).digest()).decode()
    if head.headers.get("upgrade", "").lower() != "websocket":
        raise RemoteProtocolError("response without Upgrade: websocket")
    if head.headers.get("sec-websocket-accept") != wanted:
        raise RemoteProtocolError("wrong Sec-WebSocket-Accept")
    chosen = head.headers.get("sec-websocket-protocol", "")
    if chosen and chosen not in protocols:
        raise RemoteProtocolError(f"subprotocol that was not offered: {chosen}")
    return chosen


def body_of(head: Head, data: bytes, *, ended: bool) -> bytes | None:
    """A refusal's body from the bytes after its head; None while it is incomplete."""
    if "chunked" in head.headers.get("transfer-encoding", "").lower():
        return _unchunked(data) if ended or data.endswith(b"0\r\n\r\n") or len(data) > _MAX_HEAD else None
    length = head.headers.get("content-length", "")
    if length.isascii() and length.isdigit():
        size = min(int(length), _MAX_HEAD)
        return data[:size] if ended or len(data) >= size else None
    return data if ended or len(data) > _MAX_HEAD else None


def _unchunked(data: bytes) -> bytes:
    found = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            break
        if length <= 0:
            break
        found, data = found + data[:length], data[length + 2 :]
    return found


def mask_by_number(data: bytes, key: bytes) -> bytes:
    """Masks in pure Python; fast enough for short payloads."""
    size = len(data)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")


def frame(opcode: int, payload: bytes, key: bytes, mask: Mask = mask_by_number) -> bytes:
    """One message as one masked frame; `key` is four random bytes."""
    size = len(payload)
    first = 0x80 | opcode
    if size <= _MAX_CONTROL:
        head = _SHORT.pack(first, 0x80 | size)
    elif size < 1 << 16:
        head = _MEDIUM.pack(first, 0x80 | 126, size)
    else:
        head = _LONG.pack(first, 0x80 | 127, size)
    return b"".join((head, key, mask(payload, key)))


def close_reason(payload: bytes) -> str:
    """The code of a close frame, and its text if it has one."""
    if len(payload) < 2:
        return "closed by the other side"
    text = payload[2:].decode(errors="replace")
    return f"closed by the other side with {int.from_bytes(payload[:2])}" + (f" ({text})" if text else "")


class MessageReader:
    """Splits a stream of bytes into messages and control frames."""

    def __init__(self) -> None:
        self._rest = b""
        self._fragments: list[bytes] = []
        self._kind = 0
        self._size = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each message that `data` completes. Raises RemoteProtocolError."""
        # The rest is joined once per call, not once per frame: a long frame comes in large pieces.
        data = self._rest + data if self._rest else data
        at = 0
        while (parsed := _frame_at(data, at)) is not None:
            final, opcode, payload, at = parsed
            if opcode >= CLOSE:
                yield opcode, payload
                continue
            whole = self._joined(final, opcode, payload)
            if whole is not None:
                yield whole
        self._rest = data[at:]

    def _joined(self, final: bool, opcode: int, payload: bytes) -> tuple[int, bytes] | None:
        if opcode == CONTINUATION and not self._kind:
            raise RemoteProtocolError("continuation frame without a message to continue")
        if opcode != CONTINUATION and self._kind:
            raise RemoteProtocolError("new message before the last fragment of the one before")
        if final and not self._kind:
            return opcode, payload
        self._kind = self._kind or opcode
        self._fragments.append(payload)
        self._size += len(payload)
        if self._size > _MAX_MESSAGE:
            raise RemoteProtocolError(f"message longer than {_MAX_MESSAGE} bytes")
        if not final:
            return None
        whole = self._kind, b"".join(self._fragments)
        self._fragments, self._kind, self._size = [], 0, 0
        return whole


def _frame_at(data: bytes, at: int) -> tuple[bool, int, bytes, int] | None:
    """The frame at an offset, and the offset after it; None while it is incomplete. Raises RemoteProtocolError."""
    have = len(data) - at
    if have < 2:
        return None
    first, second = data[at], data[at + 1]
    opcode, size, start = first & 0x0F, second & 0x7F, at + 2
    if fault := _fault(first, second):
        raise RemoteProtocolError(fault)
    if size > _MAX_CONTROL:
        width = 2 if size == 126 else 8
        if have < 2 + width:
            return None
        size = int.from_bytes(data[start : start + width])
        start += width
        if size > _MAX_MESSAGE:
            raise RemoteProtocolError(f"frame longer than {_MAX_MESSAGE} bytes")
    end = start + size
    if end > len(data):
        return None
    return bool(first & 0x80), opcode, data[start:end], end


def _fault(first: int, second: int) -> str:
    """What is wrong with a frame by its first two bytes; empty if nothing is (RFC 6455, 5.2 and 5.5)."""
    opcode, size = first & 0x0F, second & 0x7F
    if first & 0x70:
        return "reserved bit set"
    if opcode not in _KNOWN:
        return f"unknown opcode 0x{opcode:x}"
    if second & 0x80:
        return "masked frame from server"
    if opcode >= CLOSE and not first & 0x80:
        return "fragmented control frame"
    if opcode >= CLOSE and size > _MAX_CONTROL:
        return f"control frame longer than {_MAX_CONTROL} bytes"
    return ""
