"""Services: ready when an address is there (LoadBalancer) and the endpoints have come to rest."""

from __future__ import annotations

from collections.abc import Sequence

from standins.provider.await_.readiness import Following, Message, Source
from standins.provider.objects import Object, dig, name_of

__all__ = ["ServiceReadiness"]

_SETTLE_SECONDS = 1.0
"""How long the endpoints must stay unchanged. (The real provider waits ten seconds.)"""


class ServiceReadiness(Following):
    """Follows one Service and its endpoints."""

    def __init__(self, live: Object) -> None:
        super().__init__(live)
        self._endpoints: Object = {}
        self._rests_at: float | None = None
        self._done = False
        self._finding = True

    def sources(self) -> Sequence[Source]:
        """The Service and its Endpoints."""
        return [*super().sources(), Source("v1", "Endpoints", name=name_of(self.live))]

    def observe(self, event: str, target: Object, now: float) -> None:
        """Keeps the newest of each; every change of the endpoints starts the rest anew."""
        if target.get("kind") == "Endpoints":
            self._endpoints = {} if event == "DELETED" else target
            self._rests_at = now + _SETTLE_SECONDS
        else:
            super().observe(event, target, now)

    def settle(self) -> None:
        """Takes the endpoints for settled: a refresh asks once, and does not wait for pods."""
        self._rests_at = 0.0
        self._finding = False

    def _type(self) -> str:
        return str(dig(self.live, "spec", "type", default="ClusterIP"))

    def _addressed(self) -> bool:
        if not self.seen or self.gone:
            return False
        return self._type() != "LoadBalancer" or bool(dig(self.live, "status", "loadBalancer", "ingress"))

    def _has_pods(self) -> bool:
        """Whether pods matter: not for a headless or external one, nor without a selector."""
        headless = dig(self.live, "spec", "clusterIP") == "None"
        return not headless and self._type() != "ExternalName" and bool(dig(self.live, "spec", "selector"))

    def _addresses(self, field: str) -> bool:
        return any(subset.get(field) for subset in self._endpoints.get("subsets") or [])

    def ready(self, now: float) -> bool:
        """Whether it can be used."""
        if not self._has_pods():
            return self._addressed()
        settled = self._rests_at is not None and now >= self._rests_at
        self._done = self._addressed() and settled and not self._addresses("notReadyAddresses")
        return self._done

    def wake_at(self) -> float | None:
        """When the endpoints will have come to rest."""
        return self._rests_at

    def status(self) -> Sequence[Message]:
        """The step it is at."""
        if self._done:
            return [("info", "Service initialization complete")]
        if self._addresses("addresses") and not self._addressed():
            return [("info", "[2/3] Attempting to allocate IP address to Service")]
        return [("info", "[1/3] Finding Pods to direct traffic to")] if self._finding else []

    def problems(self) -> Sequence[str]:
        """What is missing."""
        found: list[str] = []
        if not self._has_pods():
            return found
        if not self._addresses("addresses"):
            found.append(
                "Service does not target any Pods. Selected Pods may not be ready, or "
                "field '.spec.selector' may not match labels on any Pods"
            )
        if self._type() == "LoadBalancer" and not self._addressed():
            found.append("Service was not allocated an IP address; does your cloud provider support this?")
        return found
