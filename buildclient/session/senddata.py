"""Sends DATA frames past h2, which keeps the windows all the same."""

from __future__ import annotations

import h2.connection

from buildclient.session.dataframes import Outgoing

__all__ = ["send_data"]


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
