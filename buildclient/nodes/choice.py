"""Which pod of a node takes a build.

Sticky is rendezvous hashing: every pod gets a score from the routing key and its own name, the highest wins. So a
pod that comes or goes moves only the builds that it wins or had won, and every client reckons alike.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

from buildclient.kube.pod import Pod

__all__ = ["choose_pod", "usable"]


def usable(pods: Sequence[Pod]) -> list[Pod]:
    """The pods that may take a build: ready and not terminating."""
    return [pod for pod in pods if pod.ready and not pod.terminating]


def choose_pod(
    pods: Sequence[Pod],
    loadbalance: str,
    key: str,
    pick: Callable[[Sequence[Pod]], Pod] = random.choice,
) -> Pod | None:
    """A usable pod: by `key` when `loadbalance` is `sticky`, else any; None when there is none."""
    candidates = usable(pods)
    if not candidates:
        return None
    if loadbalance != "sticky":
        return pick(candidates)
    return max(candidates, key=lambda pod: (_score(key, pod.name), pod.name))


def _score(key: str, name: str) -> bytes:
    return hashlib.sha256(f"{key}\0{name}".encode(errors="surrogateescape")).digest()
