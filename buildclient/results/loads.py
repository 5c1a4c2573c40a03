"""Prepares the outputs that go into engines: asks each engine what it takes, and fits the request to that.

An engine that takes an index (a Docker Engine with the containerd image store, containerd) gets all that is built, as
an OCI layout. Others take one image: of several platforms it is the one that the engine runs. Where nothing else
comes out of the build, only that platform is built; else it is picked out of the layout on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from buildclient.base.errors import ClientError
from buildclient.base.threads import in_thread
from buildclient.contract.platform import Platform
from buildclient.engine.address import parse_containerd
from buildclient.engine.ctr import ContainerdEngine
from buildclient.engine.docker import DockerEngine
from buildclient.engine.errors import EngineError
from buildclient.engine.find import find_engine
from buildclient.engine.interfaces import Load
from buildclient.engine.messages import EngineInfo
from buildclient.progress.events import Event, EventSink
from buildclient.progress.steps import client_step
from buildclient.request.destinations import ToContainerd, ToEngine
from buildclient.request.make import without_artifacts
from buildclient.request.values import BuildRequest, Output
from buildclient.results.docker_archive import DockerArchive
from buildclient.results.exports import export_of, merged_export
from buildclient.results.interfaces import Export
from buildclient.results.load import LoadExport

__all__ = ["LoadTarget", "Loads", "fit", "prepare_loads"]

_Key = tuple[str, str, str]
"""The kind of an engine and what tells it from others."""
_NO_LISTS = "docker exporter does not currently support exporting manifest lists"


class LoadTarget(NamedTuple):
    """An engine, and what it said about itself."""

    engine: DockerEngine | ContainerdEngine
    info: EngineInfo


class Loads:
    """The loads of one build."""

    def __init__(self, request: BuildRequest, targets: Mapping[_Key, LoadTarget], sink: EventSink) -> None:
        self.request = request
        """The request, fitted to the engines."""
        self._targets = targets
        self._sink = sink
        self._exports: list[LoadExport] = []

    @property
    def failure(self) -> ClientError | None:
        """What an engine had against an image; None if nothing."""
        return next((export.failure for export in self._exports if export.failure), None)

    @property
    def image_id(self) -> str:
        """The ID of an image that was picked out of an index, if nothing but that came out of the build."""
        kinds = {type(output.dest) for output in self.request.outputs if output.type != "cacheonly"}
        ids = {export.image_id for export in self._exports if export.image_id}
        return ids.pop() if kinds == {ToEngine} and len(ids) == 1 else ""

    def export(self, output: Output, nodes: int) -> Export | None:
        """Returns the export of any output; None if nothing comes back. Raises UsageError."""
        dest = output.dest
        if not isinstance(dest, ToEngine | ToContainerd):
            return export_of(output, nodes, self.request.platforms)
        engine, info = self._targets[_key(dest)]
        begin: Callable[[], Load]
        if isinstance(engine, ContainerdEngine):
            named = bool(self.request.tags or output.attrs.get("name"))
            name, begin = "containerd", functools.partial(engine.load, self.request.platforms, named)
        else:
            name, begin = "docker", engine.load
        convert = None
        if output.type == "oci" and not info.takes_index and isinstance(dest, ToEngine):
            convert = functools.partial(DockerArchive, dest.platform)
        export = LoadExport(name, begin, _from_threads(self._sink), convert)
        self._exports.append(export)
        if nodes == 1 or output.type == "docker" or convert is not None:
            return export
        return merged_export(output.type, export, None, self.request.platforms)


async def prepare_loads(request: BuildRequest, environ: Mapping[str, str], sink: EventSink) -> Loads:
    """Returns the loads of a request, which names at least one. Raises UsageError, EngineError."""
    targets: dict[_Key, LoadTarget] = {}
    for output in request.outputs:
        dest = output.dest
        if isinstance(dest, ToEngine | ToContainerd) and _key(dest) not in targets:
            targets[_key(dest)] = await in_thread(functools.partial(_ask, dest, environ))
    fitted, notes = fit(request, targets)
    for note in notes:
        async with client_step(sink, note):
            pass
    outputs = without_artifacts(fitted.outputs, environ.get("BUILDX_NO_DEFAULT_OCI_ARTIFACT"))
    return Loads(fitted._replace(outputs=outputs), targets, sink)


def fit(request: BuildRequest, targets: Mapping[_Key, LoadTarget]) -> tuple[BuildRequest, list[str]]:
    """Returns the request with exporters that the engines take, and what the user should know of it.

    Raises EngineError if an engine can load nothing of it.
    """
    attested = any(value is not None for value in request.attests.values())
    several = len(request.platforms) > 1
    kept: list[Output] = []
    single: list[Output] = []
    notes: list[str] = []
    for output in request.outputs:
        dest = output.dest
        if not isinstance(dest, ToEngine | ToContainerd):
            kept.append(output)
            continue
        target = targets[_key(dest)]
        if target.info.takes_index:
            kept.append(output._replace(type="oci", attrs={**output.attrs, "prefer-image-digest": "true"}))
        elif isinstance(dest, ToEngine) and (several or attested):
            pick = _pick(request, target) if several else next(iter(request.platforms), None)
            single.append(output._replace(type="oci", dest=dest._replace(platform=pick)))
            what = f"{pick} only" if several else "the image without attestations"
            notes.append(f"loading {what}: the engine at {target.engine.description} takes no image index")
        else:
            kept.append(output)
    picks = {output.dest.platform for output in single if isinstance(output.dest, ToEngine)}
    alone = all(output.type == "cacheonly" for output in kept)
    if several and alone and len(picks) == 1:
        request = request._replace(platforms=tuple(pick for pick in picks if pick))
        if not attested:
            single = [output._replace(type="docker") for output in single]
    # Last, so that a node without the platform can leave them out and the others keep their numbers.
    return request._replace(outputs=(*kept, *single)), notes


def _pick(request: BuildRequest, target: LoadTarget) -> Platform:
    """The platform that an engine runs best."""
    runs = target.info.platform
    for platform in runs.compatible() if runs else ():
        if platform in request.platforms:
            return platform
    known = f"runs {runs}" if runs else "does not say what it runs"
    raise EngineError(
        _NO_LISTS, hint=f"the engine at {target.engine.description} {known}; ask for one platform to load it"
    )


def _ask(dest: ToEngine | ToContainerd, environ: Mapping[str, str]) -> LoadTarget:
    engine: DockerEngine | ContainerdEngine
    if isinstance(dest, ToContainerd):
        engine = ContainerdEngine(dest.socket, dest.namespace, environ)
    else:
        address = find_engine(dest.context, environ)
        if isinstance(address, str):
            engine = ContainerdEngine(*parse_containerd(address), environ)
        else:
            engine = DockerEngine(address, environ)
    return LoadTarget(engine, engine.info())


def _key(dest: ToEngine | ToContainerd) -> _Key:
    return ("containerd", *dest) if isinstance(dest, ToContainerd) else ("docker", dest.context, "")


def _from_threads(sink: EventSink) -> EventSink:
    """Returns a sink that any thread may call."""
    loop = asyncio.get_running_loop()

    def tell(event: Event) -> None:
        # The loop may already be closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(sink, event)

    return tell
