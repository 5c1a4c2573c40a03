"""The Pulumi CLI as a child process that ends in order when the script that drives it is interrupted.

The SDK's own way to run it lets go of its pipes on Ctrl-C: Pulumi then dies of the next line it prints, its lock on
the stack stays, and the state lacks what was made last. Here the interrupt is passed on, and Pulumi is waited for: it
cancels what it does, writes the state and gives the lock back. A second interrupt makes it stop at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

from pulumi import automation as auto
from pulumi.automation.errors import create_command_error

__all__ = ["Command", "interrupt_all"]

_running: set[subprocess.Popen[str]] = set()


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
        """Run one command to its end. Raises CommandError if it fails, KeyboardInterrupt if it was interrupted."""
        process = subprocess.Popen(
            [self.command, "--non-interactive", *args],
            cwd=cwd,
            env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            # of its own, or a terminal's Ctrl-C would reach it besides the one that is passed on: two stop it at once
            process_group=0,
        )
        _running.add(process)
        try:
            out, err = _Lines(process.stdout, on_output), _Lines(process.stderr, on_error)
            interrupted = _wait(process, out, err)
        finally:
            _running.discard(process)
        if interrupted:
            raise KeyboardInterrupt
        result = auto.CommandResult("\n".join(out.lines), "\n".join(err.lines), process.returncode)
        if process.returncode:
            raise create_command_error(result)
        return result


def interrupt_all() -> None:
    """Pass an interrupt on to every Pulumi that runs in this process's threads."""
    for process in tuple(_running):
        process.send_signal(signal.SIGINT)


class _Lines(threading.Thread):
    """Reads a pipe to its end, line by line."""

    def __init__(self, pipe: IO[str] | None, told: Callable[[str], Any] | None) -> None:
        super().__init__(daemon=True)
        assert pipe is not None
        self._pipe, self._told = pipe, told
        self.lines: list[str] = []
        self.start()

    def run(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self.lines.append(line.rstrip())
                if self._told:
                    self._told(self.lines[-1])


def _wait(process: subprocess.Popen[str], *readers: threading.Thread) -> bool:
    """Wait for the end of a process and of what it prints; whether it was interrupted on the way."""
    interrupted = False
    while True:
        try:
            for reader in readers:
                reader.join()
            process.wait()
        except KeyboardInterrupt:
            interrupted = True
            process.send_signal(signal.SIGINT)
        else:
            return interrupted
