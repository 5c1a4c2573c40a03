"""The registry client against real registries on loopback."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import ssl
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildclient.base.errors import ClientError
from buildclient.registry.client import OciRegistry
from buildclient.registry.credentials import Credentials
from buildclient.registry.http import plain_http
from buildclient.registry.publish import publish_index
from buildclient.registry.token import fetch_token
from buildclient.request.flagtext import parse_tags
from buildclient.request.values import BuildRequest, Output
from buildclient.tools import BuildTools
from tests.load import busy
from tests.proxies import IN_URL, LOGIN, Proxy, in_thread
from tests.registries import (
    PASSWORD,
    USER,
    Asked,
    TokenServer,
    basic,
    certificate_files,
    htpasswd,
    image,
    registry,
    web_server,
)

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_PUSHED = Output("image", {"push": "true"})
EMPTY_INDEX = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}, indent=3).encode()


class Fixed:
    """The same credentials for every host."""

    def __init__(self, *found: str, **named: str) -> None:
        self.found = Credentials(*found, **named)
        self.hosts: list[str] = []

    async def get(self, host: str) -> Credentials:
        self.hosts.append(host)
        return self.found


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that asks nobody."""
    with registry(tmp_path_factory.mktemp("open")) as host:
        yield host


@pytest.fixture(scope="module")
def password_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with one user."""
    folder = tmp_path_factory.mktemp("password")
    with registry(folder, htpasswd(folder)) as host:
        yield host


async def test_bytes_go_and_come_back_unchanged(open_registry: str) -> None:
    """A manifest's bytes, its media type and its digest survive the registry."""
    client = OciRegistry(Fixed(), environ={})
    digest = await client.put_manifest(f"{open_registry}/a/b:1", OCI_INDEX, EMPTY_INDEX)
    assert digest == f"sha256:{hashlib.sha256(EMPTY_INDEX).hexdigest()}"
    assert await client.get_manifest(f"{open_registry}/a/b", digest) == (OCI_INDEX, EMPTY_INDEX)
    assert await client.get_manifest(f"{open_registry}/a/b", "1") == (OCI_INDEX, EMPTY_INDEX)


async def test_a_blob_comes_in_pieces(open_registry: str) -> None:
    """A blob of several pieces is whole."""
    data = bytes(range(256)) * 12000
    from tests.registries import blob

    digest = blob(open_registry, "a/blob", data)
    pieces = [piece async for piece in OciRegistry(Fixed(), environ={}).blob(f"{open_registry}/a/blob", digest)]
    assert len(pieces) > 1
    assert b"".join(pieces) == data


async def test_what_is_missing_is_named(open_registry: str) -> None:
    """The message names registry, repository, manifest, and what the registry said, in one line."""
    with pytest.raises(ClientError) as caught:
        await OciRegistry(Fixed(), environ={}).get_manifest(f"{open_registry}/no/such", "9")
    message = str(caught.value)
    assert message.startswith(f"registry {open_registry}, repository no/such: GET manifests/9: 404 Not Found")
    assert "manifest unknown" in message
    assert "\n" not in message


async def test_a_password_opens_a_registry(password_registry: str) -> None:
    """Basic credentials are asked for once a repository and used for reading and writing."""
    source = Fixed(USER, PASSWORD)
    client = OciRegistry(source, environ={})
    digest = await client.put_manifest(f"{password_registry}/p:1", OCI_INDEX, EMPTY_INDEX)
    assert (await client.get_manifest(f"{password_registry}/p", digest))[1] == EMPTY_INDEX
    assert set(source.hosts) == {password_registry}


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [(Fixed(), "run: docker login"), (Fixed(USER, "wrong"), "401 Unauthorized unauthorized: authentication required")],
    ids=["none", "wrong"],
)
async def test_a_missing_or_wrong_password_is_said(password_registry: str, credentials: Fixed, expected: str) -> None:
    """Without the right password one line names registry and repository, and never the password."""
    with pytest.raises(ClientError) as caught:
        await OciRegistry(credentials, environ={}).put_manifest(f"{password_registry}/p:1", OCI_INDEX, EMPTY_INDEX)
    message = str(caught.value)
    assert f"registry {password_registry}, repository p" in message
    assert expected in message
    assert "\n" not in message
    assert "wrong" not in message


