"""What the page's process is given for many clusters."""

from __future__ import annotations

import asyncio
import socket

import pytest
from buildkit_builders.page.serve import Address, ServeError, more_threads, parse_address

from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from tests.jsonserver import JsonHandler, served


class _Api(JsonHandler):
    def do_GET(self) -> None:  # noqa: N802 - the base class names it
        self.answer(200, {})


async def test_a_cluster_that_takes_requests_and_never_answers_holds_up_no_other() -> None:
    """Twenty requests that hang, and one to another cluster is answered meanwhile."""
    more_threads()
    with served(_Api) as address:
        hanging = socket.create_server(("127.0.0.1", 0), backlog=64)
        hangs = KubeApi(Access(f"http://127.0.0.1:{hanging.getsockname()[1]}", "hangs"), {})
        answers = KubeApi(Access(f"http://{address}", "answers"), {})
        waiting = [asyncio.ensure_future(hangs.get("/x", {}, "x")) for _ in range(20)]
        try:
            await asyncio.sleep(0.2)
            assert await answers.get("/x", {}, "x") == {}
            assert not any(one.done() for one in waiting)
        finally:
            hanging.close()
            await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("8080", Address("127.0.0.1", 8080), True),
        (":0", Address("127.0.0.1", 0), True),
        ("localhost:80", Address("localhost", 80), True),
        ("[::1]:8080", Address("::1", 8080), True),
        ("127.8.8.8:1", Address("127.8.8.8", 1), True),
        ("0.0.0.0:8080", Address("0.0.0.0", 8080), False),
        ("[::]:8080", Address("::", 8080), False),
        ("builders.example:80", Address("builders.example", 80), False),
        ("localhost.evil.example:80", Address("localhost.evil.example", 80), False),
    ],
)
def test_only_addresses_of_this_machine_are_its_own(text: str, address: Address, loopback: bool) -> None:
    """A name that leads here by chance is none; what cannot be told is not loopback."""
    assert parse_address(text) == address
    assert address.loopback is loopback


@pytest.mark.parametrize("text", ["", "http://x", "127.0.0.1", "127.0.0.1:65536", "host:-1", "[::1]"])
def test_an_address_that_is_none_says_how_one_looks(text: str) -> None:
    """A port must be there, and be one."""
    with pytest.raises(ServeError, match="is no address: give HOST:PORT"):
        parse_address(text)
