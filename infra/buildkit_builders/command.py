"""The Pulumi CLI as a child process that ends in order when the script that drives it is interrupted.

The SDK closes its pipes on Ctrl-C: Pulumi then dies of the next line it prints, the stack stays locked, and the state
lacks the latest resources. Here the interrupt is passed on and Pulumi is waited for: it cancels its work, writes the
state and releases the lock. A second interrupt makes it stop at once.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import IO, Any

from pulumi import automation as auto
from pulumi.automation.errors import create_command_error

from buildkit_builders import debug

__all__ = ["Command", "Scope", "interrupt_all", "interrupts", "pause", "start_none_after"]

_log = logging.getLogger(__name__)

_running: set[subprocess.Popen[str]] = set()
_interrupts = 0
_thread = threading.local()


class Command(auto.PulumiCommand):
    """`pulumi` on PATH."""

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> auto.CommandResult:
        """Run one command to its end; what a callback raises is raised after it.

        Raises CommandError if it fails, KeyboardInterrupt if it was interrupted.
        """
        known = getattr(_thread, "interrupts", _interrupts)
        scope: Scope | None = getattr(_thread, "scope", None)
        if known != _interrupts or (scope and scope.cancelled):
            raise KeyboardInterrupt
        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        if debug.enabled():
            environment.setdefault(debug.VARIABLE, "1")
        held, process, began = _Held(), None, time.monotonic()
        _log.debug("%s, in %s", debug.named(args), cwd)
        try:
            held.hold()
            process = subprocess.Popen(
                [self.command, "--non-interactive", *args],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                # of its own, or a terminal's Ctrl-C would reach it besides the one passed on: two stop it at once
                process_group=0,
            )
            _running.add(process)
            if scope:
                scope.running.add(process)
            # one that came since the question above may have found this process in no list
            late = known != _interrupts or bool(scope and scope.cancelled)
            if late:
                process.send_signal(signal.SIGINT)
            out, err = _Lines(process.stdout, on_output), _Lines(process.stderr, on_error)
            interrupted = _wait(process, held, out, err) or late
            # what had ended well before it was told is done
            interrupted = interrupted or bool(scope and scope.cancelled and process.returncode)
        finally:
            if process:
                _running.discard(process)
                if scope:
                    scope.running.discard(process)
            held.release()
        status = f"status {process.returncode}" + (", interrupted" if interrupted else "")
        _log.debug("%s: %s in %.1f s", debug.named(args[:1]), status, time.monotonic() - began)
        if interrupted:
            raise KeyboardInterrupt
        raised = out.raised or err.raised
        result = auto.CommandResult("\n".join(out.lines), "\n".join(err.lines), process.returncode)
        if process.returncode:
            raise create_command_error(result) from raised
        if raised:
            raise raised
        return result


def interrupt_all() -> None:
    """Pass an interrupt on to every Pulumi that runs in this process's threads."""
    global _interrupts
    _interrupts += 1
    for process in tuple(_running):
        process.send_signal(signal.SIGINT)


def interrupts() -> int:
    """How often `interrupt_all` was called."""
    return _interrupts


def start_none_after(known: int) -> None:
    """Have this thread start no Pulumi once there were more interrupts than the `known`: KeyboardInterrupt instead."""
    _thread.interrupts = known


def pause(seconds: float) -> None:
    """Wait. Raises KeyboardInterrupt if this thread's scope is interrupted."""
    scope: Scope | None = getattr(_thread, "scope", None)
    if scope is None:
        time.sleep(seconds)
        return
    scope.pause(seconds)
    if scope.cancelled:
        raise KeyboardInterrupt


class Scope:
    """The Pulumi processes of some threads, to be interrupted together; after that they start no other."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen[str]] = set()
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether `interrupt` was called."""
        return self._cancelled.is_set()

    def enter(self) -> None:
        """Have this thread, to its end, start its Pulumi processes in this scope."""
        _thread.scope = self

    def interrupt(self) -> None:
        """Have those that run end in order; called again, at once. Later ones raise KeyboardInterrupt."""
        self._cancelled.set()
        for process in tuple(self.running):
            process.send_signal(signal.SIGINT)

    def pause(self, seconds: float) -> None:
        """Wait, until an interrupt at most."""
        self._cancelled.wait(seconds)


class _Held:
    """Signal handlers of the main thread put off, so that none raises between a child's start and the wait for it.

    Not by a mask, which the child would inherit.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._came: list[tuple[Callable[[int, FrameType | None], Any], int, FrameType | None]] = []

    def hold(self) -> None:
        """Begin; what was begun must be released, even if this raises."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._note)

    def release(self) -> None:
        """Put the handlers back and call those whose signal came. If one raises, the rest is left for another call."""
        for number in tuple(self._handlers):
            signal.signal(number, self._handlers[number])
            del self._handlers[number]
        while self._came:
            handler, number, frame = self._came.pop(0)
            handler(number, frame)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came.append((self._handlers[number], number, frame))


class _Lines(threading.Thread):
    """Reads a pipe to its end, line by line, also if who is told of them fails: a closed pipe would kill Pulumi."""

    def __init__(self, pipe: IO[str] | None, told: Callable[[str], Any] | None) -> None:
        super().__init__(daemon=True)
        assert pipe is not None
        self._pipe, self._told = pipe, told
        self.lines: list[str] = []
        self.raised: BaseException | None = None
        self.start()

    def run(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self.lines.append(line.rstrip())
                if self._told and not self.raised:
                    try:
                        self._told(self.lines[-1])
                    except BaseException as error:
                        self.raised = error


def _wait(process: subprocess.Popen[str], held: _Held, *readers: threading.Thread) -> bool:
    """Wait for the end of a process and of what it prints; whether it was interrupted on the way."""
    interrupted = False
    while True:
        try:
            held.release()
            for reader in readers:
                reader.join()
            process.wait()
        except KeyboardInterrupt:
            interrupted = True
            process.send_signal(signal.SIGINT)
        else:
            return interrupted
