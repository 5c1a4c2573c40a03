"""Which node builds which platforms. Decides only; nothing is asked of a cluster here.

Rules, for each platform in turn: a node that declares it; else one that declares a platform whose machine also runs
it; else one whose daemon reports it, natively or by emulation. Among equals the first node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from buildclient.base.errors import UsageError
from buildclient.contract.platform import Platform, format_platforms

__all__ = ["Candidate", "Share", "needs_reports", "plan"]


class Candidate(NamedTuple):
    """A node as the plan sees it."""

    name: str
    declared: tuple[Platform, ...]
    reported: tuple[Platform, ...] | None = None
    """What its daemon says it can run; None when it was not asked."""


class Share(NamedTuple):
    """What one node builds."""

    node: int
    """Its position among the candidates."""
    platforms: tuple[Platform, ...]
    """In the order asked; empty means the node's native platform."""


def needs_reports(candidates: Sequence[Candidate], wanted: Sequence[Platform]) -> bool:
    """Whether the daemons have to be asked, because some platform is declared by no node."""
    return any(_declaring(candidates, platform) is None for platform in wanted)


def plan(candidates: Sequence[Candidate], wanted: Sequence[Platform]) -> tuple[Share, ...]:
    """Shares in the order in which their first platforms were asked for.

    Raises UsageError that names the platforms nobody can build, and what each node offers.
    """
    if not wanted:
        return (Share(0, ()),)
    shares: dict[int, list[Platform]] = {}
    missing = []
    for platform in dict.fromkeys(wanted):
        node = _declaring(candidates, platform)
        if node is None:
            node = _reporting(candidates, platform)
        if node is None:
            missing.append(platform)
        else:
            shares.setdefault(node, []).append(platform)
    if missing:
        offers = "; ".join(f"{c.name}: {format_platforms(c.reported or c.declared) or 'nothing'}" for c in candidates)
        raise UsageError(
            f"no node of this builder can build {format_platforms(missing)} ({offers}). "
            "Add a node for it, or emulate it with the driver option qemu.install=true"
        )
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
