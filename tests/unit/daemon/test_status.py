"""The daemon's errors as users see them."""

from __future__ import annotations

import base64
import json
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from buildclient.base.errors import BuildFailed, Cancelled, InternalFailure, ResourceExhausted, UnreachableError
from buildclient.daemon.status import events, failure
from buildclient.progress.events import Log, Vertex
from buildclient.proto import control_pb2 as pb


def error(code: grpc.StatusCode, text: str, *details: tuple[str, Any]) -> AioRpcError:
    """An error as grpc raises it, with details as BuildKit packs them."""
    trailers = Metadata()
    if details:
        status = pb.Status(message=text)
        for name, body in details:
            value = body if isinstance(body, bytes) else json.dumps(body).encode()
            status.details.add(type_url=f"github.com/moby/buildkit/{name}+json", value=value)
        trailers.add("grpc-status-details-bin", status.SerializeToString())
    return AioRpcError(code, Metadata(), trailers, details=text)


SOURCE = {
    "info": {"filename": "Dockerfile", "data": base64.b64encode(b"FROM a\nRUN b\n").decode()},
    "ranges": [{"start": {"line": 2}, "end": {"line": 2}}],
}


@pytest.mark.parametrize(
    ("code", "kind", "status", "text"),
    [
        (grpc.StatusCode.UNKNOWN, BuildFailed, 1, "failed to solve: why"),
        (grpc.StatusCode.NOT_FOUND, BuildFailed, 1, "failed to solve: NotFound: why"),
        (grpc.StatusCode.INTERNAL, InternalFailure, 100, "failed to solve: Internal: why"),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            ResourceExhausted,
            102,
            "failed to solve: ResourceExhausted: why",
        ),
        (grpc.StatusCode.CANCELLED, Cancelled, 130, "failed to solve: Canceled: why"),
        (grpc.StatusCode.UNAVAILABLE, UnreachableError, 125, "lost the connection to here: why"),
    ],
)
def test_errors_are_worded_and_numbered_as_buildx_does(
    code: grpc.StatusCode, kind: type[Exception], status: int, text: str
) -> None:
    """Each gRPC code has its exit status, and Go's name of it where buildx prints one."""
    found = failure(error(code, "why"), "here")
    assert type(found) is kind
    assert found.exit_status == status
    assert str(found) == text


def test_an_unavailable_of_the_daemons_own_is_a_failed_build() -> None:
    """UNAVAILABLE with the daemon's details is its answer, not a broken connection."""
    found = failure(error(grpc.StatusCode.UNAVAILABLE, "why", ("errdefs.Vertex", {"digest": "sha256:v"})), "here")
    assert isinstance(found, BuildFailed)
    assert found.vertex == "sha256:v"


@pytest.mark.parametrize(
    ("capability", "words"),
    [("contexts+forward", "does not support --build-context"), ("gitquerystring", "query string components")],
)
def test_a_frontend_that_lacks_a_capability(capability: str, words: str) -> None:
    """docker buildx's words name the flag, and what to do."""
    text = f"failed to do: unsupported frontend capability moby.buildkit.frontend.{capability}"
    found = failure(error(grpc.StatusCode.UNIMPLEMENTED, text), "there")
    assert str(found).startswith("current frontend does not support ")
    assert words in str(found)
    assert found.of_build


def test_sources_are_excerpts_once_each() -> None:
    """The Dockerfile's lines come out of the details; unknown and broken details are passed over."""
    details = [("errdefs.Source", SOURCE), ("errdefs.Source", SOURCE), ("stack.Stack", {}), ("errdefs.Source", b"{")]
    found = failure(error(grpc.StatusCode.UNKNOWN, "why", *details), "here")
    assert isinstance(found, BuildFailed)
    assert found.sources == (
        "Dockerfile:2\n--------------------\n   1 |     FROM a\n   2 | >>> RUN b\n   3 |     \n--------------------",
    )


def test_progress_messages_become_events() -> None:
    """Vertices, their group and logs keep what progress needs."""
    response = pb.StatusResponse()
    vertex = response.vertexes.add(digest="d", name="n", cached=True)
    vertex.started.seconds, vertex.started.nanos = 5, 500_000_000
    vertex.progress_group.id = "g"
    response.logs.add(vertex="d", stream=2, msg=b"\xff")
    assert list(events(response)) == [
        Vertex("d", "n", cached=True, started=5.5, group="g"),
        Log("d", 2, b"\xff"),
    ]
