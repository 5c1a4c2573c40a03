"""Fetches a file of a URL through the daemon, which may reach what this machine cannot (`-f https://…`).

Reference: createTempDockerfileFromURL of buildx 0.38 (build/url.go).
"""

from __future__ import annotations

import hashlib
import secrets

from buildclient.base.errors import BuildFailed
from buildclient.daemon.gateway import Gateway, GatewayResult
from buildclient.daemon.interfaces import Control
from buildclient.progress.events import EventSink
from buildclient.proto import gateway_pb2, ops_pb2
from buildclient.request.solve import SolveRequest

__all__ = ["MAX_DOCKERFILE", "fetch_dockerfile"]

MAX_DOCKERFILE = 2 << 20
"""Bytes of a Dockerfile at a URL; docker buildx takes as many."""
_NAME = "Dockerfile"


async def fetch_dockerfile(control: Control, url: str, sink: EventSink) -> bytes:
    """Returns what is at an HTTP or HTTPS URL. Raises BuildFailed, also for more than MAX_DOCKERFILE bytes."""
    found = b""

    async def work(gateway: Gateway) -> GatewayResult:
        nonlocal found
        result = await gateway.solve_definition(_http(url))
        found = await gateway.read_file(result, _NAME, MAX_DOCKERFILE + 1)
        if len(found) > MAX_DOCKERFILE:
            error = BuildFailed(f"failed to solve: Dockerfile {url} bigger than allowed max size (2.097MB)")
            error.of_build = True
            raise error
        return GatewayResult({}, gateway_pb2.Result())

    await control.solve(SolveRequest(secrets.token_hex(13), "", {}, internal=True), (), sink, work)
    return found


def _http(url: str) -> bytes:
    """The LLB of one source: a file with the URL's bytes."""
    raw = url.encode(errors="surrogateescape").decode(errors="replace")
    source = ops_pb2.Op(source=ops_pb2.SourceOp(identifier=raw, attrs={"http.filename": _NAME})).SerializeToString()
    digest = f"sha256:{hashlib.sha256(source).hexdigest()}"
    end = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest)]).SerializeToString()
    named = ops_pb2.OpMetadata(description={"llb.customname": f"[internal] load {raw}"})
    metadata = {digest: named, f"sha256:{hashlib.sha256(end).hexdigest()}": ops_pb2.OpMetadata()}
    return ops_pb2.Definition(**{"def": [source, end]}, metadata=metadata).SerializeToString()
