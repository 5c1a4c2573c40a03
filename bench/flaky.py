"""A registry that fails at one request: a proxy in front of a real one, which resets it or answers 503."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

__all__ = ["FlakyRegistry", "Mode", "flaky_registry"]

Mode = Literal["reset", "503"]
_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)
_TLS = b"\x16"
"""The first byte of a TLS handshake."""
_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


class FlakyRegistry:
    """What a proxy is to do, and what it has seen."""

    def __init__(self, target: str) -> None:
        self.address = ""
        """`host:port` of the proxy."""
        self.target = target
        self.seen = 0
        """Requests so far."""
        self._fault: tuple[int, Mode] | None = None
        self._lock = threading.Lock()

    def fail(self, after: int, mode: Mode) -> None:
        """Fails the request that follows `after` more; once."""
        with self._lock:
            self._fault = self.seen + after, mode

    def next(self) -> Mode | None:
        """Counts a request; returns how it fails, if it does."""
        with self._lock:
            due = self._fault is not None and self._fault[0] <= self.seen
            mode = self._fault[1] if self._fault and due else None
            self.seen += 1
            if due:
                self._fault = None
            return mode


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: FlakyRegistry

    def handle(self) -> None:
        """Serves a connection; one that begins with TLS gets the answer by which Go knows that this is plain HTTP."""
        with contextlib.suppress(OSError):
            if self.connection.recv(1, socket.MSG_PEEK) == _TLS:
                self.connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                return
            super().handle()

    def _any(self) -> None:
        mode = self.registry.next()
        if mode == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.connection.shutdown(socket.SHUT_RD)
            self.close_connection = True
            return
        body = self._body()
        if mode:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        upstream = http.client.HTTPConnection(self.registry.target, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            # The registry's answers name the proxy as long as it is asked by the proxy's name.
            upstream.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            answer = upstream.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            size = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", size or str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        finally:
            upstream.close()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        return b"".join(parts)

    do_GET = do_POST = do_PUT = do_PATCH = do_HEAD = do_DELETE = _any  # noqa: N815 - the base class names them

    def log_message(self, format: str, *arguments: object) -> None:
        return None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is no news."""

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Ends a connection; without the base class's polite end, which would undo a reset."""
        if isinstance(request, socket.socket):
            request.close()


@contextlib.contextmanager
def flaky_registry(target: str) -> Iterator[FlakyRegistry]:
    """Runs a proxy to the registry at `target` (`host:port`), on this machine's address that leads to it."""
    host, _, port = target.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))
        own = str(probe.getsockname()[0])
    registry = FlakyRegistry(target)
    server = _Server((own, 0), type("Handler", (_Handler,), {"registry": registry}))
    registry.address = f"{own}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
