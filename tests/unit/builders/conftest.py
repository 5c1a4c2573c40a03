"""What `builders` leaves in the process that it ends, taken back for the next test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from buildkit_builders import debug


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """Signal handlers and the log are those of before."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    debug.disable()
    for number, handler in handlers.items():
        signal.signal(number, handler)
