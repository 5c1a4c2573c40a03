"""Content digests such as `sha256:…`, checked as opencontainers/go-digest checks them, with its messages."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from buildclient.contract.patterns import pattern

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["Digest", "parse_digest"]

_SIZES = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Hexadecimal digits of each algorithm."""
_FORM = pattern(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX = pattern("[a-f0-9]+")


class Digest(NamedTuple):
    """A checked digest: both parts are safe as names of files."""

    algorithm: str
    encoded: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"

    def hasher(self) -> _Hash:
        """Returns a new hash object of the algorithm."""
        return hashlib.new(self.algorithm)


def parse_digest(text: str) -> Digest:
    """Parses `algorithm:encoded`. Raises ValueError with go-digest's message."""
    algorithm, colon, encoded = text.partition(":")
    if not (algorithm and colon and encoded):
        raise ValueError("invalid checksum digest format")
    if algorithm not in _SIZES:
        known = _FORM.fullmatch(text)
        raise ValueError("unsupported digest algorithm" if known else "invalid checksum digest format")
    if len(encoded) != _SIZES[algorithm]:
        raise ValueError("invalid checksum digest length")
    if not _HEX.fullmatch(encoded):
        raise ValueError("invalid checksum digest format")
    return Digest(algorithm, encoded)
