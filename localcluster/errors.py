"""The one error of the local cluster: a text for the user, in one or two lines."""

from __future__ import annotations

__all__ = ["ClusterError"]


class ClusterError(Exception):
    """Something cannot be done; the message says what, where and what to do."""
