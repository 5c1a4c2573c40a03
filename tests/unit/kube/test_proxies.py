"""The ways to an API server that kubectl knows: http, https and SOCKS5 proxies, for requests and for exec alike."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access, Material
from buildclient.kube.tunnel import ExecEndpoint
from tests.proxies import IN_URL, LOGIN, Proxy
from tests.registries import certificate_files

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
KINDS = ("http", "https", "socks5", "socks5h")
POD = {"kind": "Pod", "metadata": {"name": "pod-0"}}


class Tls:
    """A certificate for 127.0.0.1 and for k.example, which is its own authority."""

    def __init__(self, folder: Path, name: str) -> None:
        files = certificate_files(folder, name)
        self.authority = files[0]
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(*files)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """The API server's."""
    return Tls(tmp_path_factory.mktemp("server"), "k.example")


@pytest.fixture(scope="module")
def proxy_tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """The proxy's."""
    return Tls(tmp_path_factory.mktemp("proxy"), "127.0.0.1")


@contextlib.asynccontextmanager
async def api_server(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Knows one pod, whose daemon speaks first and then gives back what it gets; gives its port."""

    def choose(connection: ServerConnection, request: Request) -> Response | None:
        if "/exec?" in request.path:
            return None
        body = json.dumps(POD).encode()
        return Response(200, "OK", Headers({"Content-Length": str(len(body)), "Connection": "close"}), body)

    async def run(connection: ServerConnection) -> None:
        await connection.send(b"\1" + SETTINGS)
        async for message in connection:
            assert isinstance(message, bytes)
            await connection.send(b"\1" + message[1:])

    server = serve(
        run,
        "127.0.0.1",
        0,
        process_request=choose,
        subprotocols=["v5.channel.k8s.io"],  # type: ignore[list-item]
        ssl=context,
        close_timeout=0.2,
    )
    async with server as listening:
        yield next(iter(listening.sockets)).getsockname()[1]


async def both(access: Access, environ: Mapping[str, str] = {}) -> None:
    """A request for the pod, and 300 KB to its daemon and back."""
    api = KubeApi(access, environ)
    assert await api.get("/api/v1/namespaces/n/pods/pod-0", {}, "pod") == POD
    data = bytes(range(256)) * 1200
    endpoint = ExecEndpoint(api, "n", "pod-0", "buildkitd")
    connection = await endpoint.connect(asyncio.get_running_loop().time() + 5)
    writing = asyncio.ensure_future(connection.write(data))
    found = b""
    while len(found) < len(SETTINGS) + len(data):
        found += await asyncio.wait_for(connection.read(), 5)
    await writing
    await connection.close()
    assert found == SETTINGS + data


@pytest.mark.parametrize("login", [None, LOGIN], ids=["open", "password"])
@pytest.mark.parametrize("secure", [False, True], ids=["http server", "https server"])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_kubeconfigs_proxy_leads_there(
    kind: str,
    secure: bool,
    login: tuple[str, str] | None,
    tls: Tls,
    proxy_tls: Tls,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests and exec go through it, with its password; it looks up the name, and its TLS is the system's matter."""
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy_tls.authority))
    proxy = Proxy(kind, login, {"k.example": "127.0.0.1"})
    async with (
        api_server(tls.server if secure else None) as port,
        proxy.serving(proxy_tls.server if kind == "https" else None) as at,
    ):
        url = f"{kind}://{IN_URL + '@' if login else ''}127.0.0.1:{at}"
        server = f"{'https' if secure else 'http'}://k.example:{port}"
        await both(Access(server, "test", ca=Material(file=str(tls.authority)), proxy_url=url))
        assert proxy.asked == [("k.example", port)] * 2


