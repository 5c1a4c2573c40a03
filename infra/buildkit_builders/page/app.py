"""The page as a web application: it only reads, answers to known names of its host, and loads nothing from outside."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from buildkit_builders.page.model import BuilderView, Snapshot
from buildkit_builders.page.render import ASSETS, CONTENT_POLICY, Place, Renderer, asset

__all__ = ["Access", "host_of", "make_app"]

_HEADERS = {
    "Content-Security-Policy": f"{CONTENT_POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_LONGEST_QUERY = 200
"""Characters of a search."""
_LONGEST_USER = 200
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")
"""What a Host header is made of (RFC 9110, 7.2): no user, no path."""


class Access(NamedTuple):
    """Who may see the page."""

    hosts: Collection[str]
    """Names and addresses by which the page is asked for: any other Host is refused, or a page of someone else's whose
    name is made to lead here (DNS rebinding) could read this one."""
    user_header: str = ""
    """The header in which a reverse proxy names the user: a request without it is refused. Empty for none, and then no
    header is read."""


def make_app(snapshot: Callable[[], Snapshot], access: Access, *, live: float = 5.0) -> ASGIApp:
    """The application; `snapshot` is called at every request, `live` is how often a page asks, in seconds."""
    pages = _Pages(snapshot, Place(live=live), access.user_header)
    app = Starlette(
        routes=[
            Route("/", pages.index),
            Route("/rows", pages.rows),
            Route("/builder/{id}", pages.builder),
            Route("/builder/{id}/facts", pages.facts),
            Route("/assets/{name}", pages.asset),
            Route("/healthz", pages.health),
        ],
        exception_handlers={HTTPException: pages.failed},
    )
    return _Guard(app, access)


class _Pages:
    """The requests' answers."""

    def __init__(self, snapshot: Callable[[], Snapshot], place: Place, user_header: str) -> None:
        self._snapshot, self._place, self._user_header = snapshot, place, user_header
        self._renderer = Renderer()

    def _at(self, request: Request) -> Place:
        user = request.headers.get(self._user_header, "") if self._user_header else ""
        return self._place._replace(user=user[:_LONGEST_USER])

    async def index(self, request: Request) -> Response:
        return HTMLResponse(self._renderer.index(self._snapshot(), self._at(request), _query(request)))

    async def rows(self, request: Request) -> Response:
        return _changed(request, self._renderer.rows(self._snapshot(), self._at(request), _query(request)))

    async def builder(self, request: Request) -> Response:
        return HTMLResponse(self._renderer.builder(self._view(request), self._at(request).below()))

    async def facts(self, request: Request) -> Response:
        return _changed(request, self._renderer.facts(self._view(request), self._at(request).below()))

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ASSETS:
            raise HTTPException(404, "There is no such file.")
        # Its address changes with it.
        return Response(asset(name)[0], headers={"Cache-Control": "max-age=31536000"}, media_type=ASSETS[name])

    async def health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def failed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        depth = request.url.path.count("/") - 1
        place = self._at(request)._replace(root="../" * depth or "./")
        title = {404: "Not found", 405: "Read-only"}.get(error.status_code, "Not possible")
        text = "This page only shows." if error.status_code == 405 else error.detail
        return HTMLResponse(self._renderer.message(title, text, place), error.status_code, error.headers)

    def _view(self, request: Request) -> BuilderView:
        view = self._snapshot().by_id(request.path_params["id"])
        if view is None:
            raise HTTPException(404, "There is no such builder, or it has gone.")
        return view


def _query(request: Request) -> str:
    return request.query_params.get("q", "").strip()[:_LONGEST_QUERY]


def _changed(request: Request, html: str) -> Response:
    """The part of a page, or 304 where whoever asks has it."""
    tag = f'"{hashlib.sha256(html.encode()).hexdigest()[:24]}"'
    headers = {"ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(html, headers=headers)


class _Guard:
    """Refuses what the page is not for, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._hosts = {host.lower() for host in access.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # neither WebSockets nor a lifespan

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope["path"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        if path == "/healthz":
            return None
        if host_of(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("This name is not one of the page's: start it with --host-name NAME.\n", 421)
        header = self._access.user_header
        # Two of them are a user's own beside the proxy's.
        if header and [bool(user.strip()) for user in headers.getlist(header)] != [True]:
            return PlainTextResponse(f"Not one {header}: come through the proxy that signs you in.\n", 403)
        return None


def host_of(header: str) -> str:
    """The name or address in a Host header, in small letters, without port and brackets; empty for none."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower() if _HOST.fullmatch(header) else ""
    except ValueError:
        return ""
