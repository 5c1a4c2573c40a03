"""Runs the page on an address, or writes it once."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from buildclient.base.errors import ClientError
from buildclient.base.oserrors import reason
from buildclient.discovery.pulumi_state import ProjectFolder
from buildkit_builders.page.drift import drift_view
from buildkit_builders.page.look import Looker
from buildkit_builders.page.sources import ClusterSource, Source, StackSource, accesses
from buildkit_builders.page.watch import Pace, Watcher

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from buildkit_builders.page.model import Snapshot

__all__ = [
    "Address",
    "PageAccess",
    "ServeError",
    "Wanted",
    "more_threads",
    "parse_address",
    "serve",
    "snapshot_once",
    "watcher",
]

_CONNECTIONS = 200
"""At the same time; more get status 503."""
_THREADS = 64
"""Requests to clusters at the same time. asyncio's own pool has four more than the machine has cores."""


class ServeError(Exception):
    """The page cannot be served; the message says why and what to do."""


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PageAccess(NamedTuple):
    """Who may see the page, beside this machine."""

    host_names: tuple[str, ...] = ()
    """Names by which a reverse proxy asks for it."""
    user_header: str = ""
    """The header in which a reverse proxy names the user; empty for none."""


class Wanted(NamedTuple):
    """Which builders are shown."""

    contexts: tuple[str, ...] = ()
    """kubeconfig contexts; empty for the current one."""
    namespaces: tuple[str, ...] = ()
    """Empty for all."""
    projects: tuple[str, ...] = ()
    """Folders of Pulumi projects; empty for the one here, if there is one."""
    claims: str = ""
    """The folder of the claims' project; empty for none."""


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[::1]:8080`, `:8080` or a port. Raises ServeError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not port.isdecimal() or not 0 <= int(port) < 1 << 16:
        raise ServeError(f"{text} is no address: give HOST:PORT, such as 127.0.0.1:8080")
    return Address(host or "127.0.0.1", int(port))


def watcher(wanted: Wanted, environ: Mapping[str, str], pace: Pace) -> Watcher:
    """Asks what is wanted. Raises ServeError where there is nothing to ask, or a context or project is missing."""
    try:
        here = not wanted.projects and ProjectFolder.find("", environ) is not None
        projects = [*(wanted.projects or ([""] if here else [])), *([wanted.claims] if wanted.claims else [])]
        sources: list[Source] = [StackSource(folder, environ) for folder in projects]
        sources += [ClusterSource(access, environ, wanted.namespaces) for access in accesses(environ, wanted.contexts)]
    except ClientError as error:
        raise ServeError(str(error)) from None
    if not sources:
        raise ServeError("nowhere to look for builders: there is no kubeconfig context here and no Pulumi project")
    return Watcher(sources, Looker(environ).look, pace, drift_view)


def snapshot_once(watching: Watcher) -> Snapshot:
    """Asks everything once."""

    async def ask() -> Snapshot:
        more_threads()
        return await watching.once()

    return asyncio.run(ask())


def more_threads() -> None:
    """Lets a cluster that takes requests and does not answer hold threads without holding up another cluster."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "cluster"))


def serve(watching: Watcher, address: Address, access: PageAccess, live: float, say: Callable[[str], object]) -> None:
    """Serves until it is told to stop, by SIGINT or SIGTERM; `say` is told where. Raises ServeError."""
    from buildkit_builders.page.app import Access, make_app

    hosts = {address.host, *access.host_names}
    if address.loopback:
        hosts |= {"localhost", "127.0.0.1", "::1"}
    app = make_app(watching.snapshot, Access(hosts, access.user_header), live=live)
    with _listening(address) as listener:
        say(f"http://{address._replace(port=listener.getsockname()[1])}/ (Ctrl+C ends it)")
        asyncio.run(_serve(watching, app, listener))


async def _serve(watching: Watcher, app: ASGIApp, listener: socket.socket) -> None:
    import uvicorn

    more_threads()

    class Server(uvicorn.Server):
        """A server that leaves signals to this module, and so ends without raising them again."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        app, lifespan="off", ws="none", http="h11", loop="none", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, limit_concurrency=_CONNECTIONS, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = Server(config)

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    watch = asyncio.ensure_future(watching.run())
    # A fault of the watch must not leave a page that looks alive.
    watch.add_done_callback(lambda _: stop())
    try:
        await server.serve(sockets=[listener])
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


@contextlib.contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServeError(f"cannot listen on {address}: {reason(error)}") from None
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(128)
        except OSError as error:
            raise ServeError(f"cannot listen on {address}: {reason(error)}; give another --address") from None
        yield listener
