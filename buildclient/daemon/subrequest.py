"""Asks a frontend about a Dockerfile instead of building it: its checks, arguments, targets (`--call`).

Reference: Build and fallbackPrintError in build/build.go of buildx 0.38, frontend/subrequests of BuildKit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from buildclient.base.errors import BuildFailed, ClientError
from buildclient.contract.patterns import pattern
from buildclient.daemon.gateway import Gateway, GatewayResult, GatewayWork
from buildclient.daemon.rpcerror import RpcError
from buildclient.request.solve import SolveRequest

__all__ = ["FALLBACK_FRONTEND", "subrequest", "unless_file"]

_LOG = logging.getLogger("buildclient.daemon")
FALLBACK_FRONTEND = "docker/dockerfile:1.8.1@sha256:e87caa74dcb7d46cd820352bfea12591f3dba3ddc4285e19c7dcd13359f7cefd"
"""The frontend that answers where the daemon's or the Dockerfile's own cannot; docker buildx takes the same."""
_CAPABILITY = "moby.buildkit.frontend.subrequests"
_UNREADABLE = pattern(r"dockerfile parse error|file with no instructions|Dockerfile cannot be empty")
"""What a frontend says of a file that is there and no Dockerfile."""
_WRONG_QUERY = pattern(r"query \"[^\"]*\"|(?:ref|subdir|branch) conflicts")
"""What is said of a Git URL that is wrong in itself; the build itself says it again."""
_READING = pattern(r"^failed to read (?:dockerfile|downloaded context): ")
_NOWHERE = "no-such-file.buildclient.rego"
_WITH_FALLBACK = ("lint", "outline", "targets")


def subrequest(request: SolveRequest, name: str) -> GatewayWork:
    """Returns the work of a solve that answers subrequest `frontend.NAME`.

    A frontend that does not know it is replaced by FALLBACK_FRONTEND, once. The work raises RpcError, and
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
            return await gateway.solve(request.frontend, options, request.frontend_inputs)
        except RpcError as error:
            text = error.text
            if not _unknown(text, name):
                raise
            _LOG.debug("solve %s: %s; ask %s instead", request.ref, text, FALLBACK_FRONTEND)
        try:
            options["build-arg:BUILDKIT_SYNTAX"] = FALLBACK_FRONTEND
            return await gateway.solve(request.frontend, options, request.frontend_inputs)
        except RpcError as error:
            _LOG.debug("solve %s: %s", request.ref, error.text)
        raise _refused(text)

    return work


def unless_file(request: SolveRequest, path: str, refusal: ClientError, then: GatewayWork | None) -> GatewayWork:
    """Returns work that refuses a remote context with a file `path`, and else does `then`, or solves the request.

    The work raises `refusal`, RpcError, and BuildFailed in docker buildx's words if it cannot be found out.
    """
    context = {
        key: text
        for key, text in request.frontend_attrs.items()
        if key.startswith(("context", "build-arg:BUILDKIT_GIT"))
    }

    async def work(gateway: Gateway) -> GatewayResult:
        # What is at a URL may be no archive but the Dockerfile itself, which the frontend finds under any name.
        if await _there(gateway, context, path) and not await _there(gateway, context, _NOWHERE):
            raise refusal
        if then:
            return await then(gateway)
        return await gateway.solve(request.frontend, request.frontend_attrs, request.frontend_inputs)

    return work


async def _there(gateway: Gateway, context: Mapping[str, str], path: str) -> bool:
    """Whether a context has a file: the frontend looks for it, told that this is the Dockerfile."""
    options = {**context, "filename": path, "frontend.caps": f"{_CAPABILITY}+forward", "requestid": "frontend.targets"}
    try:
        await gateway.solve("dockerfile.v0", options)
    except RpcError as error:
        text = error.text
        if _UNREADABLE.search(text):
            return True
        if "no such file" in text or "not found" in text or _WRONG_QUERY.search(text):
            # As for docker buildx, whatever was not found; if it was the context, the build itself will say so.
            return False
        if error.code != "Unknown":
            raise
        failed = BuildFailed(f"failed to stat policy file {path}: {_READING.sub('', text)}")
        failed.of_build = True
        raise failed from None
    return True


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