@pytest.mark.parametrize("oauth", [True, False], ids=["oauth", "only-get"])
async def test_tokens_are_fetched_for_the_action(tmp_path: Path, oauth: bool) -> None:
    """A bearer challenge is answered with a token for just the repository and the action, by POST or else by GET."""
    with TokenServer(tmp_path, oauth=oauth).serving() as server, registry(tmp_path, server.auth) as host:
        client = OciRegistry(Fixed(USER, PASSWORD), environ={})
        digest = await client.put_manifest(f"{host}/t/t:1", OCI_INDEX, EMPTY_INDEX)
        assert (await client.get_manifest(f"{host}/t/t", digest))[1] == EMPTY_INDEX
        asked = " ".join(one.path + one.body for one in server.asked)
        assert "repository%3At%2Ft%3Apull%2Cpush" in asked
        assert [one.method for one in server.asked][:2] == (["POST", "POST"] if oauth else ["POST", "GET"])


async def test_who_has_logged_in_is_not_asked_again(tmp_path: Path) -> None:
    """One token serves the pulls and pushes that follow; a registry without logins takes it as well."""
    with TokenServer(tmp_path).serving() as server, registry(tmp_path, server.auth) as host:
        one = OciRegistry(Fixed(USER, PASSWORD))
        await one.log_in(f"{host}/team/app")
        asked = len(server.asked)
        assert asked
        digest = await one.put_manifest(f"{host}/team/app:1", OCI_INDEX, EMPTY_INDEX)
        assert (await one.get_manifest(f"{host}/team/app", digest))[1] == EMPTY_INDEX
        assert len(server.asked) == asked


async def test_a_login_that_is_not_needed_is_none(open_registry: str) -> None:
    """And what follows works as without it."""
    one = OciRegistry(Fixed())
    await one.log_in(f"{open_registry}/team/app")
    await one.put_manifest(f"{open_registry}/team/app:1", OCI_INDEX, EMPTY_INDEX)


async def test_a_merge_logs_in_while_the_nodes_push(tmp_path: Path) -> None:
    """What is wrong there is left to the merge itself."""
    (tmp_path / "docker").mkdir()
    with TokenServer(tmp_path).serving() as server, registry(tmp_path, server.auth) as host:
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))
        for folder, asked in (("docker", True), ("nowhere", False)):
            server.asked.clear()
            tools = BuildTools({"DOCKER_CONFIG": str(tmp_path / folder)}, lambda *_: (), lambda _: None)
            tools.merge_soon(BuildRequest(context=".", tags=parse_tags((f"{host}/app:1",)), outputs=(_PUSHED,)))
            assert tools.soon is not None
            await asyncio.wait_for(tools.soon, busy(20))
            assert bool([one for one in server.asked if one.method == "POST" or one.authorization]) is asked


async def test_an_identity_token_is_enough(tmp_path: Path) -> None:
    """What `docker login` keeps as identity token is a refresh token."""
    with TokenServer(tmp_path).serving() as server, registry(tmp_path, server.auth) as host:
        client = OciRegistry(Fixed(identity_token="identity"), environ={})
        await client.put_manifest(f"{host}/t/t:1", OCI_INDEX, EMPTY_INDEX)
        assert "grant_type=refresh_token" in server.asked[0].body


async def test_a_refused_token_is_said(tmp_path: Path) -> None:
    """The token server's refusal names registry, repository and token server."""
    with (
        TokenServer(tmp_path).serving() as server,
        registry(tmp_path, server.auth) as host,
        pytest.raises(ClientError, match=rf"registry {host}, repository t: failed to fetch a token.*401"),
    ):
        await OciRegistry(Fixed(USER, "wrong"), environ={}).get_manifest(f"{host}/t", "1")


