"""Which failures of a stack may pass by themselves, and when it is tried again. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from buildkit_builders.locks import LockedError, StackError, StaleLockError

__all__ = ["NO_RETRY", "Retry", "is_transient"]

_TRANSIENT = re.compile(
    "|".join(
        (
            # the way to the API server
            r"connection re(fused|set by peer)",
            r"TLS handshake timeout",
            r"i/o timeout",
            r"unexpected EOF",
            r"http2: (client connection lost|server sent GOAWAY)",
            r"no route to host",
            r"Client\.Timeout exceeded",
            r"Temporary failure in name resolution",
            # the API server itself (k8s.io/apimachinery, pkg/api/errors)
            r"etcdserver: (request timed out|leader changed|no leader)",
            r"the server (is currently unable to handle the request|has received too many requests)",
            r"[Tt]oo many requests",
            r"the object has been modified",
            r"Timeout: request did not complete within",
            r"failed calling webhook .*(timeout|connection|EOF|no endpoints available)",
            r"\b50[234] (Bad Gateway|Service Unavailable|Gateway Timeout)",
        )
    )
)


def is_transient(error: StackError) -> bool:
    """Whether the same operation may succeed if it is tried again; a lock is none, it was waited for."""
    return not isinstance(error, LockedError | StaleLockError) and bool(_TRANSIENT.search(str(error)))


@dataclass(frozen=True)
class Retry:
    """How often a stack with a transient failure is tried again: after `pause` seconds, then twice as many, …"""

    times: int = 2
    pause: float = 2.0
    longest: float = 30.0

    def after(self, attempt: int, error: StackError) -> float | None:
        """Seconds until the next try, after the failed try number `attempt` (from 1); None for no other."""
        if attempt > self.times or not is_transient(error):
            return None
        return float(min(self.longest, self.pause * 2 ** (attempt - 1)))


NO_RETRY = Retry(times=0)
