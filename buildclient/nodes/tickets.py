"""The queue of a node whose pods are all at their limit. Pure.

Each waiting build holds a ticket, and renews it; tickets are served in the order in which the cluster took them. A
ticket that is not renewed belongs to a client that has died. Clocks of clients differ, so an observer judges that by
its own: it counts from the moment when it has first seen the ticket's present version, as Kubernetes' leader election
does. Only a ticket that has not been renewed for hours, by any clock, is dead at first sight.
"""

from __future__ import annotations

from collections.abc import Iterable

from buildclient.kube.lease import LIFETIME, Ticket

__all__ = ["RENEWED_EVERY", "STALE", "Observer"]

RENEWED_EVERY = 5.0
"""Seconds between two renewals."""
STALE = 3600.0
"""Seconds by which a ticket's own time must lie behind an observer's clock to be dead at first sight."""


class Observer:
    """What one client has seen of the tickets of a queue."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    def live(self, tickets: Iterable[Ticket], now: float, wall: float) -> list[Ticket]:
        """Returns the tickets of living clients, in their order.

        `now` is in seconds on a clock that never jumps, `wall` in seconds since the epoch.
        """
        seen = {}
        alive = []
        for ticket in tickets:
            version, since = self._seen.get(ticket.name, ("", now))
            if version != ticket.version:
                since = now
            seen[ticket.name] = (ticket.version, since)
            if now - since < LIFETIME and wall - ticket.renewed < STALE:
                alive.append(ticket)
        self._seen = seen
        return sorted(alive, key=lambda ticket: (ticket.number, ticket.name))
