"""Encodes users' texts as gRPC metadata, which allows only printable ASCII.

Reference: session/header.go of BuildKit after 0.32. An older daemon uses the encoded text as the key, which works
too: a key only has to be the same in the next build.
"""

from __future__ import annotations

from urllib.parse import quote_plus

from buildclient.contract.patterns import pattern

__all__ = ["shared_key_headers"]

_SHARED_KEY = "x-docker-expose-session-sharedkey"
# gRPC drops spaces at either end.
_PLAIN = pattern(r"(?! )[\x20-\x7e]*(?<! )")


def shared_key_headers(key: str) -> list[tuple[str, str]]:
    """Returns the metadata with a session's shared key; bytes that are not UTF-8 are given as surrogate escapes."""
    if _PLAIN.fullmatch(key):
        return [(_SHARED_KEY, key)]
    return [(_SHARED_KEY, quote_plus(key, errors="surrogateescape")), (f"{_SHARED_KEY}-encoded", "1")]
