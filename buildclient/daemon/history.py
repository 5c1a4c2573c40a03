"""Reads the provenance that a daemon recorded for a finished build.

Reference: `ListenBuildHistory` of api/services/control/control.proto of BuildKit; containerd's content service.
"""

from __future__ import annotations

from typing import Any

from buildclient.base.errors import BuildFailed
from buildclient.daemon.channel import Channel
from buildclient.daemon.provenance import Provenance
from buildclient.daemon.query import Query, server_stream
from buildclient.daemon.rpcerror import RpcError
from buildclient.proto import history_pb2 as pb

__all__ = ["read_provenance"]

_IN_TOTO = "application/vnd.in-toto+json"
_PREDICATE = "in-toto.io/predicate-type"
_PROVENANCE = "https://slsa.dev/provenance/"
_MAX = 64 << 20
"""Maximum bytes of one provenance; that of a large build, with all steps, takes some megabytes."""


def read_provenance(ref: str) -> Query[dict[str, Provenance]]:
    """Returns the provenance of a build's results by platform; the key is empty for a result without a platform.

    Empty if the daemon keeps none. Raises RpcError, BuildFailed.
    """

    async def ask(channel: Channel, timeout: float) -> dict[str, Provenance]:
        try:
            return await _read(channel, ref, timeout)
        except RpcError as error:
            if error.code == "Unimplemented":
                return {}
            raise

    return ask


async def _read(channel: Channel, ref: str, timeout: float) -> dict[str, Provenance]:
    listen = server_stream(channel, "/moby.buildkit.v1.Control/ListenBuildHistory", pb.BuildHistoryEvent)
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
    """Returns the descriptor of a result's provenance, or None."""
    for one in result.attestations:
        if one.media_type == _IN_TOTO and one.annotations.get(_PREDICATE, "").startswith(_PROVENANCE):
            return one
    return None


async def _content(channel: Channel, descriptor: Any, timeout: float) -> bytes:
    read = server_stream(channel, "/containerd.services.content.v1.Content/Read", pb.ReadContentResponse)
    data = bytearray()
    async for piece in read(pb.ReadContentRequest(digest=descriptor.digest), timeout=timeout):
        data += piece.data
        if len(data) > _MAX:
            break
    if len(data) != descriptor.size:
        raise BuildFailed(f"failed to load provenance blob from build record: {descriptor.digest} is not whole")
    return bytes(data)
