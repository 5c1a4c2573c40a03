"""What a daemon has recorded of a finished build: the provenance of its results.

Reference: `ListenBuildHistory` of api/services/control/control.proto of BuildKit; containerd's content service.
"""

from __future__ import annotations

from typing import Any

import grpc

from buildclient.base.errors import BuildFailed
from buildclient.daemon.provenance import Provenance
from buildclient.proto import history_pb2 as pb

__all__ = ["read_provenance"]

_IN_TOTO = "application/vnd.in-toto+json"
_PREDICATE = "in-toto.io/predicate-type"
_PROVENANCE = "https://slsa.dev/provenance/"
_MAX = 64 << 20
"""Bytes of one provenance; with all steps of a large build it is of some megabytes."""


async def read_provenance(channel: grpc.aio.Channel, ref: str, timeout: float) -> dict[str, Provenance]:
    """The provenance of a build's results by platform, under an empty name for a result that names none.

    Empty where the daemon keeps none. Raises AioRpcError, BuildFailed.
    """
    listen = _stream(channel, "/moby.buildkit.v1.Control/ListenBuildHistory", pb.BuildHistoryEvent)
    found: dict[str, Any] = {}
    async for event in listen(pb.BuildHistoryRequest(ref=ref, early_exit=True), timeout=timeout):
        results = dict(event.record.results)
        if not results and event.record.HasField("result"):
            results[""] = event.record.result
        found.update({name: one for name, result in results.items() if (one := _provenance(result))})
    return {
        name: Provenance(descriptor.annotations[_PREDICATE], await _content(channel, descriptor, timeout))
        for name, descriptor in sorted(found.items())
    }


def _provenance(result: Any) -> Any:
    """The descriptor of a result's provenance; None where there is none."""
    for one in result.attestations:
        if one.media_type == _IN_TOTO and one.annotations.get(_PREDICATE, "").startswith(_PROVENANCE):
            return one
    return None


async def _content(channel: grpc.aio.Channel, descriptor: Any, timeout: float) -> bytes:
    read = _stream(channel, "/containerd.services.content.v1.Content/Read", pb.ReadContentResponse)
    data = bytearray()
    async for piece in read(pb.ReadContentRequest(digest=descriptor.digest), timeout=timeout):
        data += piece.data
        if len(data) > _MAX:
            break
    if len(data) != descriptor.size:
        raise BuildFailed(f"failed to load provenance blob from build record: {descriptor.digest} is not whole")
    return bytes(data)


def _stream(channel: grpc.aio.Channel, method: str, response: Any) -> Any:
    return channel.unary_stream(
        method,
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=response.FromString,
    )
