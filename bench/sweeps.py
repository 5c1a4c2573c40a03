"""How both clients do as one quantity grows: the plots of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.cases import CASES, Case, Line, run
from bench.curves import curves
from bench.ground import Ground

__all__ = ["SWEEPS", "Sweep", "drawn"]


class Sweep(NamedTuple):
    """A quantity, its values, and the case at each."""

    name: str
    title: str
    quantity: str
    at: Sequence[float]
    case: Callable[[float], Case]
    scale: Callable[[float], float] = lambda _: 1.0
    """What the case's context is multiplied with."""


_BY_NAME = {case.name: case for case in CASES}
_CACHED, _LARGE, _MANY, _TEXT, _CROWD = (
    _BY_NAME[name] for name in ("cached", "large", "many-first", "text-10MBps", "ten-commands")
)

SWEEPS = (
    Sweep(
        "size", "A context of one file of random bytes", "MB", (3, 30, 100),
        lambda _: _LARGE, lambda size: size / 300,
    ),
    Sweep(
        "files", "A context of small files, first", "files", (100, 1000, 3000),
        lambda _: _MANY, lambda count: count / 20_000,
    ),
    Sweep(
        "rtt", "Rebuild, all cached, over a link", "ms of a round trip", (0, 10, 30, 60, 100),
        lambda milliseconds: _CACHED._replace(line=Line(milliseconds / 1000)),
    ),
    Sweep(
        "rate", "A context of 18 MB of text, 30 ms", "MB/s", (1, 3, 10, 30),
        lambda megabytes: _TEXT._replace(line=Line(0.03, megabytes * 1e6)), lambda _: 0.3,
    ),
    Sweep(
        "at-once", "Rebuilds at once, all cached, a command each", "builds", (1, 2, 5, 10),
        lambda count: _CROWD._replace(at_once=int(count)),
    ),
)  # fmt: skip


def drawn(ground: Ground, sweep: Sweep, rounds: int) -> str:
    """Measures a sweep and draws it. Raises BenchError."""
    ours, theirs = [], []
    for number, value in enumerate(sweep.at):
        case = sweep.case(value)._replace(name=f"{sweep.name}-{number}")
        pair = run(ground, case, scale=sweep.scale(value), rounds=rounds)
        ours.append(pair.seconds("ours"))
        theirs.append(pair.seconds("buildx"))
    return curves(sweep.title, sweep.quantity, sweep.at, {"ours": ours, "docker buildx": theirs})
