"""`--call`: what the frontend is asked for instead of a build; parsed with docker buildx's messages.

Reference: util/buildflags/callfunc.go of buildx 0.38.
"""

from __future__ import annotations

from typing import NamedTuple

from buildclient.base.csvtext import CsvError, csv_fields
from buildclient.base.errors import UsageError
from buildclient.base.gotext import go_quoted, is_bool, parse_bool

__all__ = ["CallMethod", "parse_call"]

_BUILD = "build"


class CallMethod(NamedTuple):
    """A subrequest of the frontend, and how its answer is printed."""

    name: str
    """`lint`, `outline`, `targets`, or what another frontend may know, without `frontend.` before it."""
    format: str = ""
    """`json` for the answer as it is; anything else for text."""
    ignore_status: bool = False
    """Whether the command ends with 0 although the answer has another status."""


def parse_call(text: str) -> CallMethod | None:
    """Parses `METHOD[,format=json|text][,ignorestatus=true]`; None stands for a build. Raises UsageError."""
    if not text:
        return None
    try:
        fields = csv_fields(text)
    except CsvError as error:
        raise UsageError(str(error), flag="--call") from None
    method = CallMethod("")
    for field in fields:
        key, equals, value = field.partition("=")
        if equals:
            method = _with_option(method, field, key, value)
        elif method.name:
            raise UsageError(f"invalid print value: {text}", flag="--call")
        else:
            method = method._replace(name=field)
    if method.name == _BUILD:
        return None
    return method._replace(name="lint") if method.name == "check" else method


def _with_option(method: CallMethod, field: str, key: str, value: str) -> CallMethod:
    if key == "format":
        return method._replace(format=value)
    if key != "ignorestatus":
        raise UsageError(f"invalid print field: {field}", flag="--call")
    if not is_bool(value):
        problem = f"strconv.ParseBool: parsing {go_quoted(value)}: invalid syntax"
        raise UsageError(f"invalid ignorestatus print value: {value}: {problem}", flag="--call")
    return method._replace(ignore_status=parse_bool(value))
