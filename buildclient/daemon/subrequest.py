"""Asks a frontend about a Dockerfile instead of building it: its checks, arguments, targets (`--call`).

Reference: Build and fallbackPrintError in build/build.go of buildx 0.38, frontend/subrequests of BuildKit.
"""

from __future__ import annotations

import logging

import grpc

from buildclient.base.errors import BuildFailed
from buildclient.daemon.gateway import Gateway, GatewayResult, GatewayWork
from buildclient.request.solve import SolveRequest

__all__ = ["FALLBACK_FRONTEND", "subrequest"]

_LOG = logging.getLogger("buildclient.daemon")
FALLBACK_FRONTEND = "docker/dockerfile:1.8.1@sha256:e87caa74dcb7d46cd820352bfea12591f3dba3ddc4285e19c7dcd13359f7cefd"
"""The frontend that answers where the daemon's or the Dockerfile's own cannot; docker buildx takes the same."""
_CAPABILITY = "moby.buildkit.frontend.subrequests"
_WITH_FALLBACK = ("lint", "outline", "targets")


def subrequest(request: SolveRequest, name: str) -> GatewayWork:
    """Returns the work of a solve that answers subrequest `frontend.NAME`.

    A frontend that does not know it is replaced by FALLBACK_FRONTEND, once. The work raises AioRpcError, and
    BuildFailed where neither knows it.
    """
    named = request.frontend_attrs.get("frontend.caps", "")
    options = {
        **request.frontend_attrs,
        "frontend.caps": f"{named},{_CAPABILITY}+forward".lstrip(","),
        "requestid": f"frontend.{name}",
    }

    async def work(gateway: Gateway) -> GatewayResult:
        try:
            return await gateway.solve(request.frontend, options)
        except grpc.aio.AioRpcError as error:
            text = error.details() or ""
            if not _unknown(text, name):
                raise
            _LOG.debug("solve %s: %s; ask %s instead", request.ref, text, FALLBACK_FRONTEND)
        try:
            return await gateway.solve(request.frontend, {**options, "build-arg:BUILDKIT_SYNTAX": FALLBACK_FRONTEND})
        except grpc.aio.AioRpcError as error:
            _LOG.debug("solve %s: %s", request.ref, error.details())
        raise _refused(text)

    return work


def _unknown(text: str, name: str) -> bool:
    return name in _WITH_FALLBACK and (f"unsupported request frontend.{name}" in text or _CAPABILITY in text)


def _refused(text: str) -> BuildFailed:
    """The first frontend's own error, and what helps: a newer one."""
    error = BuildFailed(
        f"failed to solve: {text}",
        hint="this frontend is too old, and docker/dockerfile:1.8.1 could not be had: start the Dockerfile with "
        "`# syntax=docker/dockerfile:1`, or build on a newer BuildKit",
    )
    error.of_build = True
    return error
