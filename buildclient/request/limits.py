"""Limits of the RUN instructions: sizes, ulimits, hosts and entitlements, read and worded as docker buildx does.

Reference: github.com/docker/go-units, build/utils.go of buildx 0.38 and util/entitlements of BuildKit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from buildclient.base.errors import InvalidBuild, UsageError

__all__ = ["check_entitlement", "parse_host", "parse_size", "parse_ulimits"]

_SIZE = re.compile(r"([0-9]*\.?[0-9]*) ?([A-Za-z]*)")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_ULIMITS = frozenset(
    """
    core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
    """.split()  # noqa: SIM905 - a table of 15 lines otherwise
)
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_MAX_INTEGER = 1 << 63
_ENTITLEMENTS = frozenset(("network.host", "security.insecure", "device"))
_LOCAL_DELETE = "buildx.local.delete"


def parse_size(text: str, flag: str) -> int:
    """`64m`, `1.5gb`, `1024`: bytes, in units of 1024. Raises UsageError."""
    start = f'invalid argument "{text}" for "{flag}" flag: '
    match = _SIZE.fullmatch(text)
    if match is None or not match.group(1).strip("."):
        raise UsageError(f"{start}invalid size: '{text}'")
    number, suffix = match.group(1), match.group(2).lower()
    unit = suffix.removesuffix("ib") if len(suffix) == 3 else suffix.removesuffix("b") or suffix
    if unit not in _UNITS:
        raise UsageError(f"{start}invalid suffix: '{match.group(2).lower()}'")
    return int(float(number) * _UNITS[unit])


def parse_ulimits(texts: Sequence[str]) -> tuple[str, ...]:
    """`nofile=1024[:2048]` as BuildKit takes them, sorted by name; the last of a name wins. Raises UsageError."""
    found = {}
    for text in texts:
        start = f'invalid argument "{text}" for "--ulimit" flag: '
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
        # The hard limit is read first; so is what is wrong with it.
        hard, soft = (_integer(limit, start) for limit in (limits[-1], limits[0]))
        if hard != -1 and (soft == -1 or soft > hard):
            said = f"soft: -1 (unlimited), hard: {hard}" if soft == -1 else f"{soft} > {hard}"
            raise UsageError(f"{start}ulimit soft limit must be less than or equal to hard limit: {said}")
        found[name] = f"{name}={soft}:{hard}"
    return tuple(found[name] for name in sorted(found))


def parse_host(text: str) -> tuple[str, ...]:
    """`host=ip[,ip]` or `host:ip` as BuildKit's `host=ip`, one an address. Raises UsageError."""
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
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise wrong from None
        entries.append(f"{host}={bare}")
    return tuple(entries)


def check_entitlement(text: str) -> None:
    """Refuses an `--allow` that BuildKit does not know. Raises UsageError."""
    name, equals, _ = text.partition("=")
    if name == _LOCAL_DELETE:
        raise UsageError(f"{_LOCAL_DELETE} is not supported yet: results never delete files")
    if name not in _ENTITLEMENTS or (equals and name != "device"):
        raise InvalidBuild(f"unknown entitlement {text}")


def _integer(text: str, start: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise UsageError(f'{start}strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text)
    if not -_MAX_INTEGER <= value < _MAX_INTEGER:
        raise UsageError(f'{start}strconv.ParseInt: parsing "{text}": value out of range')
    return value
