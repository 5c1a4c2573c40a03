"""A plugin that is a Python program: a folder with `__main__.py`, started as Pulumi starts executables."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from standins.language.environment import activated

__all__ = ["plugin"]

_GRACE = 5.0
"""Seconds between SIGINT and SIGKILL, as Pulumi gives executables."""
_CHUNK = 1 << 16


@contextmanager
def plugin(python: Path, request: Any, on_cancel: Callable[[Callable[[], None]], Any]) -> Iterator[Iterator[Any]]:
    """Starts the program of a RunPluginRequest, and ends it in the end or when `on_cancel`'s callback is called.

    Yields the fields of its responses: `stdout` and `stderr` as they come, and `exitcode` last.
    """
    environment = dict(one.split("=", 1) for one in request.env if "=" in one)
    process = subprocess.Popen(
        [str(python), "-u", request.info.program_directory, *request.args],
        cwd=request.pwd,
        env=activated(python, environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        on_cancel(lambda: _interrupt(process))
        yield _output(process)
    finally:
        _end(process)


def _output(process: subprocess.Popen[bytes]) -> Iterator[Mapping[str, Any]]:
    queue: SimpleQueue[Mapping[str, Any] | None] = SimpleQueue()
    streams = {"stdout": process.stdout, "stderr": process.stderr}
    for name, stream in streams.items():
        threading.Thread(target=_read, args=(name, stream, queue), daemon=True).start()
    for _ in streams:
        while (message := queue.get()) is not None:
            yield message
    yield {"exitcode": process.wait()}


def _read(name: str, stream: IO[bytes], queue: SimpleQueue[Mapping[str, Any] | None]) -> None:
    while chunk := stream.read1(_CHUNK):  # type: ignore[attr-defined]
        queue.put({name: chunk})
    queue.put(None)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)


def _end(process: subprocess.Popen[bytes]) -> None:
    _interrupt(process)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