async def test_no_password_goes_unencrypted_to_a_strange_token_server() -> None:
    """A registry cannot send a password to a host of its choice without TLS."""
    challenge = {"WWW-Authenticate": 'Bearer realm="http://192.0.2.1/token",service="x"'}
    with (
        web_server(lambda asked: (200 if asked.path == "/v2/" else 401, challenge, b""), []) as host,
        pytest.raises(ClientError, match="not HTTPS, so it gets no password"),
    ):
        await OciRegistry(Fixed(USER, PASSWORD), environ={}).get_manifest(f"{host}/t", "1")


async def test_tls_on_loopback_is_found(tmp_path: Path) -> None:
    """A registry with TLS on loopback is spoken to over TLS, whoever signed its certificate."""
    with registry(tmp_path, tls=True) as host:
        client = OciRegistry(Fixed(), environ={})
        digest = await client.put_manifest(f"{host}/a:1", OCI_INDEX, EMPTY_INDEX)
        assert (await client.get_manifest(f"{host}/a", digest))[1] == EMPTY_INDEX


async def test_a_busy_registry_is_asked_again() -> None:
    """Answers of 503 are tried again; the bytes come in the end."""
    seen: list[Asked] = []

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.path == "/v2/":
            return 200, {}, b"{}"
        busy = sum(one.path == asked.path for one in seen) < 3
        return (503, {"Retry-After": "3600"}, b"") if busy else (200, {"Content-Type": OCI_INDEX}, EMPTY_INDEX)

    with web_server(answer, seen) as host:
        assert (await OciRegistry(Fixed(), environ={}).get_manifest(f"{host}/a", "1"))[1] == EMPTY_INDEX
    assert len(seen) == 4


async def test_the_merge_waits_for_a_registry_that_is_late() -> None:
    """A manifest and a config that were pushed a moment ago are asked for again where a replica has not got them."""
    seen: list[Asked] = []
    config = json.dumps({"os": "linux", "architecture": "arm64"}).encode()
    of_config = {"digest": f"sha256:{hashlib.sha256(config).hexdigest()}"}
    image_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": image_type, "config": of_config, "layers": []}).encode()
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    held = {f"/v2/a/manifests/{digest}": (image_type, manifest), f"/v2/a/blobs/{of_config['digest']}": ("", config)}

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.method == "PUT":
            return 201, {}, b""
        if asked.path == "/v2/":
            return 200, {}, b"{}"
        if sum(one.path == asked.path for one in seen) < 3:
            return 404, {}, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
        kind, data = held[asked.path]
        return 200, {"Content-Type": kind}, data

    with web_server(answer, seen) as host:
        registry = OciRegistry(Fixed(), environ={})
        response = {"containerimage.digest": digest}
        merged = await publish_index(registry, [f"{host}/a:1"], [response], {})
    assert seen[-1].path == "/v2/a/manifests/1"
    assert hashlib.sha256(seen[-1].body.encode()).hexdigest() in merged
    assert "arm64" in seen[-1].body


async def test_what_is_not_there_is_not_waited_for_for_ever() -> None:
    """Within seconds for what was just pushed, at once for anything else."""
    seen: list[Asked] = []
    with web_server(lambda asked: (200 if asked.path == "/v2/" else 404, {}, b""), seen) as host:
        registry = OciRegistry(Fixed(), environ={})
        for fresh, asked, longest in ((False, 1, 1), (True, 5, 6)):
            seen.clear()
            begun = time.monotonic()
            with pytest.raises(ClientError, match="404"):
                await registry.get_manifest(f"{host}/a", "1", fresh=fresh)
            assert sum(one.path != "/v2/" for one in seen) == asked
            assert time.monotonic() - begun < busy(longest)


async def test_a_broken_registry_is_given_up() -> None:
    """Answers of 500 without end become one line after a bounded number of tries."""
    seen: list[Asked] = []
    with (
        web_server(lambda asked: (200 if asked.path == "/v2/" else 500, {}, b"on fire\n"), seen) as host,
        pytest.raises(ClientError, match="PUT manifests/1: 500 Internal Server Error on fire"),
    ):
        await OciRegistry(Fixed(), environ={}).put_manifest(f"{host}/a:1", OCI_INDEX, EMPTY_INDEX)
    assert len(seen) <= 6


