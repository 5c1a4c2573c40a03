"""grpc.health.v1.Health: the daemon asks every five seconds and ends a session that does not answer."""

from __future__ import annotations

from buildclient.session.call import Call, Service

__all__ = ["health"]

_SERVING = b"\x08\x01"
"""HealthCheckResponse{status: SERVING}."""


def health() -> Service:
    """Returns the service, which always answers SERVING."""
    return {"/grpc.health.v1.Health/Check": _check}


async def _check(call: Call) -> None:
    await call.read()
    await call.write(_SERVING)
