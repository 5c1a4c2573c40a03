"""`--resource` and docker build's flags for it (`--memory`, `--cpu-quota`, …): limits of each RUN instruction.

Reference: ParseResourceLimits and addResourceLimits of buildx 0.38 (build/utils.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_quoted
from buildclient.request.limits import int64, size_of

__all__ = ["RESOURCES", "Resources", "parse_resources"]

_ATTRS = {
    "memory": "memory",
    "memory_swap": "memswap",
    "cpu_shares": "cpushares",
    "cpu_period": "cpuperiod",
    "cpu_quota": "cpuquota",
    "cpuset_cpus": "cpusetcpus",
    "cpuset_mems": "cpusetmems",
}
"""Names of fields, and of the frontend attributes that BuildKit reads."""


class Resources(NamedTuple):
    """Limits of the RUN instructions; a zero and an empty text set none."""

    memory: int = 0
    """In bytes."""
    memory_swap: int = 0
    """Memory and swap together, in bytes; -1 means unlimited."""
    cpu_shares: int = 0
    """A relative weight."""
    cpu_period: int = 0
    """In microseconds, as `cpu_quota`."""
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    """Such as `0-3` or `0,1`, as `cpuset_mems`."""
    cpuset_mems: str = ""

    @property
    def attrs(self) -> dict[str, str]:
        """The frontend attributes of the limits that are set."""
        values = self._asdict()
        # Only swap may be negative: without end.
        wanted = {name: value for name, value in values.items() if value and (isinstance(value, str) or value > 0)}
        if self.memory_swap:
            wanted["memory_swap"] = self.memory_swap
        return {_ATTRS[name]: str(value) for name, value in wanted.items()}


def parse_resources(texts: Iterable[str]) -> Resources:
    """Parses `NAME=VALUE` texts, such as `memory=2g` and `cpu-quota=50000`; the last of a name wins.

    Raises InvalidBuild.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidBuild(f"invalid resource {go_quoted(text)}, expected key=value")
        name, value = name.strip(), value.strip()
        if name not in RESOURCES:
            raise InvalidBuild(f"unknown resource {go_quoted(name)}")
        try:
            found[name.replace("-", "_")] = RESOURCES[name](value)
        except ValueError as error:
            raise InvalidBuild(f"invalid value {go_quoted(value)} for resource {name}: {error}") from None
    return Resources()._replace(**found)


def _swap(text: str) -> int:
    return -1 if text == "-1" else size_of(text)


RESOURCES: Mapping[str, Callable[[str], int | str]] = {
    "memory": size_of,
    "memory-swap": _swap,
    "cpu-shares": int64,
    "cpu-period": int64,
    "cpu-quota": int64,
    "cpuset-cpus": str,
    "cpuset-mems": str,
}
"""The names, and what reads each one's value."""
