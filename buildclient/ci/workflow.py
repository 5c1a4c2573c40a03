"""What a step tells the runner: outputs, the job summary, annotations.

Reference: docs.github.com, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from buildclient.base.errors import UsageError
from buildclient.base.oserrors import reason
from buildclient.base.visible import visible
from buildclient.contract.patterns import pattern
from buildclient.progress.events import Warned, distinct

__all__ = ["annotation", "append", "error_line", "output_text", "print_apart", "warning_annotations"]

_MOST = 10
"""Annotations of a kind that GitHub shows of a step."""
_HEADING = pattern(r"[^\n]*:(\d{1,9})\n-{20}\n")


def output_text(outputs: Mapping[str, str]) -> str:
    """Returns outputs as the file GITHUB_OUTPUT wants them; a value may have lines."""
    parts = []
    for name, value in outputs.items():
        # Unguessable, so that no value can end it and set another output.
        mark = f"end_{uuid.uuid4().hex}"
        parts.append(f"{name}<<{mark}\n{value}\n{mark}\n")
    return "".join(parts)


def append(path: str, text: str) -> None:
    """Appends to a file of the runner; does nothing where `path` is empty. Raises UsageError."""
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {reason(error)}") from None


def annotation(kind: str, message: str, *, file: str = "", line: int = 0, title: str = "") -> str:
    """Returns the command that shows a message (`error`, `warning`) beside a line of a file."""
    values = {"file": file, "line": str(line) if file and line else "", "title": title}
    properties = ",".join(f"{name}={_property(value)}" for name, value in values.items() if value)
    return f"::{kind}{properties and ' '}{properties}::{_data(visible(message))}"


def warning_annotations(warnings: Sequence[Warned], file: str) -> Iterator[str]:
    """Returns the build checks' warnings as annotations of the Dockerfile `file`."""
    for one in distinct(warnings)[:_MOST]:
        rule, colon, text = one.short.partition(": ")
        line = one.ranges[0].start if one.ranges else 0
        more = f"\nMore info: {one.url}" if one.url else ""
        title, message = (rule, text) if colon else ("", one.short)
        yield annotation("warning", message + more, file=file, line=line, title=title)


def error_line(sources: Sequence[str]) -> int:
    """Returns the line of the Dockerfile that an error's excerpts are about; 0 where they tell none."""
    found = _HEADING.match(sources[0]) if sources else None
    return int(found[1]) if found else 0


def print_apart(text: str, out: TextIO) -> None:
    """Prints text of others, in which the runner then finds no commands."""
    mark = uuid.uuid4().hex
    print(f"::stop-commands::{mark}\n{visible(text)}\n::{mark}::", file=out, flush=True)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(visible(text)).replace(":", "%3A").replace(",", "%2C")
