"""Who holds a stack's lock, and how long to wait for it.

Pulumi itself never waits: an operation on a locked stack fails at once, with a text that names the holders. Backends of
files and buckets name them (pulumi/pulumi, pkg/backend/diy/lock.go); Pulumi Cloud does not.
"""

from __future__ import annotations

import logging
import os
import random
import re
import socket
import time
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from buildclient.base.units import time_left

__all__ = ["LOCK_TIMEOUT", "Lock", "LockedError", "StackError", "StaleLockError", "locks_in", "when_free"]

_log = logging.getLogger(__name__)

LOCK_TIMEOUT = 600.0
"""Seconds for which an operation waits for another one to end, unless it is told otherwise."""
_TOLD_EVERY = 15.0
"""Seconds between two lines of progress."""
_LONGEST_PAUSE = 5.0
"""Seconds between two tries: each starts a Pulumi."""
_CLOCK = 5.0
"""Seconds by which the times of a lock and of a process may differ that are the same."""
_MAX_LOCKS = 100
_MAX_LINE = 5000
_LOCK = re.compile(r"(\S+): created by (\S{1,300})@(\S{1,300}) \(pid (\d{1,9})\) at (\S{1,64})")

_T = TypeVar("_T")


class StackError(Exception):
    """A stack operation failed; the message says which and why, and may list several problems, a line each."""


class Lock(NamedTuple):
    """A lock of a stack, as its holder wrote it."""

    file: str
    """Where it lies in the backend."""
    user: str
    host: str
    pid: int
    since: str
    """When it was made, as RFC 3339."""

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (pid {self.pid}) since {self.since}"

    def is_stale(self) -> bool:
        """Whether its process was one of this machine and is there no more."""
        if self.host != socket.gethostname() or not self.pid:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            pass  # another user's, so it is there
        made, began = _seconds(self.since), _began(self.pid)
        # Another process may have got the number since.
        return made is not None and began is not None and began > made + _CLOCK


def _seconds(since: str) -> float | None:
    """Of a time in RFC 3339, since the epoch."""
    try:
        return datetime.fromisoformat(since).timestamp()
    except (ValueError, OverflowError):
        return None


def _began(pid: int) -> float | None:
    """When a process began, in seconds since the epoch; None where that cannot be told (proc_pid_stat(5))."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        return int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


class LockedError(StackError):
    """Another operation holds the stack's lock."""

    def __init__(self, what: str, stack: str, locks: tuple[Lock, ...]) -> None:
        """`what` begins the message, or is empty; `locks` may be empty where the backend does not name the holder."""
        self.what, self.stack, self.locks = what, stack, locks
        super().__init__(self._message("wait for it, or, if it has died, clear the lock"))

    @property
    def holder(self) -> str:
        """Who holds the lock, in words."""
        return ", ".join(map(str, self.locks)) or "another update"

    def stale(self) -> StaleLockError:
        """The error of a lock that a process of this machine left behind."""
        return StaleLockError(self._message("no such process runs on this machine: clear the lock"))

    def _message(self, advice: str) -> str:
        command = "pulumi cancel" + (f" --stack {self.stack}" if self.stack else "")
        return f"{self.what and self.what + ': '}the stack is locked by {self.holder}; {advice}: {command}"


class StaleLockError(StackError):
    """The stack's lock was left behind by a process of this machine that has ended."""


def locks_in(text: str) -> tuple[Lock, ...]:
    """The locks that Pulumi's error names; empty for a text without any."""
    lines = (line.strip() for line in text.splitlines() if ": created by " in line and len(line) <= _MAX_LINE)
    found = filter(None, map(_LOCK.fullmatch, lines))
    return tuple(Lock(m[1], m[2], m[3], int(m[4]), m[5]) for m in islice(found, _MAX_LOCKS))


def when_free(
    act: Callable[[], _T],
    timeout: float,
    told: Callable[[str], Any] | None = None,
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> _T:
    """The result of `act`, tried again while it raises LockedError, for at most `timeout` seconds.

    `told` gets a line when the wait begins, and one every 15 seconds. Raises what `act` raises; LockedError once time
    is over; StaleLockError at once for a lock whose process ran on this machine and has ended.
    """
    began, next_line = clock(), 0.0
    suspects: set[str] = set()
    while True:
        try:
            return act()
        except LockedError as locked:
            # A process may give its lock back and end between Pulumi's look and this one.
            stale = {lock.file for lock in locked.locks if lock.is_stale()}
            if stale & suspects:
                raise locked.stale() from None
            suspects = stale
            waited = clock() - began
            if waited >= timeout and not stale:
                raise
            if waited >= next_line and not stale:
                again = f"still locked after {time_left(waited)}" if next_line else "locked"
                line = f"stack {locked.stack} is {again} by {locked.holder}; waiting for at most "
                line += time_left(timeout - waited)
                _log.debug("%s", line)
                if told:
                    told(line)
                next_line = waited + _TOLD_EVERY
            # Two that try at the same moment may refuse one another.
            left = 1.0 if stale else timeout - waited
            pause(min(left, _LONGEST_PAUSE, 1 + waited / 10) * random.uniform(0.7, 1))