@pytest.mark.parametrize("kind", KINDS)
async def test_the_environments_proxy_leads_there(
    kind: str, tls: Tls, proxy_tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY may name any kind; ALL_PROXY is none of Go's variables."""
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy_tls.authority))
    proxy = Proxy(kind, hosts={"k.example": "127.0.0.1"})
    async with (
        api_server(tls.server) as port,
        proxy.serving(proxy_tls.server if kind == "https" else None) as at,
    ):
        environ = {"HTTPS_PROXY": f"{kind}://127.0.0.1:{at}", "ALL_PROXY": "http://127.0.0.1:1"}
        await both(Access(f"https://k.example:{port}", "test", ca=Material(file=str(tls.authority))), environ)
        assert len(proxy.asked) == 2


async def test_a_proxy_may_be_the_clusters_own(tls: Tls, proxy_tls: Tls) -> None:
    """As with kubectl, an https proxy may have its certificate from the kubeconfig's authority."""
    proxy = Proxy("https", hosts={"k.example": "127.0.0.1"})
    authorities = tls.authority.read_bytes() + proxy_tls.authority.read_bytes()
    async with api_server(tls.server) as port, proxy.serving(proxy_tls.server) as at:
        url = f"https://127.0.0.1:{at}"
        await both(Access(f"https://k.example:{port}", "test", ca=Material(data=authorities), proxy_url=url))


@pytest.mark.parametrize("given", ["me:wr0ng@", ""])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_login_that_a_proxy_refuses_is_one_line(
    kind: str, given: str, proxy_tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the proxy, without the password, for a request and for an exec."""
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy_tls.authority))
    async with Proxy(kind, LOGIN).serving(proxy_tls.server if kind == "https" else None) as at:
        api = KubeApi(Access("http://k.example:1", "test", proxy_url=f"{kind}://{given}127.0.0.1:{at}"), {})
        said = await refusals(api)
    for text in said:
        assert f"proxy {kind}://127.0.0.1:{at}: it " in text
        assert "407" in text if kind.startswith("http") else "user and" in text
        assert "wr0ng" not in text
        assert "\n" not in text


@pytest.mark.parametrize(
    ("kind", "words"),
    [("http", "502 Bad Gateway"), ("socks5", "connection refused")],
)
async def test_a_server_that_the_proxy_does_not_reach_is_one_line(kind: str, words: str) -> None:
    """In the proxy's words."""
    async with Proxy(kind).serving() as at:
        api = KubeApi(Access("http://127.0.0.1:1", "test", proxy_url=f"{kind}://127.0.0.1:{at}"), {})
        assert all(f"proxy {kind}://127.0.0.1:{at}: " in text and words in text for text in await refusals(api))


async def test_a_proxy_of_a_stranger_gets_nothing(proxy_tls: Tls) -> None:
    """An https proxy whose certificate nobody vouches for is asked for no way."""
    proxy = Proxy("https")
    async with proxy.serving(proxy_tls.server) as at:
        api = KubeApi(Access("http://k.example:1", "test", proxy_url=f"https://127.0.0.1:{at}"), {})
        assert all(f"proxy https://127.0.0.1:{at}: self-signed certificate" in text for text in await refusals(api))
    assert proxy.asked == []


async def refusals(api: KubeApi) -> list[str]:
    """What is said of a request and of an exec that fail; both within the time of one try."""
    said = []
    with pytest.raises(UnreachableError) as request:
        await api.get("/api/v1/namespaces/n/pods/pod-0", {}, "pod")
    said.append(str(request.value))
    with pytest.raises(UnreachableError) as exec_:
        await ExecEndpoint(api, "n", "pod-0", "buildkitd").connect(asyncio.get_running_loop().time() + 1.5)
    return [*said, str(exec_.value)]


@pytest.mark.parametrize(
    "proxy", ["socks4://u:s3cret@p:1", "ftp://p", "http://u:s3cret@p:port", "http://", "http://u:s3cret@[p"]
)
async def test_what_is_no_proxy_is_a_mistake_of_configuration(proxy: str) -> None:
    """In one line without the password, with a status that says not to try again."""
    api = KubeApi(Access("http://k.example:1", "test", proxy_url=proxy), {})
    with pytest.raises(ConfigurationError, match="must be http://, https:// or socks5://") as caught:
        await api.get("/api", {}, "pods")
    assert "s3cret" not in str(caught.value)