async def test_other_bytes_than_asked_for_are_refused() -> None:
    """Bytes that do not have the digest they were asked for by are not used."""
    wanted = f"sha256:{hashlib.sha256(EMPTY_INDEX).hexdigest()}"
    with (
        web_server(lambda asked: (200, {"Content-Type": OCI_INDEX}, EMPTY_INDEX + b" "), []) as host,
        pytest.raises(ClientError, match="other bytes"),
    ):
        await OciRegistry(Fixed(), environ={}).get_manifest(f"{host}/a", wanted)


def test_a_registry_that_hangs_does_not_hold_an_interrupted_command() -> None:
    """Cancelled, a request is over at once, and so is the loop, whatever the registry does."""
    release = threading.Event()

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        release.wait(30)
        return 200, {}, b""

    async def ask(host: str) -> None:
        asking = OciRegistry(Fixed(), environ={}).get_manifest(f"{host}/a", "1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asking, 0.3)

    with web_server(answer, []) as host:
        started = time.monotonic()
        asyncio.run(ask(host))
        assert time.monotonic() - started < busy(3)
        release.set()


async def test_an_answer_that_breaks_off_is_one_line() -> None:
    """Fewer bytes than the registry promised are an error, not a manifest."""
    headers = {"Content-Type": OCI_INDEX, "X-Promise": "1"}
    answers = {"/v2/": (200, {"Content-Type": "application/json"}, b"{}")}
    with (
        web_server(lambda asked: answers.get(asked.path, (200, headers, EMPTY_INDEX)), []) as host,
        pytest.raises(ClientError, match="broke off"),
    ):
        await OciRegistry(Fixed(), environ={}).get_manifest(f"{host}/a", "1")


async def test_nobody_there_is_one_line() -> None:
    """A registry that cannot be reached is named, without the library's own words for it."""
    from tests.registries import free_port

    host = f"127.0.0.1:{free_port()}"
    with pytest.raises(ClientError) as caught:
        await OciRegistry(Fixed(), environ={}).get_manifest(f"{host}/a", "1")
    assert str(caught.value).startswith(f"registry {host} cannot be reached")
    assert "object at 0x" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "insecure", "expected"),
    [
        ("localhost", (), True),
        ("localhost:5000", (), True),
        ("127.8.9.1:5000", (), True),
        ("[::1]:5000", (), True),
        ("10.77.0.1:5000", (), False),
        ("10.77.0.1:5000", ("10.77.0.1:5000",), True),
        ("10.77.0.1:5000", ("10.77.0.1:5001",), False),
        ("10.77.0.1:5000", ("10.0.0.0/8",), True),
        ("192.168.0.1", ("10.0.0.0/8", "nonsense/9"), False),
        ("registry.example", ("registry.example",), True),
        ("registry.example:5000", ("registry.example",), True),
        ("localhost.example", (), False),
        ("127.0.0.1.example", (), False),
        ("registry-1.docker.io", (), False),
    ],
)
def test_plain_http_is_for_loopback_and_what_is_listed(host: str, insecure: tuple[str, ...], expected: bool) -> None:
    """No other host does without checked TLS."""
    assert plain_http(host, insecure) is expected


def test_an_image_without_layers_is_accepted(open_registry: str) -> None:
    """The tests' own images are images to the registry."""
    media_type, data = image(open_registry, "own", {"os": "linux", "architecture": "arm64"})
    assert media_type in data.decode()
    assert basic("a", "b") == "Basic YTpi"


