"""The system's errors in the words of messages."""

from __future__ import annotations

__all__ = ["reason"]


def reason(error: OSError | UnicodeError) -> str:
    """Why a file or a socket failed: the system's words in lower case, as Go writes them, without number and name."""
    if isinstance(error, UnicodeError):
        return "not text"
    return (error.strerror or str(error)).lower()
