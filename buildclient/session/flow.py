"""What goes and comes in DATA frames past h2, on one connection of either side: messages, and the windows for them.

h2 keeps the peer's windows all the same (`send_data`); ours are kept for the frames that h2 has seen by h2, and for the
others by `Window`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

import h2.connection
import h2.exceptions

from buildclient.session.dataframes import Outgoing, Window
from buildclient.session.wire import GrpcReader

__all__ = ["WINDOW", "Inbox", "Receiving", "send_data"]

WINDOW = 4 << 20
"""Bytes that the daemon may send on one stream, and on the connection, before they are read."""
_DEFAULT_WINDOW = 65535
"""Bytes of the connection's window before it is enlarged (RFC 9113, 6.9.2)."""


class Receiving:
    """The window of a connection, which all its streams share."""

    def __init__(self, connection: h2.connection.H2Connection, wake: Callable[[], None]) -> None:
        """Enlarges the window of a connection that has begun; `wake` is called when there is something to send."""
        self._h2 = connection
        self._wake = wake
        self._window = Window(0, WINDOW + _DEFAULT_WINDOW)
        self._updates = b""
        connection.increment_flow_control_window(WINDOW)

    def took(self, size: int) -> bool:
        """Notes bytes of a frame that h2 has not seen; returns whether the peer was allowed to send them."""
        return self._window.took(size)

    def acknowledge(self, stream: int, size: int) -> None:
        """Opens the peer's window by as many bytes, of frames that h2 has seen."""
        with contextlib.suppress(h2.exceptions.ProtocolError, KeyError):
            self._h2.acknowledge_received_data(size, stream)
        self._wake()

    def acknowledge_plain(self, window: Window | None, size: int) -> None:
        """As `acknowledge`, of frames that h2 has not seen; without a stream's window for one that has ended."""
        self._updates += (window.read(size) if window else b"") + self._window.read(size)
        self._wake()

    def updates(self) -> bytes:
        """Returns the frames that open windows and have not been sent yet, once."""
        updates, self._updates = self._updates, b""
        return updates


class Inbox:
    """The messages of one stream that have arrived and are not read yet."""

    def __init__(self, stream: int, receiving: Receiving, reader: GrpcReader) -> None:
        """`receiving` is that of the stream's connection."""
        self._stream = stream
        self._receiving = receiving
        self._reader = reader
        self._window = Window(stream, WINDOW)
        self._messages: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._seen = self._plain = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def partial(self) -> bool:
        """Whether what has arrived ends in the middle of a message."""
        return self._reader.partial

    def took(self, size: int) -> bool:
        """Notes bytes of a frame that h2 has not seen; returns whether the peer was allowed to send them."""
        return self._receiving.took(size) and self._window.took(size)

    def feed(self, data: bytes, flow: int) -> None:
        """Takes the payload of a frame that h2 has seen, which counts `flow` bytes. Raises WireError."""
        self._seen += flow
        self._put(data)

    def feed_plain(self, data: bytes) -> None:
        """Takes the payload of a frame that h2 has not seen. Raises WireError."""
        self._plain += len(data)
        self._put(data)

    def take(self) -> bytes:
        """Returns the oldest message."""
        message = self._messages.popleft()
        if not self._messages:
            self.acknowledge()
        return message

    def take_all(self) -> list[bytes]:
        """Returns all messages."""
        found = list(self._messages)
        self._messages.clear()
        self.acknowledge()
        return found

    async def more(self) -> None:
        """Waits until something arrives, or `wake` is called."""
        # The beginning of a message: held back, those of a few calls would use up the connection's window.
        self.acknowledge()
        self._arrived.clear()
        await self._arrived.wait()

    def wake(self) -> None:
        """Wakes who waits in `more`."""
        self._arrived.set()

    def close(self) -> None:
        """Notes that the stream has ended: only the connection's window is opened for it any more."""
        self._closed = True
        self.acknowledge()

    def acknowledge(self) -> None:
        """Opens the peer's window by what has come, read or not: all streams share the connection's."""
        if self._seen:
            self._receiving.acknowledge(self._stream, self._seen)
            self._seen = 0
        if self._plain:
            self._receiving.acknowledge_plain(None if self._closed else self._window, self._plain)
            self._plain = 0

    def _put(self, data: bytes) -> None:
        self._messages.extend(self._reader.feed(data))
        self._arrived.set()


def send_data(
    connection: h2.connection.H2Connection,
    stream: int,
    waiting: Outgoing,
    most: int,
    pieces: list[bytes | memoryview],
) -> int:
    """Adds frames with a stream's waiting bytes to `pieces`, after what h2 has to send; returns how many bytes.

    At most `most`, and no more than the peer's windows allow. Raises StreamClosedError.
    """
    size = min(most, connection.local_flow_control_window(stream), waiting.size)
    if size > 0:
        # The stream's headers, if they are not on their way yet, go first.
        pieces.append(connection.data_to_send())
        pieces += waiting.take(stream, size, connection.max_outbound_frame_size)
        connection.outbound_flow_control_window -= size
        connection.streams[stream].outbound_flow_control_window -= size
    return max(0, size)
