"""Builders of the page's data model, as many as a test wants, and the page served on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import uvicorn
from buildkit_builders.page.app import Access, make_app
from buildkit_builders.page.model import (
    Build,
    BuilderView,
    DriftView,
    Found,
    NodeFacts,
    Owner,
    PodFacts,
    Seen,
    Snapshot,
)

from buildclient.contract.output import BuilderOutput
from tests.load import busy

NOW = time.time()
HOSTILE = '"><script>alert(1)</script>&\u202e'


def output(namespace: str, name: str = "kube", **node: object) -> BuilderOutput:
    """A builder of one node, `builder-amd64`."""
    return BuilderOutput.from_json(
        {
            "version": 1,
            "name": name,
            "namespace": namespace,
            "nodes": [
                {
                    "name": "builder-amd64",
                    "platforms": ["linux/amd64"],
                    "workload": {"kind": "Deployment", "name": "builder-amd64"},
                    "selector": {"app": "builder-amd64"},
                    **node,
                }
            ],
        }
    )


def view(namespace: str, *, drifted: bool = False, error: str = "", owner: Owner | None = None) -> BuilderView:
    """A builder with two pods and two builds, of which three quarters of the steps were cached."""
    pods = tuple(
        PodFacts(f"builder-amd64-{n}", "ready", f"worker-{n}", "v0.34.2", n, 10**9 * (n + 1), NOW - 86400 * n)
        for n in range(2)
    )
    node = NodeFacts(
        "builder-amd64", f"Deployment {namespace}/builder-amd64", ("linux/amd64",), "running", "2", pods, "", 4, 3
    )
    builds = tuple(
        Build(f"ref{n}", f"app-{n}", "Completed", NOW - 600 * n, 12.5, 8, 4 + 4 * n, node.name, pods[0].name)
        for n in range(2)
    )
    owner = owner or Owner(f"team-{namespace}", "Ada", "ada@example.com", "2099-12-31")
    found = Found(output(namespace), "staging", stack=namespace if drifted else "", owner=owner)
    drift = DriftView(NOW - 7200, ("Deployment x/builder-amd64: spec.replicas: 2 -> 3",)) if drifted else None
    return BuilderView(found, None if error else Seen(NOW - 40, (node,), builds), error, drift)


def snapshot(count: int) -> Snapshot:
    """`count` builders in namespaces `team-000`…; every tenth drifted, every twentieth cannot be reached."""
    return Snapshot(
        tuple(
            view(f"team-{n:03}", drifted=n % 10 == 3, error="no answer within 20 s" if n % 20 == 7 else "")
            for n in range(count)
        )
    )


class Answer(NamedTuple):
    """What the page answered."""

    status: int
    headers: dict[str, str]
    text: str


class Served(NamedTuple):
    """The page on a socket."""

    port: int

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/"

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """Asks for a path; underscores in names of headers stand for hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={key.replace("_", "-"): text for key, text in headers.items()})
            answer = connection.getresponse()
            told = {key.lower(): text for key, text in answer.getheaders()}
            return Answer(answer.status, told, answer.read().decode())
        finally:
            connection.close()


@contextlib.contextmanager
def served(snapshot: Callable[[], Snapshot], *, user_header: str = "", live: float = 0.2) -> Iterator[Served]:
    """Serves a snapshot on a port of its own."""
    app = make_app(snapshot, Access({"127.0.0.1", "localhost", "page.example"}, user_header), live=live)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, lifespan="off", log_level="error", ws="none", server_header=False)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    deadline = time.monotonic() + busy(20)
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started
    try:
        yield Served(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
