"""Texts of users' as the values of gRPC metadata, where only printable ASCII may stand.

Reference: session/header.go of BuildKit after 0.32. An older daemon takes the encoded text for the key itself, which
does as well: a key only has to be the same in the next build.
"""

from __future__ import annotations

import re
from urllib.parse import quote_plus

__all__ = ["shared_key_headers"]

_SHARED_KEY = "x-docker-expose-session-sharedkey"
# A space at either end would be lost on the way.
_PLAIN = re.compile(r"(?! )[\x20-\x7e]*(?<! )")


def shared_key_headers(key: str) -> list[tuple[str, str]]:
    """The metadata that carries a session's shared key; bytes that are no UTF-8 come in as surrogate escapes."""
    if _PLAIN.fullmatch(key):
        return [(_SHARED_KEY, key)]
    return [(_SHARED_KEY, quote_plus(key, errors="surrogateescape")), (f"{_SHARED_KEY}-encoded", "1")]
