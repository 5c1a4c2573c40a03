"""`--platform` as docker buildx reads it, with the messages of containerd's `platforms` package."""

from __future__ import annotations

import re
from collections.abc import Iterable

from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_quoted
from buildclient.contract.patterns import pattern
from buildclient.contract.platform import Platform, PlatformError, os_option, parse_platform

__all__ = ["read_platforms"]

_PART = pattern(r"[A-Za-z0-9_.-]+")
_OS = pattern(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?")


def read_platforms(texts: Iterable[str | Platform], machine: str) -> tuple[Platform, ...]:
    """Parses platforms, each text possibly a comma-separated list; drops duplicates.

    `machine` is the platform that `local` stands for. Raises UsageError.
    """
    found: dict[Platform, None] = {}
    for text in texts:
        if isinstance(text, Platform):
            found[text] = None
            continue
        for one in text.split(","):
            found[_read(machine if machine and one.lower() == "local" else one)] = None
    return tuple(found)


def _read(text: str) -> Platform:
    if problem := _problem(text):
        raise InvalidBuild(problem)
    try:
        return parse_platform(text)
    except PlatformError:
        said = "unknown operating system or architecture" if "/" not in text else "cannot parse platform specifier"
        raise InvalidBuild(f"{go_quoted(text)}: {said}: invalid argument") from None


def _problem(text: str) -> str:
    if "*" in text:
        return f"{go_quoted(text)}: wildcards not yet supported: invalid argument"
    # At most four parts, as in containerd's Parse.
    system, *parts = text.split("/", 3)
    match = _OS.fullmatch(system)
    if match is None:
        return (
            f"{go_quoted(system)} is an invalid OS component of {go_quoted(text)}: "
            f'OSAndVersion specifier component must match "^{_quoted(_OS)}$": invalid argument'
        )
    if problem := _option_problem(match.group(2) or "", (match.group(3) or "").split("+")[1:]):
        return f"{go_quoted(text)} {problem}"
    for part in parts:
        if not _PART.fullmatch(part):
            return (
                f"{go_quoted(part)} is an invalid component of {go_quoted(text)}: "
                f'platform specifier component must match "^{_quoted(_PART)}$": invalid argument'
            )
    return ""


def _option_problem(version: str, features: list[str]) -> str:
    """What is wrong with the escapes in an operating system's brackets."""
    try:
        os_option(version)
    except PlatformError as error:
        return f"has an invalid OS version {go_quoted(version)}: {error}"
    for feature in features:
        try:
            os_option(feature)
        except PlatformError as error:
            return f"has invalid OS features: invalid os feature {go_quoted(feature)}: {error}"
    return ""


def _quoted(pattern: re.Pattern[str]) -> str:
    return pattern.pattern.replace("\\", "\\\\")
