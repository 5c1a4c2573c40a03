"""Names of hosts, as `socket` and `ssl` take them at the least cost."""

from __future__ import annotations

from typing import cast

__all__ = ["encoded"]


def encoded(host: str) -> str:
    """Returns an ASCII name as bytes: of a text, both load Python's tables for international names (5 ms).

    The declared type is the one that asyncio and `socket` declare; they hand either on.
    """
    return cast(str, host.encode()) if host.isascii() else host
