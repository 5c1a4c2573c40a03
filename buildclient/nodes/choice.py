"""The order in which the pods of a node are asked to take a build. Pure.

Sticky means rendezvous hashing: each pod gets a score from the routing key and its name, and the pods are asked from
the highest score down. So all clients choose alike, and adding or removing a pod moves only the builds of that pod. A
StatefulSet's pods keep their names, so a roll moves none.

The others begin with a random order. Least-loaded then asks the first few how many builds they run: with a few random
choices, the busiest of many pods has hardly more than the mean (Mitzenmacher, The Power of Two Choices, 2001).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence

from buildclient.kube.pod import Pod

__all__ = ["ASKED", "by_load", "ranked", "usable", "window"]

ASKED = 4
"""How many pods are asked for their load before a build goes to the least loaded of them."""
_NEAR, _NEARER = 64, 4
"""A project with more builds than its first pods hold spreads over the pods next in its order, not over all."""
_AT_ONCE = 8
"""How many pods are asked at once for room."""
Shuffled = Callable[[Sequence[Pod]], Sequence[Pod]]


def usable(pods: Sequence[Pod]) -> list[Pod]:
    """Returns the pods that may take a build: ready and not terminating."""
    return [pod for pod in pods if pod.ready and not pod.terminating]


def _shuffled(pods: Sequence[Pod]) -> Sequence[Pod]:
    return random.sample(pods, len(pods))


def ranked(pods: Sequence[Pod], loadbalance: str, key: str, shuffled: Shuffled = _shuffled) -> list[Pod]:
    """Returns the usable pods, the one to ask first at the front: by `key` if `loadbalance` is `sticky`."""
    candidates = usable(pods)
    if loadbalance != "sticky":
        return list(shuffled(candidates))
    # A loop of its own: of a thousand pods, functions called for each take as long as their sums.
    begun = hashlib.sha256(f"{key}\0".encode("utf-8", "surrogateescape")).copy
    scores = []
    for pod in candidates:
        score = begun()
        score.update(pod.name.encode("utf-8", "surrogateescape"))
        scores.append(score.digest())
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    return [candidates[number] for number in order]


def by_load(order: Sequence[Pod], loads: Mapping[str, int], limit: int = 0) -> list[Pod]:
    """Returns the pods of `order` whose load is known and below `limit`, the least loaded first; 0 for no limit.

    `loads` are running builds by the pod's name. Of equals, the first of `order` stays first.
    """
    known = [pod for pod in order if pod.name in loads and not 0 < limit <= loads[pod.name]]
    return sorted(known, key=lambda pod: loads[pod.name])


def window(order: Sequence[Pod], looks: int, shuffled: Shuffled = _shuffled) -> list[Pod]:
    """Returns which pods of `order` to ask for room after `looks` looks in vain, in their order: eight at most.

    The first of the order are always among them. The first look takes the others from those that come next, so that
    their caches serve the project again; later ones take any, so that room is found wherever it is.
    """
    if len(order) <= _AT_ONCE:
        return list(order)
    first, rest = order[:_NEARER], order[_NEARER:]
    others = shuffled(rest[: _NEAR - _NEARER] if not looks else rest)[: _AT_ONCE - _NEARER]
    names = {pod.name for pod in others}
    return [*first, *(pod for pod in rest if pod.name in names)]
