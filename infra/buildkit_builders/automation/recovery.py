"""Takes a stack up again that a killed process left: its lock, and operations of which nobody knows how they ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from buildkit_builders.automation.events import OnEvent, Told
from buildkit_builders.automation.stack import Stack
from buildkit_builders.locks import LOCK_TIMEOUT, LockedError, StaleLockError
from buildkit_builders.results import Update

__all__ = ["destroy_recovering", "up_recovering"]

T = TypeVar("T")


def up_recovering(
    stack: Stack, *, on_event: OnEvent, lock_timeout: float = LOCK_TIMEOUT, clear_locks: bool = False
) -> Update:
    """`Stack.up`, also after a process that was killed in the middle of one.

    A lock whose process ran on this machine and has ended is cleared; with `clear_locks` any other too, once
    `lock_timeout` is over. Objects that were made and not recorded become the stack's. Raises StackError.
    """

    def up() -> Update:
        pending = stack.take_pending(lock_timeout=lock_timeout)
        if not pending:
            return stack.up(lock_timeout=lock_timeout, on_event=on_event)
        text = f"a killed process left {len(pending)} operations unrecorded: what they made is taken over"
        on_event(Told(stack.name, "warning", "", text))
        with stack.adopting():
            return stack.up(lock_timeout=lock_timeout, on_event=on_event)

    return _unlocked(stack, up, on_event, clear_locks)


def destroy_recovering(
    stack: Stack, *, on_event: OnEvent, lock_timeout: float = LOCK_TIMEOUT, clear_locks: bool = False
) -> Update:
    """`Stack.destroy` with the removal of the stack, also after a process that was killed. Raises StackError.

    What that one made and did not record stays, and is told: `up_recovering` would have taken it over.
    """

    def destroy() -> Update:
        if pending := stack.take_pending(lock_timeout=lock_timeout):
            text = f"a killed process did not record these, and they may be left in the cluster: {', '.join(pending)}"
            on_event(Told(stack.name, "warning", "", text))
        return stack.destroy(remove=True, lock_timeout=lock_timeout, on_event=on_event)

    return _unlocked(stack, destroy, on_event, clear_locks)


def _unlocked(stack: Stack, act: Callable[[], T], on_event: OnEvent, clear_locks: bool) -> T:
    try:
        return act()
    except StaleLockError:
        on_event(Told(stack.name, "warning", "", "the lock of a process that was killed is cleared"))
    except LockedError as error:
        if not clear_locks:
            raise
        on_event(Told(stack.name, "warning", "", f"the lock of {error.holder} is cleared, as it was asked for"))
    stack.clear_lock()
    return act()
