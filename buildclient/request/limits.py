"""Limits of the RUN instructions: sizes, ulimits, hosts and entitlements, parsed with docker buildx's messages.

Reference: github.com/docker/go-units, build/utils.go of buildx 0.38 and util/entitlements of BuildKit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.base.gotext import go_quoted
from buildclient.contract.patterns import pattern

__all__ = [
    "LOCAL_DELETE",
    "HostEntry",
    "Ulimit",
    "int64",
    "parse_entitlements",
    "parse_host",
    "parse_hosts",
    "parse_size",
    "parse_ulimits",
    "size_of",
]

_SIZE = pattern(r"([0-9]*(?:\.[0-9]*)?) ?([A-Za-z]*)")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_ULIMITS = frozenset(
    """
    core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
    """.split()  # noqa: SIM905 - a table of 15 lines otherwise
)
_INTEGER = pattern(r"[+-]?[0-9]+", re.ASCII)
_MAX_INTEGER = 1 << 63
_MAX_DIGITS = 4000
_ENTITLEMENTS = frozenset(("network.host", "security.insecure", "device"))
LOCAL_DELETE = "buildx.local.delete"
"""Lets an output with `mode=delete` delete files outside the working directory; the daemon is not told."""


class Ulimit(NamedTuple):
    """A ulimit of the RUN instructions, such as `nofile`; -1 means unlimited."""

    name: str
    soft: int
    hard: int

    def __str__(self) -> str:
        """As BuildKit takes it."""
        return f"{self.name}={self.soft}:{self.hard}"


class HostEntry(NamedTuple):
    """A line of /etc/hosts for the RUN instructions."""

    host: str
    address: str

    def __str__(self) -> str:
        """As BuildKit takes it."""
        return f"{self.host}={self.address}"


def parse_size(text: str, flag: str) -> int:
    """Parses a size such as `64m`, `1.5gb` or `1024` into bytes (`k` is 1024 bytes). Raises UsageError."""
    try:
        return size_of(text)
    except ValueError as error:
        raise UsageError(f"invalid argument {go_quoted(text)} for {go_quoted(flag)} flag: {error}") from None


def size_of(text: str) -> int:
    """As `parse_size`; raises ValueError, with go-units' message."""
    match = _SIZE.fullmatch(text)
    if match is None or not match.group(1).strip("."):
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = match.group(1), match.group(2).lower()
    unit = suffix.removesuffix("ib") if len(suffix) == 3 else suffix.removesuffix("b") or suffix
    if unit not in _UNITS:
        raise ValueError(f"invalid suffix: '{match.group(2).lower()}'")
    size = float(number) * _UNITS[unit]
    if math.isinf(size):
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": value out of range')
    return int(size)


def parse_ulimits(texts: Iterable[str]) -> tuple[Ulimit, ...]:
    """Parses `NAME=SOFT[:HARD]` texts; sorts by name, and the last of a name wins.

        parse_ulimits(["nofile=1024:2048"])

    Raises UsageError.
    """
    found: dict[str, Ulimit] = {}
    for text in texts:
        start = f'invalid argument {go_quoted(text)} for "--ulimit" flag: '
        name, equals, values = text.partition("=")
        if not equals:
            raise UsageError(f"{start}invalid ulimit argument: {text}")
        if name not in _ULIMITS:
            raise UsageError(f"{start}invalid ulimit type: {name}")
        limits = values.split(":")
        if len(limits) > 2:
            raise UsageError(
                f"{start}too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
            )
        # docker buildx parses the hard limit first, and so reports it first.
        hard, soft = (_integer(limit, start) for limit in (limits[-1], limits[0]))
        if hard != -1 and (soft == -1 or soft > hard):
            said = f"soft: -1 (unlimited), hard: {hard}" if soft == -1 else f"{soft} > {hard}"
            raise UsageError(f"{start}ulimit soft limit must be less than or equal to hard limit: {said}")
        found[name] = Ulimit(name, soft, hard)
    return tuple(found[name] for name in sorted(found))


def parse_hosts(texts: Iterable[str]) -> tuple[HostEntry, ...]:
    """Parses `HOST=IP[,IP…]` or `HOST:IP` texts into one entry for each address.

        parse_hosts(["db.example=10.0.0.5"])

    Raises InvalidBuild.
    """
    return tuple(entry for text in texts for entry in parse_host(text))


def parse_host(text: str) -> tuple[HostEntry, ...]:
    """Parses one `HOST=IP[,IP…]` or `HOST:IP` into an entry for each address. Raises UsageError."""
    host, found, addresses = text.partition("=") if "=" in text else text.partition(":")
    wrong = InvalidBuild(f"invalid host {text}")
    if not found or not host or not addresses:
        raise wrong
    if addresses == "host-gateway":
        raise InvalidBuild(
            "unable to derive the IP value for host-gateway: host-gateway is not supported by the kubernetes driver"
        )
    import ipaddress

    entries = []
    for address in addresses.split(","):
        bare = address[1:-1] if len(address) > 2 and address[0] == "[" and address[-1] == "]" else address
        if "%" in bare:  # a zone, which Python takes
            raise wrong
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise wrong from None
        entries.append(HostEntry(host, bare))
    return tuple(entries)


def parse_entitlements(texts: Iterable[str]) -> tuple[str, ...]:
    """Parses `--allow`; skips empty texts. Raises UsageError for an entitlement that BuildKit does not know."""
    found = tuple(filter(None, texts))
    for text in found:
        _check_entitlement(text)
    return found


def _check_entitlement(text: str) -> None:
    name, equals, _ = text.partition("=")
    if name == LOCAL_DELETE:
        if equals:
            raise InvalidBuild(f"{LOCAL_DELETE} does not accept a value")
        return
    if name not in _ENTITLEMENTS or (equals and name != "device"):
        raise InvalidBuild(f"unknown entitlement {text}")


def int64(text: str) -> int:
    """A number of 64 bits. Raises ValueError, with the message of Go's ParseInt."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"strconv.ParseInt: parsing {go_quoted(text)}: invalid syntax")
    # Python's `int` refuses numbers of thousands of digits.
    value = int(text) if len(text) <= _MAX_DIGITS else _MAX_INTEGER
    if not -_MAX_INTEGER <= value < _MAX_INTEGER:
        raise ValueError(f"strconv.ParseInt: parsing {go_quoted(text)}: value out of range")
    return value


def _integer(text: str, start: str) -> int:
    try:
        return int64(text)
    except ValueError as error:
        raise UsageError(f"{start}{error}") from None
