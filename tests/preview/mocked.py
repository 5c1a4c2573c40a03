"""Runs the components against Pulumi's mocks and keeps what they registered."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pulumi
from pulumi.runtime import mocks

KUBECONFIG = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u"}},
            {"name": "team", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443"}}],
        "users": [{"name": "u", "user": {}}],
    }
)


class Registered(NamedTuple):
    """One resource as it reached the engine."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    parent: str
    provider: str
    depends_on: tuple[str, ...]
    custom_timeouts: Mapping[str, str]
    version: str


class Recorder(pulumi.runtime.Mocks):
    """Gives back what it is given, as an engine without any plugin might."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """The inputs as outputs, and an id of the name; an object without a name gets its resource's."""
        given = dict(args.inputs)
        if args.typ.startswith("kubernetes:"):
            given["metadata"] = {"name": args.name, **given.get("metadata", {})}
        return f"{args.name}-id", given

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """No function is called by the components."""
        raise AssertionError(f"called {args.token}")


_loops: list[asyncio.AbstractEventLoop] = []


def run(
    program: Callable[[], Any], *, preview: bool = True, seen: list[Registered] | None = None
) -> tuple[list[Registered], Any]:
    """What a program registered, in order, and what it returned. A RunError passes through.

    `seen` is filled as things are registered, for a program that does not end well.
    """
    registered: list[Registered] = [] if seen is None else seen
    lock = threading.Lock()
    # Pulumi takes the thread's loop, which whatever ran in this thread before may have taken away.
    _loops.append(asyncio.new_event_loop())
    asyncio.set_event_loop(_loops[-1])
    # What a program returned may be awaited on its loop until the next one runs; each holds three files.
    for loop in _loops[:-1]:
        loop.close()
    del _loops[:-1]
    mocks.set_mocks(Recorder(), project="builder", stack="test", preview=preview)
    from pulumi.runtime import settings

    monitor: Any = settings.get_monitor()
    inner = monitor.RegisterResource

    def record(request: Any) -> Any:
        with lock:
            registered.append(_read(request))
        return inner(request)

    monitor.RegisterResource = record
    result: list[Any] = []

    @pulumi.runtime.test
    def main() -> None:
        result.append(program())

    main()
    return [one for one in registered if one.type != "pulumi:pulumi:Stack"], result[0]


def _read(request: Any) -> Registered:
    from google.protobuf import json_format

    timeouts = {"create": request.customTimeouts.create, "update": request.customTimeouts.update}
    return Registered(
        request.type,
        request.name,
        json_format.MessageToDict(request.object),
        request.parent,
        request.provider,
        tuple(request.dependencies),
        {key: value for key, value in timeouts.items() if value},
        request.version,
    )