async def test_a_registry_beyond_a_proxy_is_reached_with_the_proxys_password() -> None:
    """User and password of the proxy's URL go to the proxy, and signs in them may be escaped."""
    seen: list[Asked] = []
    headers = {"Content-Type": OCI_INDEX, "Docker-Content-Digest": f"sha256:{hashlib.sha256(EMPTY_INDEX).hexdigest()}"}
    with web_server(lambda asked: (200, headers, EMPTY_INDEX), seen) as proxy:
        environ = {"HTTP_PROXY": f"http://me:p%40ss@{proxy}"}
        client = OciRegistry(Fixed(), insecure=("registry.test:5000",), environ=environ)
        found = await client.get_manifest("registry.test:5000/a", "1")
    assert found == (OCI_INDEX, EMPTY_INDEX)
    # Plain HTTP is tried where TLS fails, and through the same proxy.
    assert seen[-1].path == "http://registry.test:5000/v2/a/manifests/1"
    assert seen[-1].proxy_authorization == basic("me", "p@ss")


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_registries_and_token_servers_are_reached_through_every_kind_of_proxy(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with docker buildx; a login that the proxy refuses is one line that names it without the password."""
    for name in ("proxy", "registry"):
        (tmp_path / name).mkdir()
    files = certificate_files(tmp_path / "proxy", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    tokens = TokenServer(tmp_path)
    proxy = Proxy(kind, LOGIN, {"registry.test": "127.0.0.1", "token.test": "127.0.0.1"})
    with (
        tokens.serving(),
        in_thread(proxy, context if kind == "https" else None) as at,
        registry(tmp_path / "registry", tls="registry.test") as host,
    ):
        own = (tmp_path / "registry" / "tls.crt").read_bytes()
        (tmp_path / "trusted").write_bytes(own + files[0].read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted"))
        name = f"registry.test:{host.rpartition(':')[2]}"
        environ = {"HTTPS_PROXY": f"{kind}://{IN_URL}@127.0.0.1:{at}"}
        client = OciRegistry(Fixed(), environ=environ)
        digest = await client.put_manifest(f"{name}/a:1", OCI_INDEX, EMPTY_INDEX)
        assert (await client.get_manifest(f"{name}/a", digest))[1] == EMPTY_INDEX
        assert proxy.asked == [("registry.test", int(name.rpartition(":")[2]))]

        wrong = {"HTTPS_PROXY": f"{kind}://me:wr0ng@127.0.0.1:{at}"}
        with pytest.raises(ClientError) as caught:
            await OciRegistry(Fixed(), environ=wrong).get_manifest(f"{name}/a", digest)
        assert f"proxy {kind}://127.0.0.1:{at}" in str(caught.value)
        assert ("407" if kind.startswith("http") else "does not accept the user and password") in str(caught.value)
        assert "wr0ng" not in str(caught.value)
        assert "\n" not in str(caught.value)

        if kind == "socks5":
            monkeypatch.setenv("HTTP_PROXY", environ["HTTPS_PROXY"])
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            realm = tokens.realm.replace("127.0.0.1", "token.test")
            assert fetch_token(realm, "registry.test", ("repository:a:pull",), Credentials(USER, PASSWORD)).value
            assert proxy.asked[-1] == ("token.test", int(realm.split(":")[2].partition("/")[0]))


@pytest.mark.parametrize("path", ["manifests", "blobs", "/v2/"])
async def test_of_an_error_without_end_only_the_beginning_is_read(path: str) -> None:
    """Compressed or not, also where content was asked for, and of the first answer of all."""
    endless = gzip.compress(bytes(64 << 20), 1)

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.path == "/v2/" and path != "/v2/":
            return 200, {}, b"{}"
        return 403, {"Content-Encoding": "gzip"}, endless

    with web_server(answer, []) as host:
        client = OciRegistry(Fixed(), environ={})
        where = f"{host}/a:1"
        blob = client.blob(where, "sha256:" + "0" * 64)
        tracemalloc.start()
        try:
            with pytest.raises(ClientError, match="403"):
                await (anext(blob) if path == "blobs" else client.put_manifest(where, OCI_INDEX, EMPTY_INDEX))
            assert tracemalloc.get_traced_memory()[1] < 32 << 20
        finally:
            tracemalloc.stop()
