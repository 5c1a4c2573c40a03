"""Chooses the pod of a node that takes a build.

Sticky means rendezvous hashing: each pod gets a score from the routing key and its name, and the highest score wins.
So adding or removing a pod moves only the builds of that pod, and all clients choose alike.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

from buildclient.kube.pod import Pod

__all__ = ["choose_pod", "usable"]


def usable(pods: Sequence[Pod]) -> list[Pod]:
    """Returns the pods that may take a build: ready and not terminating."""
    return [pod for pod in pods if pod.ready and not pod.terminating]


def choose_pod(
    pods: Sequence[Pod],
    loadbalance: str,
    key: str,
    pick: Callable[[Sequence[Pod]], Pod] = random.choice,
) -> Pod | None:
    """Returns a usable pod, or None: by `key` if `loadbalance` is `sticky`, else a random one."""
    candidates = usable(pods)
    if not candidates:
        return None
    if loadbalance != "sticky":
        return pick(candidates)
    return max(candidates, key=lambda pod: (_score(key, pod.name), pod.name))


def _score(key: str, name: str) -> bytes:
    return hashlib.sha256(f"{key}\0{name}".encode(errors="surrogateescape")).digest()
