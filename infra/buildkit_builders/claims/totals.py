"""What claims take together: pods, requests, limits and volumes, added up with every builder scaled up.

Limits are checked in the order of file and line: a claim that does not fit any more is refused, and those after it are
still tried. An expired claim has no pods, but its volumes are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from buildkit_builders.claims.claim import Claim
from buildkit_builders.claims.platform import Limits, Platform
from buildkit_builders.claims.problem import Problem
from buildkit_builders.claims.resolving import resolve
from buildkit_builders.claims.yamltext import Located
from buildkit_builders.options.quantity import Quantity, parse_quantity
from buildkit_builders.spec import BuilderSpec, NodeSpec

__all__ = ["Amounts", "amounts_of", "amounts_of_nodes", "check_totals", "shown"]

_NONE = Fraction(0)
_BYTES = ("memory", "limits_memory", "storage")


class Amounts(NamedTuple):
    """What builders take, in CPUs, bytes and numbers; fields as those of `Limits`."""

    cpu: Fraction = _NONE
    memory: Fraction = _NONE
    limits_cpu: Fraction = _NONE
    limits_memory: Fraction = _NONE
    storage: Fraction = _NONE
    builders: int = 0
    pods: int = 0

    def plus(self, other: Amounts) -> Amounts:
        """Both together."""
        return Amounts._make(one + two for one, two in zip(_numbers(self), _numbers(other), strict=True))

    def times(self, number: int) -> Amounts:
        """So many of it."""
        return Amounts._make(one * number for one in _numbers(self))


def _numbers(amounts: Amounts) -> tuple[Any, ...]:
    return tuple(amounts)


def amounts_of(claim: Claim, platform: Platform, today: date | None = None, spec: BuilderSpec | None = None) -> Amounts:
    """What a claim's builder takes when all of its nodes are scaled up. `spec` spares resolving it, if it is known."""
    expired = claim.expired(today or date.today())
    if spec is None or expired:
        spec = resolve(replace(claim, expires=None), platform, today).spec()
    total = amounts_of_nodes(spec.nodes)
    return Amounts(storage=total.storage, builders=1) if expired else total._replace(builders=1)


def amounts_of_nodes(nodes: Iterable[NodeSpec]) -> Amounts:
    """What nodes take when they are scaled up; volumes also of nodes that are at rest, which keep them."""
    total = Amounts()
    for node in nodes:
        options = node.options
        pods = options.autoscale_max_replicas or options.replicas
        requests, limits = options.requests(), options.limits()
        volume = options.persistent_volume_claim_requests_storage
        each = Amounts(
            # Kubernetes makes a limit the request where there is none.
            cpu=_value(requests.get("cpu") or limits.get("cpu")),
            memory=_value(requests.get("memory") or limits.get("memory")),
            limits_cpu=_value(limits.get("cpu")),
            limits_memory=_value(limits.get("memory")),
            storage=volume.value if volume else _NONE,
            pods=1,
        )
        total = total.plus(each.times(pods))
    return total


def check_totals(
    claims: Iterable[Claim],
    platform: Platform,
    today: date | None = None,
    specs: Mapping[str, BuilderSpec] = MappingProxyType({}),
) -> Iterator[Problem]:
    """A problem for each claim with which its team, or all of them, would be above a limit.

    `specs` are the claims' builders by their ids, where they are known.
    """
    total = Amounts()
    teams: dict[str, Amounts] = {}
    for claim in claims:
        own = amounts_of(claim, platform, today, specs.get(claim.id))
        team = teams.get(claim.team, Amounts())
        broken = [
            *_broken(team.plus(own), own, platform.limits.of(claim.team), f"team {claim.team}"),
            *_broken(total.plus(own), own, platform.limits.total, "all teams together"),
        ]
        if broken:
            yield from (_problem(claim, name, text) for name, text in broken)
        else:
            total, teams[claim.team] = total.plus(own), team.plus(own)


def shown(name: str, amount: Fraction | int | Quantity) -> str:
    """An amount as Kubernetes writes it: `1500m`, `12Gi`; `name` is a field of Amounts."""
    if isinstance(amount, Quantity):
        return str(amount)
    value = Fraction(amount)
    if name in _BYTES:
        return parse_quantity(f"{int(value / 1024)}Ki").text if value and value % 1024 == 0 else str(int(value))
    return parse_quantity(f"{int(value * 1000)}m").text if value.denominator != 1 else str(value)


def _value(text: str | None) -> Fraction:
    return parse_quantity(text).value if text else _NONE


def _broken(sum: Amounts, own: Amounts, limits: Limits, whose: str) -> Iterator[tuple[str, str]]:
    for name, limit in limits._asdict().items():
        most = limit.value if isinstance(limit, Quantity) else limit
        amount = getattr(sum, name)
        mine = getattr(own, name)
        if most is None or not mine or amount <= most:
            continue
        left = shown(name, max(_NONE, most - (amount - mine)))
        text = f"with its {shown(name, mine)} {_what(name)}, {whose} would have {shown(name, amount)}, and may have "
        yield name, f"{text}{shown(name, limit)} (left: {left})"


def _what(name: str) -> str:
    return {
        "cpu": "requested CPU",
        "memory": "requested memory",
        "limits_cpu": "CPU limit",
        "limits_memory": "memory limit",
        "storage": "volumes",
        "builders": "builder",
        "pods": "pods",
    }[name]


def _problem(claim: Claim, name: str, text: str) -> Problem:
    key = "scaling" if name == "pods" else "name" if name == "builders" else "size"
    return Problem(claim.file, Located(None, claim.line, claim.lines).line_of(key), f"{key}: {text}", claim=claim.id)
