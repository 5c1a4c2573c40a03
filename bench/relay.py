"""A relay of TCP connections that breaks them: at a byte, all at once, or by silence; or keeps new ones waiting."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

__all__ = ["Direction", "Relay", "relayed_kubeconfig"]

Direction = Literal["up", "down"]
"""From the client to the server, or back."""
_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of 0 s: `close` sends a reset in place of an end."""
_SILENT = 90.0
"""Seconds that a connection stays open and silent."""


class Relay:
    """Passes every connection on to one server, until it is told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self.lost = threading.Event()
        """Once set, nothing passes any more, and every connection stays open: a host that is gone says nothing."""
        self.goes = threading.Event()
        """While it is not set, new connections are taken and wait."""
        self.goes.set()
        self.came = threading.Event()
        """Set by each connection that comes."""
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}
        """Bytes so far, over all connections."""
        self._cuts: dict[Direction, int] = {}
        self._refused_until = 0.0
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._target = (host, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, direction: Direction, count: int) -> None:
        """Resets the connection on which the byte passes that follows `count` more in that direction; once."""
        with self._lock:
            self._cuts[direction] = self.passed[direction] + count

    def spare(self, direction: Direction) -> bool:
        """Takes back a cut that has not come; returns whether it had come."""
        with self._lock:
            return self._cuts.pop(direction, None) is None

    def reset_all(self, refused: float = 0.0) -> int:
        """Resets every connection, and each new one for so many seconds. Returns how many were open."""
        with self._lock:
            self._refused_until = time.monotonic() + refused
            pairs, self._pairs = list(self._pairs), set()
        for pair in pairs:
            _reset(pair)
        return len(pairs)

    def close(self) -> None:
        """Ends every connection, and takes no more."""
        self._server.close()
        self.reset_all()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self.came.set()
        self.goes.wait(_SILENT)
        try:
            if time.monotonic() < self._refused_until:
                raise ConnectionRefusedError
            far = socket.create_connection(self._target, 10)
        except OSError:
            _reset((near,))
            return
        far.settimeout(None)
        pair = near, far
        with self._lock:
            self._pairs.add(pair)
        for source, target, direction in ((near, far, "up"), (far, near, "down")):
            threading.Thread(target=self._pump, args=(pair, source, target, direction), daemon=True).start()

    def _pump(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, target: socket.socket, way: Direction
    ) -> None:
        try:
            while data := source.recv(_CHUNK):
                if self.lost.is_set():
                    time.sleep(_SILENT)
                    break
                allowed = self._allowed(way, len(data))
                target.sendall(data[:allowed])
                if allowed < len(data):
                    break
            else:
                with self._lock:
                    # A reader that a reset has woken ends nothing: an end would come before the reset.
                    if pair in self._pairs:
                        target.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        with self._lock:
            self._pairs.discard(pair)
        _reset(pair)

    def _allowed(self, way: Direction, size: int) -> int:
        """How many of `size` bytes may pass."""
        with self._lock:
            limit = self._cuts.get(way)
            allowed = size if limit is None else min(size, max(0, limit - self.passed[way]))
            self.passed[way] += allowed
            if allowed < size:
                del self._cuts[way]
            return allowed


def _reset(sockets: tuple[socket.socket, ...]) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        with contextlib.suppress(OSError):
            # Wakes the thread that reads from it, as `close` does not; it sends nothing, so that the reset comes first.
            one.shutdown(socket.SHUT_RD)
        one.close()


@contextlib.contextmanager
def relayed_kubeconfig(environment: Mapping[str, str], path: Path) -> Iterator[Relay]:
    """A relay to the API server of KUBECONFIG, and at `path` a kubeconfig that leads through it."""
    config: dict[str, Any] = yaml.safe_load(Path(environment["KUBECONFIG"]).read_text())
    cluster = config["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    relay = Relay(server.hostname or "", server.port or 443)
    cluster.update({"server": f"https://127.0.0.1:{relay.port}", "tls-server-name": server.hostname})
    path.write_text(yaml.safe_dump(config))
    try:
        yield relay
    finally:
        relay.close()
