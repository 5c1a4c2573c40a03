"""A plugin's life: serve gRPC on a free loopback port, print the port, end with the Pulumi CLI."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

__all__ = ["announced", "engine_address", "serve", "unlimited"]

# An operation that waits for pods keeps its thread; Pulumi runs as many at once as it likes (16 a processor, or more
# by --parallel), and a thread that is not needed is never started.
_THREADS = 512

# State of one resource may be large (a ConfigMap of 1 MiB, several times over).
unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def announced() -> bool:
    """Whether the user was told already that stand-ins are in use (`localcluster` sets the variable)."""
    return bool(os.environ.get("STANDINS_ANNOUNCED"))


def engine_address(arguments: Sequence[str]) -> str:
    """The engine's `host:port`: the last argument; what stands before it are logging and tracing flags."""
    if not arguments:
        raise SystemExit("this plugin is started by the Pulumi CLI, which gives the engine's address")
    return arguments[-1]


def serve(register: Callable[[grpc.Server], None], *, on_end: Callable[[], None] = lambda: None) -> None:
    """Serves until SIGINT or SIGTERM comes or the process that started us ends.

    Pulumi reads the port from the first line of standard output. It starts plugins in a process group of their own (so
    the terminal's ^C does not reach them; it asks for a cancellation by RPC), ends them with SIGINT, and waits five
    seconds before SIGKILL for those that do not leave.
    """
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=unlimited)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _leave(on_end))
    print(port, flush=True)
    _wait_for_end_of(os.getppid())
    _leave(on_end)


def _wait_for_end_of(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    # Not select: it takes no descriptor above 1023.
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    waiting.poll()


def _leave(on_end: Callable[[], None]) -> Any:
    on_end()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: threads that still wait for a cluster must not hold the process up.
    os._exit(0)
