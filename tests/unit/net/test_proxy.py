"""Proxies: which one, and what it is told."""

from __future__ import annotations

import asyncio
import base64

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from buildclient.kube.pods import KubernetesPods
from buildclient.net.proxy import proxy_for, proxy_headers, redacted


@pytest.mark.parametrize(
    ("server", "configured", "environ", "expected"),
    [
        ("https://k.example:6443", "", {}, ""),
        ("https://k.example:6443", "http://p:1", {"NO_PROXY": "*"}, "http://p:1"),
        ("https://k.example:6443", "", {"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
        ("https://k.example:6443", "", {"https_proxy": "http://p"}, "http://p"),
        ("http://k.example", "", {"HTTPS_PROXY": "http://p"}, ""),
        ("https://k.example:6443", "", {"HTTPS_PROXY": "http://p", "NO_PROXY": "example"}, ""),
        ("https://k.example:6443", "", {"HTTPS_PROXY": "http://p", "NO_PROXY": ".k.example"}, "http://p"),
        ("https://k.example:6443", "", {"HTTPS_PROXY": "http://p", "NO_PROXY": "k.example:443"}, "http://p"),
        ("https://10.1.2.3:6443", "", {"HTTPS_PROXY": "http://p", "NO_PROXY": "10.0.0.0/8"}, ""),
        ("https://127.0.0.1:6443", "", {"HTTPS_PROXY": "http://p"}, ""),
        ("https://k.example:6443", "", {"HTTPS_PROXY": "socks5://p:1080"}, "socks5://p:1080"),
        ("https://k.example:6443", "", {"ALL_PROXY": "socks5://p:1080", "all_proxy": "http://p"}, ""),
    ],
)
def test_the_proxy_is_the_one_kubectl_takes(
    server: str, configured: str, environ: dict[str, str], expected: str
) -> None:
    """The kubeconfig's proxy wins, then the environment's by Go's rules."""
    assert proxy_for(server, configured, environ) == expected


@pytest.mark.parametrize(
    ("proxy", "pair", "told"),
    [
        ("http://me:p%40ss@p:1", b"me:p@ss", "http://p:1"),
        ("http://m%3ae@p", b"m:e:", "http://p"),
        ("http://p:1", b"", "http://p:1"),
    ],
)
def test_a_proxy_is_told_its_password_and_nobody_else(proxy: str, pair: bytes, told: str) -> None:
    """Signs that a URL cannot hold are escaped in it."""
    header = {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"} if pair else {}
    assert proxy_headers(proxy) == header
    assert redacted(proxy) == told


async def test_pods_are_asked_for_through_a_proxy_with_a_password() -> None:
    """The same as for the exec."""
    heads: list[bytes] = []

    async def proxying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 no\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(proxying, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        access = Access("http://k.example:1", "test", proxy_url=f"http://me:p%40ss@127.0.0.1:{port}")
        with pytest.raises(UnreachableError):
            await KubernetesPods(KubeApi(access, {})).list("space", {"app": "x"})
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss") in heads[0]
