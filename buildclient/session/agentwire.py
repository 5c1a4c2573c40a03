"""The messages of the SSH agent protocol (draft-ietf-sshm-ssh-agent) that a build may exchange: list and sign.

message   uint32 length, byte type, contents
string    uint32 length, bytes
mpint     a string of a positive number, big-endian, with a zero byte before a set highest bit
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = [
    "ANSWERS",
    "FAILURE",
    "LIST",
    "MAX_MESSAGE",
    "SIGN",
    "AgentError",
    "AgentMessages",
    "SignRequest",
    "check_length",
    "identities_answer",
    "mpint",
    "packed",
    "read_sign_request",
    "sign_answer",
    "string",
]

FAILURE = b"\x05"
"""SSH_AGENT_FAILURE: the answer to everything that is not permitted."""
LIST = 11
"""SSH_AGENTC_REQUEST_IDENTITIES."""
SIGN = 13
"""SSH_AGENTC_SIGN_REQUEST."""
ANSWERS = {LIST: 12, SIGN: 14}
"""The only requests that are permitted, and the type of their answers."""
MAX_MESSAGE = 256 << 10
"""Bytes of a message at most, as OpenSSH's agent takes and its clients accept (MAX_AGENT_REPLY_LEN)."""
_LENGTH = struct.Struct(">I")


class AgentError(Exception):
    """Bytes that are not the agent protocol, or a message that is too long."""


class SignRequest(NamedTuple):
    """What is to be signed by which key."""

    key: bytes
    """The public key's blob."""
    data: bytes
    flags: int
    """2 asks an RSA key for SHA-256, 4 for SHA-512."""


class AgentMessages:
    """Splits a stream of bytes into messages without their length."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Returns the messages that `data` completes. Raises AgentError."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 4:
            (length,) = _LENGTH.unpack_from(buffer)
            check_length(length)
            if len(buffer) - 4 < length:
                break
            message = bytes(buffer[4 : 4 + length])
            del buffer[: 4 + length]
            yield message


def check_length(length: int) -> None:
    """Raises AgentError for a message without a type or one that is too long."""
    if not length:
        raise AgentError("a message of the ssh agent protocol is empty")
    if length > MAX_MESSAGE:
        raise AgentError(f"a message of the ssh agent protocol has {length} bytes, more than {MAX_MESSAGE}")


def packed(message: bytes) -> bytes:
    """A message with its length."""
    return _LENGTH.pack(len(message)) + message


def read_sign_request(message: bytes) -> SignRequest:
    """Decodes a message of type SIGN. Raises AgentError."""
    key, at = _string(message, 1)
    data, at = _string(message, at)
    if at + 4 != len(message):
        raise AgentError("a sign request has no flags or more than these")
    return SignRequest(key, data, _LENGTH.unpack_from(message, at)[0])


def identities_answer(keys: Iterable[bytes]) -> bytes:
    """The answer to LIST: public keys, without comments."""
    blobs = list(keys)
    return bytes((ANSWERS[LIST],)) + _LENGTH.pack(len(blobs)) + b"".join(string(blob) + string(b"") for blob in blobs)


def sign_answer(algorithm: str, signature: bytes) -> bytes:
    """The answer to SIGN."""
    return bytes((ANSWERS[SIGN],)) + string(string(algorithm.encode()) + string(signature))


def string(data: bytes) -> bytes:
    """Bytes with their length."""
    return _LENGTH.pack(len(data)) + data


def mpint(number: int) -> bytes:
    """A positive number."""
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big") if number else b"")


def _string(message: bytes, at: int) -> tuple[bytes, int]:
    if at + 4 > len(message):
        raise AgentError("a sign request ends too early")
    end = at + 4 + _LENGTH.unpack_from(message, at)[0]
    if end > len(message):
        raise AgentError("a sign request ends too early")
    return message[at + 4 : end], end
