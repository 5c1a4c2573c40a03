"""Bounds of time for tests that run beside others."""

from __future__ import annotations

import os

__all__ = ["busy"]


def busy(seconds: float) -> float:
    """A bound in seconds that holds on a quiet machine, lengthened by as many processes as wait for each processor."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
