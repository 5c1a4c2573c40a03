"""The text of OSErrors for messages."""

from __future__ import annotations

__all__ = ["reason"]


def reason(error: OSError | UnicodeError) -> str:
    """Returns why a file or a socket failed: the system's text in lower case, as in Go, without errno and path."""
    if isinstance(error, UnicodeError):
        return "not text"
    return (error.strerror or str(error)).lower()
