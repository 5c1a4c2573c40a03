"""Numbered steps with their times, and the commands that they run."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

__all__ = ["DemoError", "Shell", "Step", "fail", "run_steps"]

ROOT = Path(__file__).resolve().parent.parent.parent
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 60
"""Seconds that an interrupted command has to come to an orderly end."""


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do, in one or two lines."""


class Step(NamedTuple):
    """One step: what it does, in the words a newcomer reads, and the function that does it."""

    title: str
    act: Callable[[], None]


class Shell:
    """Runs commands in the clone, or in another folder, with the demo's environment."""

    def __init__(self, environment: dict[str, str] | None = None, folder: Path = ROOT) -> None:
        self.environment, self.folder = dict(environment or os.environ), folder

    def run(self, *command: str, timeout: float, show: bool = True) -> None:
        """Runs a command with its output on the terminal. Raises DemoError when it fails or takes `timeout` s.

        In a process group of its own, so that a Ctrl-C reaches it once, by way of us: a second one would keep
        Pulumi from writing down what it has made and from giving up its lock.
        """
        if show:
            self._show(command)
        if status := self._status(command, timeout):
            raise DemoError(f"{shlex.join(_short(command))} ended with status {status}; its own message is above")

    def refused(self, *command: str, timeout: float, saying: str) -> None:
        """Runs a command that is to fail and to say something. Raises DemoError where it does not."""
        self._show(command)
        said: list[str] = []
        status = self._status(command, timeout, said)
        if not status or saying not in "".join(said):
            raise DemoError(f"{shlex.join(_short(command))} ended with status {status}, and should have said: {saying}")

    def _show(self, command: Sequence[str]) -> None:
        _print(f"  $ {shlex.join(_short(command))}")

    def _status(self, command: Sequence[str], timeout: float, said: list[str] | None = None) -> int:
        """A command's status; `said` gets what it writes, which is printed as it comes."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            # Held back until the child is waited for: in between, an interrupt would leave it running.
            signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
            child = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                process_group=0,
                preexec_fn=functools.partial(_hear_interrupts, mask),
                stdout=None if said is None else subprocess.PIPE,
                stderr=None if said is None else subprocess.STDOUT,
            )
            with _passed_on(child.stdout, said):
                return _awaited(child, timeout, mask)
        except subprocess.TimeoutExpired:
            raise DemoError(f"{shlex.join(_short(command))} did not end within {timeout:.0f} s") from None
        except OSError as error:
            raise DemoError(f"cannot run {command[0]}: {error.strerror}") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def read(self, *command: str, timeout: float = 60) -> str:
        """A command's standard output. Raises DemoError with its last error line when it fails."""
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self.environment,
                timeout=timeout,
                check=False,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise DemoError(f"{shlex.join(_short(command))} did not end within {timeout:.0f} s") from None
        except OSError as error:
            raise DemoError(f"cannot run {command[0]}: {error.strerror}") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"status {done.returncode}"]
            raise DemoError(f"{shlex.join(_short(command))} failed: {lines[-1].strip()}")
        return done.stdout


@contextlib.contextmanager
def _passed_on(output: IO[bytes] | None, said: list[str] | None) -> Iterator[None]:
    """Prints what a command writes, line by line, and keeps it in `said`; all of it, when the context is left."""
    if output is None or said is None:
        yield
        return

    def copy() -> None:
        for line in output:
            said.append(line.decode(errors="replace"))
            print(said[-1], end="", flush=True)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(5)  # what the command itself has left running may hold the pipe


def _hear_interrupts(mask: Iterable[int]) -> None:
    """In the child: what a shell starts with `&` inherits an ignored SIGINT, and would not hear ours."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _awaited(child: subprocess.Popen[bytes], timeout: float, mask: Iterable[int]) -> int:
    """Status of a command that leads a process group; interrupted or too slow, the group is ended before it raises.

    `mask` says which signals are held back meanwhile.
    """
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return child.wait(timeout)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(child.pid, signal.SIGINT)
            child.wait(_GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise


def run_steps(steps: Sequence[Step]) -> None:
    """Runs the steps in order, saying which of how many, what it does and how long it took."""
    started = time.monotonic()
    for number, step in enumerate(steps, 1):
        _print(f"\nStep {number} of {len(steps)}: {step.title}")
        before = time.monotonic()
        try:
            step.act()
        except DemoError as error:
            raise DemoError(f"step {number} of {len(steps)} ({step.title}): {error}") from None
        _print(f"Step {number} of {len(steps)}: done in {time.monotonic() - before:.1f} s")
    _print(f"\nAll {len(steps)} steps done in {time.monotonic() - started:.0f} s.")


def _print(text: str) -> None:
    print(text, flush=True)


def _short(command: Sequence[str]) -> list[str]:
    """The command as one would type it: without the folders of the environment's own tools."""
    first = Path(command[0])
    return [first.name if first.is_absolute() else command[0], *command[1:]]


def fail(error: DemoError) -> int:
    """Prints the error as the last line and gives the exit status."""
    print(f"\nERROR: {error}", file=sys.stderr, flush=True)
    return 1
