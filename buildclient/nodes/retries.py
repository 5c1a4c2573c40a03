"""Decides whether a build that lost its daemon is taken up again, where, and after how long. Pure.

Rules: only a daemon that was lost is a reason; what the daemon said about the build is its result, whatever that is.
A build is taken up at most `Retries.limit` times on each node. The pauses grow, and are spread by chance, so that the
builds that one fault hits do not all come back at once. A pod that was silent is the last to be asked again; one whose
connection broke may be well, and has the cache.
"""

from __future__ import annotations

from typing import NamedTuple

from buildclient.base.errors import DaemonLost

__all__ = ["RETRIES", "Again", "Fault", "Retries", "decide", "fault_of"]


class Retries(NamedTuple):
    """How often and how soon a build is taken up again."""

    limit: int = 2
    """How many times on each node; 0 for never."""
    first_pause: float = 1.0
    """Seconds before the first time."""
    growth: float = 3.0
    """By how much each further pause is longer."""
    longest_pause: float = 30.0
    """Seconds."""
    reach: float = 30.0
    """Seconds in which a daemon must be reached again, on top of the time that pods have to become ready."""


RETRIES = Retries()


class Fault(NamedTuple):
    """What ended a try."""

    lost: bool
    """Whether the daemon was lost, rather than that it answered, refused this user or was never there."""
    silent: bool = False
    """Whether the daemon fell silent, rather than that its connection broke."""
    final: str = ""
    """Why what has been written of the result cannot be written again; empty if it can."""


class Again(NamedTuple):
    """The decision about one fault."""

    again: bool
    pause: float = 0.0
    """Seconds before the next try."""
    avoid: bool = False
    """Whether another pod is better than the one that was lost."""
    why: str = ""
    """Why there is no next try, for the user; empty where the error says all."""


def fault_of(error: BaseException, final: str = "") -> Fault:
    """Returns what an exception of a try means; `final` is why the result cannot be written again."""
    if not isinstance(error, DaemonLost):
        return Fault(lost=False)
    return Fault(True, error.silent, final)


def decide(fault: Fault, made: int, rules: Retries, chance: float) -> Again:
    """Returns what follows a fault after `made` earlier retries; `chance` is a random number in [0, 1)."""
    if not fault.lost or rules.limit <= 0:
        return Again(False)
    if fault.final:
        return Again(False, why=f"not taken up again: {fault.final}")
    if made >= rules.limit:
        return Again(False, why=f"given up after {made + 1} tries")
    longest = min(rules.longest_pause, rules.first_pause * rules.growth**made)
    return Again(True, longest * (0.5 + chance / 2), fault.silent)
