"""How a call to a daemon ends that does not succeed."""

from __future__ import annotations

__all__ = ["CODES", "RpcError"]

CODES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
    "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
    "DataLoss", "Unauthenticated",
)  # fmt: skip
"""The names of gRPC's status codes, as Go writes them; a code is the position (grpc/doc/statuscodes.md)."""


class RpcError(Exception):
    """The daemon refused a call, or the connection broke (Unavailable) or was too slow (DeadlineExceeded)."""

    def __init__(self, code: str, text: str = "", status: bytes | None = None) -> None:
        """`status` is the daemon's `google.rpc.Status` (`grpc-status-details-bin`); None where it sent none."""
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.status = status
