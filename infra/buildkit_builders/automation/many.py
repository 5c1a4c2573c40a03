"""One operation on many stacks at once: a stream of events, and a result a stack."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from buildkit_builders.automation.events import Began, Ended, OnEvent, Outcome, Retrying, StackEvent
from buildkit_builders.automation.retries import NO_RETRY, Retry
from buildkit_builders.automation.stack import Stack
from buildkit_builders.command import Scope, interrupt_all, interrupts, start_none_after
from buildkit_builders.results import StackError

__all__ = ["Action", "Job", "Run", "each", "start"]

_LOOK_EVERY = 0.5
"""Seconds."""
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Job(NamedTuple):
    """A stack to be opened, or made, only when its turn comes: each costs two calls of Pulumi."""

    name: str
    open: Callable[[], Stack]


class Action(Protocol[T_co]):
    """What is done to each stack: `Stack.preview`, `Stack.up`, `Stack.destroy`, or a function of one's own."""

    def __call__(self, stack: Stack, /, *, on_event: OnEvent) -> T_co:
        """Returns the stack's result; raises StackError."""
        ...


class Run(Generic[T]):
    """An operation on many stacks that is under way: iterate over it for the events of all, as they come.

    The iteration ends once every stack has. An interrupt (KeyboardInterrupt) in the thread that iterates cancels the
    stacks that are under way, begins no other, and is raised after the last event. Leaving a `with` block early does
    the same, and waits.
    """

    def __init__(self, jobs: Iterable[Stack | Job], act: Action[T], at_once: int, retry: Retry) -> None:
        self.outcomes: dict[str, Outcome[T]] = {}
        """The results so far, by stack; all of them once the iteration has ended."""
        self._act, self._retry, self._scope = act, retry, Scope()
        listed = [Job(one.name, _opened(one)) if isinstance(one, Stack) else one for one in jobs]
        self.total = len(listed)
        """How many stacks."""
        self._queue: queue.SimpleQueue[StackEvent] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(max(1, min(at_once, len(listed))), initializer=self._scope.enter)
        _load_for_threads()
        for job in listed:
            self._pool.submit(self._work, job)
        self._pool.shutdown(wait=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if len(self.outcomes) < self.total:
            self.cancel()
            for _ in self._events():
                pass

    def __iter__(self) -> Iterator[StackEvent]:
        yield from self._events()
        if self.interrupted:
            raise KeyboardInterrupt

    interrupted = False
    """Whether an interrupt came while the events were waited for."""

    def cancel(self) -> None:
        """End the stacks that are under way in order, and begin no other; called again, end them at once.

        Pulumi finishes the step that it is at, writes the state and gives its lock back. Returns at once, from any
        thread; the iteration goes on to the last event.
        """
        self._scope.interrupt()

    def results(self) -> dict[str, Outcome[T]]:
        """Wait for the end of all, and return the outcomes by stack."""
        for _ in self:
            pass
        return self.outcomes

    def _events(self) -> Iterator[StackEvent]:
        # an interrupt may come anywhere and cost an event: the end is known without any
        while len(self.outcomes) < self.total or not self._queue.empty():
            try:
                event = self._queue.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                continue
            except KeyboardInterrupt:
                self.interrupted = True
                self.cancel()
                continue
            yield event

    def _work(self, job: Job) -> None:
        began, attempt = time.monotonic(), 0
        result: T | None = None
        failure: StackError | None = None
        cancelled = True
        try:
            while not self._scope.cancelled:
                attempt += 1
                if attempt == 1:
                    self._queue.put(Began(job.name))
                failure = None
                try:
                    result = self._act(job.open(), on_event=self._queue.put)
                    cancelled = False
                    break
                except StackError as error:
                    failure = error
                pause = self._retry.after(attempt, failure)
                if pause is None or self._scope.cancelled:
                    cancelled = False
                    break
                self._queue.put(Retrying(job.name, attempt + 1, pause, failure))
                self._scope.pause(pause)
        except KeyboardInterrupt:
            pass
        except Exception as error:  # of one stack; it must not hide the others, nor leave the iteration waiting
            cancelled = False
            failure = StackError(f"stack {job.name}: {type(error).__name__}: {error}")
        finally:
            outcome = Outcome(
                job.name, result, None if cancelled else failure, attempt, time.monotonic() - began, cancelled
            )
            self._queue.put(Ended(job.name, outcome))
            self.outcomes[job.name] = outcome


def start(jobs: Iterable[Stack | Job], act: Action[T], *, at_once: int = 4, retry: Retry = NO_RETRY) -> Run[T]:
    """Begin one operation on many stacks, at most `at_once` at a time; each is a Pulumi process of about 200 MB.

    with start(stacks, Stack.up, retry=Retry()) as run:
        for event in run:
            print(event)
    print(run.outcomes)

    What fails is tried again as `retry` says, and hides no other stack.
    """
    return Run(jobs, act, at_once, retry)


def _load_for_threads() -> None:
    """Loads what programs that run in this process would load lazily, where this process has any."""
    if objects := sys.modules.get("buildkit_builders.objects"):
        objects.load_kinds()


def _opened(stack: Stack) -> Callable[[], Stack]:
    return lambda: stack


def each(stacks: Iterable[Stack], act: Callable[[Stack], Any], *, at_once: int = 8) -> dict[str, Any | StackError]:
    """Do one thing to many stacks at once: `each(stacks, Stack.preview)`.

    Returns {stack name: result}, with the StackError as the result of a stack that failed.
    """

    def one(stack: Stack) -> Any | StackError:
        try:
            return act(stack)
        except StackError as error:
            return error

    listed = list(stacks)
    workers = max(1, min(at_once, len(listed)))
    _load_for_threads()
    with ThreadPoolExecutor(workers, initializer=start_none_after, initargs=(interrupts(),)) as pool:
        try:
            return dict(zip([stack.name for stack in listed], pool.map(one, listed), strict=True))
        except KeyboardInterrupt:
            # only this thread gets the interrupt; the pool waits for the others, which start nothing new
            pool.shutdown(wait=False, cancel_futures=True)
            interrupt_all()
            raise
