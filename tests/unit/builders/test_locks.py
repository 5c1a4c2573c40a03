"""Locks of a stack: who holds them, and how long an operation waits."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from buildkit_builders.locks import Lock, LockedError, StackError, locks_in, when_free

TEXT = """error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.
  file:///state/.pulumi/locks/organization/p/dev/1.json: created by ada@laptop (pid 12) at 2026-11-25T10:00:00Z
  s3://bucket/.pulumi/locks/organization/p/dev/2.json: created by ci@runner-7 (pid 9) at 2026-11-25T11:00:00+01:00
"""  # noqa: E501
HELD = Lock("file:///1.json", "ada", "another-machine", 12, "2026-11-25T10:00:00Z")


class Clock:
    """A clock that moves only while someone pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def held(clock: Clock, until: float, lock: Lock = HELD) -> Callable[[], str]:
    """An operation that is refused until the clock says so."""

    def act() -> str:
        if clock.now < until:
            raise LockedError("update of stack dev", "dev", (lock,))
        return "done"

    return act


def test_the_holders_are_read_from_pulumis_error() -> None:
    """Each lock has its file, user, machine, process and time, whatever the backend."""
    first, second = locks_in(TEXT)
    assert str(first) == "ada@laptop (pid 12) since 2026-11-25T10:00:00Z"
    assert (second.file, second.host, second.pid) == (
        "s3://bucket/.pulumi/locks/organization/p/dev/2.json",
        "runner-7",
        9,
    )


def test_an_operation_waits_and_says_for_whom() -> None:
    """It ends with its result once the lock is free; the holder is told at the beginning, then now and then."""
    clock, told = Clock(), list[str]()
    assert when_free(held(clock, 40), 600, told.append, pause=clock.pause, clock=clock) == "done"
    assert told[0] == (
        "stack dev is locked by ada@another-machine (pid 12) since 2026-11-25T10:00:00Z; waiting for at most 10m00s"
    )
    assert len(told) == 3
    assert "still locked after" in told[1]


def test_the_wait_has_a_bound() -> None:
    """When time is over the error names the holder and the command that clears the lock."""
    clock = Clock()
    with pytest.raises(LockedError) as caught:
        when_free(held(clock, 1e9), 30, pause=clock.pause, clock=clock)
    assert clock.now == pytest.approx(30, abs=0.01)
    assert "pulumi cancel --stack dev" in str(caught.value)
    assert "ada@another-machine (pid 12)" in str(caught.value)


def test_without_a_timeout_nothing_is_waited_for() -> None:
    """A timeout of zero ends at the first refusal."""
    clock = Clock()
    with pytest.raises(LockedError):
        when_free(held(clock, 1), 0, pause=clock.pause, clock=clock)
    assert clock.now == 0


def _ended() -> Lock:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Lock("file:///2.json", "ada", socket.gethostname(), process.pid, "2026-11-25T10:00:00Z")


@pytest.mark.parametrize("timeout", [0, 600])
def test_a_lock_of_a_process_that_has_ended_is_stale(timeout: float) -> None:
    """It is looked at twice, and then nothing is waited for."""
    clock = Clock()
    with pytest.raises(
        StackError, match="no such process runs on this machine: clear the lock: pulumi cancel"
    ) as caught:
        when_free(held(clock, 1e9, _ended()), timeout, pause=clock.pause, clock=clock)
    assert not isinstance(caught.value, LockedError)
    assert clock.now <= 1


def test_a_lock_that_is_given_back_as_its_process_ends_is_not_stale() -> None:
    """Between Pulumi's look and ours its holder may have ended."""
    clock = Clock()
    assert when_free(held(clock, 0.5, _ended()), 600, pause=clock.pause, clock=clock) == "done"


def test_a_process_that_runs_holds_its_lock() -> None:
    """One of this machine, or one of which this machine knows nothing, is waited for."""
    now = datetime.now(UTC).isoformat()
    assert not HELD._replace(host=socket.gethostname(), pid=os.getpid(), since=now).is_stale()
    assert not HELD._replace(host=socket.gethostname(), pid=os.getpid(), since="some day").is_stale()
    assert not HELD.is_stale()


def test_another_process_with_the_locks_number_does_not_hold_it() -> None:
    """Numbers are given out again: a lock from before this process began is not this process's."""
    before = HELD._replace(host=socket.gethostname(), pid=os.getpid(), since="2001-01-01T00:00:00Z")
    assert before.is_stale()
