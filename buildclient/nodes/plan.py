"""Decides which node builds which platforms. Pure: asks no cluster.

Rules, for each platform: a node that declares it; else one that declares a platform whose machine also runs it; else
one whose daemon reports it, native or emulated. Among equals, the first node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from buildclient.contract.platform import Platform

__all__ = ["Candidate", "Share", "needs_reports", "plan"]


class Candidate(NamedTuple):
    """A node to choose from."""

    name: str
    declared: tuple[Platform, ...]
    reported: tuple[Platform, ...] | None = None
    """The platforms that its daemon reports; None if it was not asked."""


class Share(NamedTuple):
    """The platforms that one node builds."""

    node: int
    """Its position among the candidates."""
    platforms: tuple[Platform, ...]
    """In the order requested; empty means the node's native platform."""


def needs_reports(candidates: Sequence[Candidate], wanted: Sequence[Platform]) -> bool:
    """Returns whether the daemons have to be asked: there are several nodes, and some platform is declared by none."""
    return len(candidates) > 1 and any(_declaring(candidates, platform) is None for platform in wanted)


def plan(candidates: Sequence[Candidate], wanted: Sequence[Platform]) -> tuple[Share, ...]:
    """Returns the shares, in the order in which their first platforms were requested."""
    if not wanted:
        return (Share(0, ()),)
    shares: dict[int, list[Platform]] = {}
    for platform in dict.fromkeys(wanted):
        node = _declaring(candidates, platform)
        if node is None:
            node = _reporting(candidates, platform)
        shares.setdefault(node or 0, []).append(platform)
    return tuple(Share(node, tuple(platforms)) for node, platforms in shares.items())


def _declaring(candidates: Sequence[Candidate], platform: Platform) -> int | None:
    for strict in (True, False):
        for number, candidate in enumerate(candidates):
            if any(declared.runs(platform, strict=strict) for declared in candidate.declared):
                return number
    return None


def _reporting(candidates: Sequence[Candidate], platform: Platform) -> int | None:
    for strict in (True, False):
        for number, candidate in enumerate(candidates):
            if any(reported.runs(platform, strict=strict) for reported in candidate.reported or ()):
                return number
    return None
