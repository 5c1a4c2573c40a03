"""Programs that are run for what they print: credential helpers, exec plugins of kubeconfigs, the Pulumi CLI."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildclient.base.oserrors import reason

__all__ = ["MAX_OUTPUT", "HelperAnswer", "HelperError", "run_helper"]

MAX_OUTPUT = 64 << 20
"""Bytes that a helper may print; the state of a large Pulumi stack has some."""
_CHUNK = 64 << 10


class HelperError(Exception):
    """A helper that did not come to an end of its own; the message goes behind its name: `cannot be run: …`."""

    def __init__(self, message: str, *, missing: bool = False, late: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
        """Whether there is no such program."""
        self.late = late
        """Whether it took longer than it may."""


class HelperAnswer(NamedTuple):
    """How a helper ended."""

    status: int
    stdout: bytes
    stderr: bytes
    """Empty where it went to the terminal."""

    @property
    def last_line(self) -> str:
        """The last line of standard error; empty if there is none."""
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def run_helper(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    timeout: float,
    log: logging.Logger,
    called: str,
    given: bytes = b"",
    folder: str | None = None,
    interactive: bool = False,
) -> HelperAnswer:
    """Runs a program to its end, in at most `timeout` seconds, with `given` on its standard input.

    An `interactive` one has this process's standard input and error instead. `called` is its name in the log. Raises
    HelperError, also for one that prints more than MAX_OUTPUT; a status that is not 0 is an answer.
    """
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            env=environ,
            cwd=folder,
            stdin=None if interactive else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if interactive else subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise HelperError(f"cannot be run: {reason(error)}", missing=True) from None
    except OSError as error:
        raise HelperError(f"cannot be run: {reason(error)}") from None
    except ValueError:
        # A zero byte in a name or an argument.
        raise HelperError("cannot be run: its command or environment has a zero byte") from None
    try:
        stdout, stderr = _exchange(process, given, began + timeout)
        process.wait(max(0.0, began + timeout - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise HelperError(f"did not end within {timeout:.0f} s", late=True) from None
    finally:
        process.kill()
        process.wait()
        for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
            # What is still in its buffer nobody reads.
            with contextlib.suppress(OSError):
                stream.close()
    log.debug("%s: status %d in %.0f ms", called, process.returncode, 1000 * (time.monotonic() - began))
    return HelperAnswer(process.returncode, stdout, stderr)


def _exchange(process: subprocess.Popen[bytes], given: bytes, deadline: float) -> tuple[bytes, bytes]:
    """Writes and reads until both outputs end. Raises TimeoutExpired, HelperError for more than MAX_OUTPUT."""
    import selectors

    found = {stream: bytearray() for stream in (process.stdout, process.stderr) if stream is not None}
    left = memoryview(given)
    with selectors.DefaultSelector() as waiting:
        for stream in found:
            waiting.register(stream, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            waiting.register(process.stdin, selectors.EVENT_WRITE)
        while waiting.get_map():
            ready = waiting.select(max(0.0, deadline - time.monotonic()))
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(process.args, deadline)
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    left = _written(key.fd, left)
                    if not left:
                        waiting.unregister(process.stdin)
                        process.stdin.close()
                elif data := os.read(key.fd, _CHUNK):
                    found[key.fileobj] += data  # type: ignore[index]
                    if sum(map(len, found.values())) > MAX_OUTPUT:
                        raise HelperError(f"printed more than {MAX_OUTPUT >> 20} MiB")
                else:
                    waiting.unregister(key.fileobj)
    outputs = [bytes(found[stream]) if stream is not None else b"" for stream in (process.stdout, process.stderr)]
    return outputs[0], outputs[1]


def _written(handle: int, data: memoryview) -> memoryview:
    """Writes what the pipe takes; returns the rest, none where nobody reads it."""
    try:
        return data[os.write(handle, data) :] if data else data
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return data[:0]
