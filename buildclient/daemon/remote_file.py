"""Fetches a file of a URL through the daemon, which may reach what this machine cannot (`-f https://…`).

Reference: createTempDockerfileFromURL of buildx 0.38 (build/url.go).
"""

from __future__ import annotations

import secrets

from buildclient.base.errors import BuildFailed
from buildclient.daemon.gateway import Gateway, GatewayResult
from buildclient.daemon.interfaces import Control
from buildclient.progress.events import EventSink
from buildclient.proto import gateway_pb2
from buildclient.proto.llb import http_file
from buildclient.request.solve import SolveRequest

__all__ = ["MAX_DOCKERFILE", "fetch_dockerfile"]

MAX_DOCKERFILE = 2 << 20
"""Bytes of a Dockerfile at a URL; docker buildx takes as many."""
_NAME = "Dockerfile"


async def fetch_dockerfile(control: Control, url: str, sink: EventSink) -> bytes:
    """Returns what is at an HTTP or HTTPS URL. Raises BuildFailed, also for more than MAX_DOCKERFILE bytes."""
    raw = url.encode(errors="surrogateescape").decode(errors="replace")
    found = b""

    async def work(gateway: Gateway) -> GatewayResult:
        nonlocal found
        result = await gateway.solve_definition(http_file(raw, _NAME, f"[internal] load {raw}"))
        found = await gateway.read_file(result, _NAME, MAX_DOCKERFILE + 1)
        if len(found) > MAX_DOCKERFILE:
            error = BuildFailed(f"failed to solve: Dockerfile {url} bigger than allowed max size (2.097MB)")
            error.of_build = True
            raise error
        return GatewayResult({}, gateway_pb2.Result())

    await control.solve(SolveRequest(secrets.token_hex(13), "", {}, internal=True), (), sink, work)
    return found
