"""The frames of a Kubernetes exec over WebSocket (subprotocols v4 and v5.channel.k8s.io).

Rules: each message begins with a byte that names its channel; the last message is on channel ERROR, a `Status` in
JSON, also when all went well; only v5 can close a channel (`255, channel`). Reference: Kubernetes KEP-4006,
apimachinery's `remotecommand` constants.
"""

from __future__ import annotations

from buildclient.contract.jsontext import read_json

__all__ = ["ERROR", "STDERR", "STDIN", "STDOUT", "SUBPROTOCOLS", "V5", "close_frame", "exit_message"]

STDIN, STDOUT, STDERR, ERROR = 0, 1, 2, 3
_CLOSE = 255
V5 = "v5.channel.k8s.io"
SUBPROTOCOLS = (V5, "v4.channel.k8s.io")
"""The subprotocols offered, best first."""


def close_frame(channel: int) -> bytes:
    """The message that half-closes a channel (v5)."""
    return bytes((_CLOSE, channel))


def exit_message(status: bytes) -> str:
    """Returns the error in the message on channel ERROR; empty for success."""
    try:
        value = read_json(status)
    except ValueError:
        return status.decode(errors="replace").strip()
    if not isinstance(value, dict) or value.get("status") == "Success":
        return ""
    return " ".join(str(value.get("message") or value.get("reason") or "failed").split())
