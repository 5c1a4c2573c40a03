"""The daemon's errors as users see them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from buildclient.base.errors import BuildFailed, Cancelled, InternalFailure, ResourceExhausted, UnreachableError
from buildclient.daemon.rpcerror import RpcError
from buildclient.daemon.status import events, failure
from buildclient.progress.events import Log, Vertex
from buildclient.proto import control_pb2 as pb


def error(code: str, text: str, *details: tuple[str, Any]) -> RpcError:
    """A call's error, with details as BuildKit packs them."""
    if not details:
        return RpcError(code, text)
    status = pb.Status(message=text)
    for name, body in details:
        value = body if isinstance(body, bytes) else json.dumps(body).encode()
        status.details.add(type_url=f"github.com/moby/buildkit/{name}+json", value=value)
    return RpcError(code, text, status.SerializeToString())


SOURCE = {
    "info": {"filename": "Dockerfile", "data": base64.b64encode(b"FROM a\nRUN b\n").decode()},
    "ranges": [{"start": {"line": 2}, "end": {"line": 2}}],
}


@pytest.mark.parametrize(
    ("code", "kind", "status", "text"),
    [
        ("Unknown", BuildFailed, 1, "failed to solve: why"),
        ("NotFound", BuildFailed, 1, "failed to solve: NotFound: why"),
        ("Internal", InternalFailure, 100, "failed to solve: Internal: why"),
        (
            "ResourceExhausted",
            ResourceExhausted,
            102,
            "failed to solve: ResourceExhausted: why",
        ),
        ("Canceled", Cancelled, 130, "failed to solve: Canceled: why"),
        ("Unavailable", UnreachableError, 125, "lost the connection to here: why"),
    ],
)
def test_errors_are_worded_and_numbered_as_buildx_does(
    code: str, kind: type[Exception], status: int, text: str
) -> None:
    """Each gRPC code has its exit status, and Go's name of it where buildx prints one."""
    found = failure(error(code, "why"), "here")
    assert type(found) is kind
    assert found.exit_status == status
    assert str(found) == text


def test_an_unavailable_of_the_daemons_own_is_a_failed_build() -> None:
    """UNAVAILABLE with the daemon's details is its answer, not a broken connection."""
    found = failure(error("Unavailable", "why", ("errdefs.Vertex", {"digest": "sha256:v"})), "here")
    assert isinstance(found, BuildFailed)
    assert found.vertex == "sha256:v"


@pytest.mark.parametrize(
    ("capability", "words"),
    [("contexts+forward", "does not support --build-context"), ("gitquerystring", "query string components")],
)
def test_a_frontend_that_lacks_a_capability(capability: str, words: str) -> None:
    """docker buildx's words name the flag, and what to do."""
    text = f"failed to do: unsupported frontend capability moby.buildkit.frontend.{capability}"
    found = failure(error("Unimplemented", text), "there")
    assert str(found).startswith("current frontend does not support ")
    assert words in str(found)
    assert found.of_build


def test_sources_are_excerpts_once_each() -> None:
    """The Dockerfile's lines come out of the details; unknown and broken details are passed over."""
    details = [("errdefs.Source", SOURCE), ("errdefs.Source", SOURCE), ("stack.Stack", {}), ("errdefs.Source", b"{")]
    found = failure(error("Unknown", "why", *details), "here")
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
