"""Converts a solve to its protobuf message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from buildclient.proto import control_pb2 as pb
from buildclient.request.solve import CacheEntry, SolveRequest

__all__ = ["solve_message"]


def solve_message(request: SolveRequest, session: str, *, in_gateway: bool = False) -> pb.SolveRequest:
    """Returns the message for `Control.Solve`; `session` is the id of its session.

    With `in_gateway` it names no frontend: what is solved comes through the solve's gateway.

    Texts are passed on as they are, even if they are not UTF-8 (surrogate escapes): the daemon decides about them.
    """
    first = request.exporters[0] if request.exporters else None
    return pb.SolveRequest(
        ref=request.ref,
        session=session,
        frontend="" if in_gateway else request.frontend,
        frontend_attrs=_attrs(request.frontend_attrs),
        frontend_inputs=[pb.Attr(key=_raw(key), value=one) for key, one in request.frontend_inputs.items()],
        # Daemons before 0.13 read the first exporter from these fields only.
        exporter_deprecated=_raw(first.type) if first else b"",
        exporter_attrs_deprecated=_attrs(first.attrs) if first else [],
        exporters=[
            pb.Exporter(type=_raw(exporter.type), attrs=_attrs(exporter.attrs)) for exporter in request.exporters
        ],
        cache=pb.CacheOptions(exports=_entries(request.cache_exports), imports=_entries(request.cache_imports)),
        entitlements=[_raw(entitlement) for entitlement in request.entitlements],
        internal=request.internal,
        source_policy=request.source_policy or None,
    )


def _entries(entries: Iterable[CacheEntry]) -> list[pb.CacheEntry]:
    return [pb.CacheEntry(type=_raw(entry.type), attrs=_attrs(entry.attrs)) for entry in entries]


def _attrs(attrs: Mapping[str, str]) -> list[pb.Attr]:
    return [pb.Attr(key=_raw(key), value=_raw(value)) for key, value in attrs.items()]


def _raw(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
