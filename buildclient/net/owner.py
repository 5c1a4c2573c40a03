"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import os
import socket
import struct
import sys

__all__ = ["is_own"]

_UCRED = struct.Struct("3i")
"""Linux's `struct ucred`: process, user, group."""


def is_own(sock: socket.socket) -> bool:
    """Whether this user is at the other end; taken for granted where the system cannot tell."""
    if sys.platform != "linux":
        return True
    _, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return bool(user == os.geteuid())
