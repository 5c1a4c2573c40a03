"""Versions as tuples of numbers: found in what a program prints, compared, written."""

from __future__ import annotations

import re

__all__ = ["Version", "parse_version", "write_version"]

Version = tuple[int, ...]

_NUMBER = re.compile(r"(?<![\w.])v?(\d+(?:\.\d+)+)")


def parse_version(text: str) -> Version | None:
    """The first version in a program's output: `Kubernetes v1.36.3` gives (1, 36, 3); None when there is none.

    What follows the numbers (`-rc1`, Debian's `~ds1`) does not count.
    """
    found = _NUMBER.search(text)
    return tuple(int(part) for part in found[1].split(".")) if found else None


def write_version(version: Version) -> str:
    """As people write it: (1, 36) gives `1.36`."""
    return ".".join(map(str, version))
