"""`--platform` as docker buildx reads it, with the messages of containerd's `platforms` package."""

from __future__ import annotations

import re
from collections.abc import Iterable

from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_quoted
from buildclient.contract.platform import Platform, PlatformError, parse_platform

__all__ = ["read_platforms"]

_PART = re.compile(r"[A-Za-z0-9_.-]+")
_OS = re.compile(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?")


def read_platforms(texts: Iterable[str | Platform], machine: str) -> tuple[Platform, ...]:
    """Parses platforms, each text possibly a comma-separated list; drops duplicates.

    `machine` is the platform that `local` stands for. Raises UsageError.
    """
    found: dict[Platform, None] = {}
    for text in texts:
        if isinstance(text, Platform):
            found[text] = None
            continue
        for one in text.split(",") if text else ():
            found[_read(machine if machine and one.lower() == "local" else one)] = None
    return tuple(found)


def _read(text: str) -> Platform:
    if problem := _problem(text):
        raise InvalidBuild(f"{problem}: invalid argument")
    try:
        return parse_platform(text)
    except PlatformError:
        said = "unknown operating system or architecture" if "/" not in text else "cannot parse platform specifier"
        raise InvalidBuild(f"{go_quoted(text)}: {said}: invalid argument") from None


def _problem(text: str) -> str:
    if "*" in text:
        return f"{go_quoted(text)}: wildcards not yet supported"
    # At most four parts, as in containerd's Parse.
    for number, part in enumerate(text.split("/", 3)):
        if number == 0 and not _OS.fullmatch(part):
            return (
                f"{go_quoted(part)} is an invalid OS component of {go_quoted(text)}: "
                f'OSAndVersion specifier component must match "^{_quoted(_OS)}$"'
            )
        if number and not _PART.fullmatch(part):
            return (
                f"{go_quoted(part)} is an invalid component of {go_quoted(text)}: "
                f'platform specifier component must match "^{_quoted(_PART)}$"'
            )
    return ""


def _quoted(pattern: re.Pattern[str]) -> str:
    return pattern.pattern.replace("\\", "\\\\")
