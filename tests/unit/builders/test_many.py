"""Many stacks at once: the stream of events, retries, cancelling; functions stand for Pulumi."""

from __future__ import annotations

import os
import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from buildkit_builders.automation import (
    Began,
    Ended,
    Job,
    LockedError,
    Retry,
    Retrying,
    StackError,
    StaleLockError,
    Told,
    is_transient,
    start,
)

QUICK = Retry(times=2, pause=0.01)


def _jobs(*names: str) -> list[Job]:
    def opened(name: str) -> Any:
        return lambda: SimpleNamespace(name=name)

    return [Job(name, opened(name)) for name in names]


def test_events_come_as_they_happen_and_results_by_stack() -> None:
    """An event is there while its stack is still at work; the iteration ends after the last stack."""
    heard = threading.Event()

    def act(stack: Any, *, on_event: Any) -> str:
        on_event(Told(stack.name, "info", "", "at work"))
        assert heard.wait(60)
        return f"result of {stack.name}"

    seen = []
    run = start(_jobs("one", "two"), act, at_once=2)
    for event in run:
        seen.append(event)
        if isinstance(event, Told):
            heard.set()
    assert sum(isinstance(event, Began) for event in seen) == 2
    assert isinstance(seen[-1], Ended)
    assert {name: (one.result, one.attempts) for name, one in run.outcomes.items()} == {
        "one": ("result of one", 1),
        "two": ("result of two", 1),
    }


def test_what_fails_hides_no_other_stack() -> None:
    """A StackError, a fault of the action and a stack that cannot be opened are outcomes; the fourth is done."""

    def act(stack: Any, *, on_event: Any) -> None:
        if stack.name == "refused":
            raise StackError("update of stack refused: quota exceeded")
        if stack.name == "faulty":
            raise ValueError("a fault")

    def closed() -> Any:
        raise StackError("stack closed: no such backend")

    outcomes = start([*_jobs("refused", "faulty", "good"), Job("closed", closed)], act, at_once=2).results()
    assert {name: str(one.error) for name, one in outcomes.items()} == {
        "refused": "update of stack refused: quota exceeded",
        "faulty": "stack faulty: ValueError: a fault",
        "good": "None",
        "closed": "stack closed: no such backend",
    }
    assert not any(one.cancelled for one in outcomes.values())


def test_a_failure_that_may_pass_is_tried_again_and_said() -> None:
    """Two refused connections, then success: three tries, two events; a failure for good is tried once."""
    tries: list[str] = []

    def act(stack: Any, *, on_event: Any) -> str:
        tries.append(stack.name)
        if stack.name == "bad":
            raise StackError("exceeded quota: team")
        if len(tries) < 3:
            raise StackError("Get https://10.0.0.1: dial tcp 10.0.0.1:6443: connect: connection refused")
        return "done"

    events = list(run := start(_jobs("flaky"), act, retry=QUICK))
    assert [event.attempt for event in events if isinstance(event, Retrying)] == [2, 3]
    assert (run.outcomes["flaky"].result, run.outcomes["flaky"].attempts) == ("done", 3)
    assert start(_jobs("bad"), act, retry=QUICK).results()["bad"].attempts == 1


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (StackError("etcdserver: leader changed"), True),
        (StackError("net/http: TLS handshake timeout"), True),
        (StackError("Operation cannot be fulfilled on …: the object has been modified; please apply"), True),
        (StackError("3 problems in the builder's config; nothing was changed"), False),
        (StackError('namespaces "x" not found'), False),
        (LockedError("up: connection refused", "x", ()), False),
        (StaleLockError("connection refused"), False),
    ],
)
def test_only_failures_that_may_pass_are_transient(error: StackError, passes: bool) -> None:
    """Faults of the way and of the API server are; refusals, problems and locks are not."""
    assert is_transient(error) is passes


def test_pauses_grow_to_a_bound_and_end() -> None:
    """2, 4, then at most `longest` seconds; none after the last try."""
    error = StackError("connection refused")
    retry = Retry(times=3, pause=2, longest=5)
    assert [retry.after(attempt, error) for attempt in (1, 2, 3, 4)] == [2, 4, 5, None]


def test_cancelled_stacks_are_told_from_failed_ones() -> None:
    """What runs ends as it can, what waits is never begun, and a pause between two tries ends at once."""
    begun = threading.Event()

    def act(stack: Any, *, on_event: Any) -> str:
        begun.set()
        raise StackError("connection refused")

    with start(_jobs("one", "two"), act, at_once=1, retry=Retry(times=1, pause=600)) as run:
        assert begun.wait(60)
        run.cancel()
    assert (run.outcomes["one"].cancelled, run.outcomes["one"].attempts) == (True, 1)
    assert (run.outcomes["two"].cancelled, run.outcomes["two"].attempts) == (True, 0)


def test_an_interrupt_is_raised_after_the_last_event() -> None:
    """Ctrl-C while events are waited for: the stack under way ends first, the next is cancelled."""
    listens, release = threading.Event(), threading.Event()

    def act(stack: Any, *, on_event: Any) -> str:
        assert listens.wait(60)
        release.wait(0.3)  # until the events are waited for
        os.kill(os.getpid(), signal.SIGINT)
        assert release.wait(60)
        return "done"

    run = start(_jobs("one", "two"), act, at_once=1)
    cancel, seen = run.cancel, []

    def cancelled() -> None:
        cancel()
        release.set()

    run.cancel = cancelled  # type: ignore[method-assign]

    def listen() -> None:
        listens.set()
        seen.extend(type(event).__name__ for event in run)

    with pytest.raises(KeyboardInterrupt):
        listen()
    assert run.outcomes["one"].result == "done"
    assert run.outcomes["two"].cancelled
