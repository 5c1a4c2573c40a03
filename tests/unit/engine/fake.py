"""An engine that does what a test says, at a Unix socket: how real ones fail cannot be asked of them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["OK", "body", "engine", "head", "info"]

OK = b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"stream":"Loaded image: a:1\\n"}\r\n'


def info(*, index: bool = False) -> bytes:
    """The answer to GET /info."""
    status = '[["driver-type","io.containerd.snapshotter.v1"]]' if index else "[]"
    text = f'{{"OSType":"linux","Architecture":"x86_64","ServerVersion":"1","DriverStatus":{status}}}'
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


def head(sock: socket.socket) -> bytes:
    """Reads a request's head. Raises OSError if it breaks off."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        if not piece:
            raise ConnectionResetError("the client closed its connection")
        data += piece
    return data


def body(sock: socket.socket) -> bytes | None:
    """Reads a body in chunks; None if it breaks off."""
    found = bytearray()
    with sock.makefile("rb") as file:
        while line := file.readline():
            size = int(line, 16)
            piece = file.read(size + 2)
            if len(piece) != size + 2:
                return None
            if not size:
                return bytes(found)
            found += piece[:-2]
    return None


@contextlib.contextmanager
def engine(
    path: Path | None, *serve: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serves one connection after the other, each by one function; gives the address. No path is TCP."""
    listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    listener.bind(str(path) if path else ("127.0.0.1", 0))
    listener.listen()

    def run() -> None:
        for one in serve:
            with contextlib.suppress(OSError, ValueError):
                sock, _ = listener.accept()
                sock.settimeout(20)
                with tls.wrap_socket(sock, server_side=True) if tls else sock as served:
                    one(served)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    with listener:
        yield f"unix://{path}" if path else f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)
