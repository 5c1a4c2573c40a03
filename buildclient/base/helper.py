"""Programs that are run for what they print: credential helpers, exec plugins of kubeconfigs, the Pulumi CLI."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildclient.base.oserrors import reason

__all__ = ["HelperAnswer", "HelperError", "run_helper"]


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
    HelperError; a status that is not 0 is an answer.
    """
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            env=environ,
            cwd=folder,
            input=None if interactive else given,
            stdout=subprocess.PIPE,
            stderr=None if interactive else subprocess.PIPE,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise HelperError(f"cannot be run: {reason(error)}", missing=True) from None
    except OSError as error:
        raise HelperError(f"cannot be run: {reason(error)}") from None
    except ValueError:
        # A zero byte in a name or an argument.
        raise HelperError("cannot be run: its command or environment has a zero byte") from None
    except subprocess.TimeoutExpired:
        raise HelperError(f"did not end within {timeout:.0f} s", late=True) from None
    log.debug("%s: status %d in %.0f ms", called, done.returncode, 1000 * (time.monotonic() - began))
    return HelperAnswer(done.returncode, done.stdout, done.stderr or b"")
