"""Chooses the commit steps whose results come through the session's content store: local caches, images as layouts."""

from __future__ import annotations

from buildclient.base.errors import InvalidBuild
from buildclient.progress.events import EventSink
from buildclient.registry.reference import InvalidReference, parse_reference
from buildclient.request.outputs import is_layout
from buildclient.request.values import BuildRequest, Output
from buildclient.results.interfaces import CommitStep

__all__ = ["store_steps"]


def store_steps(request: BuildRequest, nodes: int, sink: EventSink) -> list[CommitStep]:
    """Returns the steps of a request's local cache exports and layouts. Raises InvalidBuild for a wrong destination."""
    steps: list[CommitStep] = []
    layouts = [output for output in request.outputs if is_layout(output)]
    if layouts:
        from buildclient.results.layoutfolder import LayoutExport

        if len(layouts) > 1:
            # The daemon knows one such store, whichever of the outputs it is for.
            raise InvalidBuild('oci store key "export" already exists')
        # The answer of a node that also pushes tells the repositories that it pushed to by digest.
        names = _names(request, layouts[0]) if nodes > 1 and any(output.push for output in request.outputs) else None
        steps.append(LayoutExport(layouts[0], nodes, request.platforms, names))
    caches = [entry for entry in request.cache_to if entry.type == "local"]
    if caches:
        from buildclient.request.localcache import local_export
        from buildclient.results.localcache import LocalCacheExport

        # Of several for one folder the last says under which tag, as in docker buildx.
        exports = {export.dest: export for export in map(local_export, caches)}
        steps.extend(LocalCacheExport(export, sink) for export in exports.values())
    return steps


def _names(request: BuildRequest, output: Output) -> list[str]:
    """Returns the names of an output's image as a daemon answers them: with registry and tag."""
    listed = request.tags or filter(None, output.attrs.get("name", "").split(","))
    try:
        found = [parse_reference(name) for name in listed]
    except InvalidReference as error:
        raise InvalidBuild(str(error)) from None
    return [str(one if one.tag or one.digest else one._replace(tag="latest")) for one in found]
