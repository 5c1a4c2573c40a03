"""`buildclient build --call`: prints what the frontend answers, on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from buildclient.base.errors import BuildFailed, ClientError
from buildclient.base.oserrors import reason
from buildclient.base.visible import visible
from buildclient.request.callmethod import CallMethod
from buildclient.results.subrequest_text import answer_text, check_error_text
from buildclient.results.subrequests import read_check

__all__ = ["dockerfile_name", "print_answer", "print_text"]


def print_answer(method: CallMethod, response: Mapping[str, str], dockerfile: str) -> int:
    """Prints an answer and returns the command's exit status.

    `dockerfile` is the name to print for the Dockerfile. Raises BuildFailed for a Dockerfile that cannot be built and
    for an answer that cannot be read.
    """
    print_text(answer_text(method, response, dockerfile))
    if method.name == "lint" and (why := check_error_text(read_check(response), dockerfile)):
        raise BuildFailed(why)
    status = response.get("result.statuscode", "")
    if method.ignore_status or not (status.isascii() and status.isdecimal() and len(status) < 10):
        return 0
    # Of a larger number the system would keep the last eight bits, of which all may be zero.
    return min(int(status), 255)


def dockerfile_name(context: str, dockerfile: str) -> str:
    """Returns the Dockerfile's name as docker buildx prints it: as it was given, else in the context."""
    if dockerfile:
        return "stdin" if dockerfile == "-" else dockerfile
    path = os.path.normpath(f"{context}/Dockerfile")
    return path[1:] if path.startswith("//") else path


def print_text(text: str) -> None:
    """Prints what a frontend wrote. Raises ClientError if that is impossible."""
    # What others wrote could steer a terminal; a file or a pipe gets the bytes as they are.
    if sys.stdout.isatty():
        text = visible(text)
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(errors="surrogateescape"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Whoever reads has enough.
        raise
    except OSError as error:
        raise ClientError(f"cannot write the answer to standard output: {reason(error)}") from None
