"""Answers of the API server that break off, as when it is restarted."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access

_BODY = json.dumps({"items": []}).encode()
_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


@contextlib.contextmanager
def _server(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that ends each connection after its answer, the last one for all that follow; and what it was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = listener.accept()
                with one:
                    asked.append(one.recv(1 << 16).partition(b" ")[0])
                    one.sendall(answers[min(len(asked), len(answers)) - 1])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked


@pytest.mark.parametrize("cut", [0, 10, len(_WHOLE) - 1])
async def test_a_read_that_is_cut_is_asked_again(cut: int) -> None:
    """At any byte of the answer, the first one included."""
    with _server(_WHOLE[:cut], _WHOLE) as (address, asked):
        assert await KubeApi(Access(address, "c"), {}).get("/pods", {}, "cannot list") == {"items": []}
    assert asked == [b"GET", b"GET"]


_ZIPPED = gzip.compress(_BODY)


def _zipped(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize("before", [(), (_zipped(_ZIPPED[:-9]),)], ids=["whole", "cut inside"])
async def test_a_large_answer_comes_compressed(before: tuple[bytes, ...]) -> None:
    """What ends before the compressed text does is asked again."""
    with _server(*before, _zipped(_ZIPPED)) as (address, asked):
        assert await KubeApi(Access(address, "c"), {}).get("/pods", {}, "cannot list") == {"items": []}
    assert len(asked) == 1 + len(before)


async def test_an_answer_that_only_says_it_is_compressed_ends_in_one_line() -> None:
    """So does an error; its status is told."""
    with _server(_zipped(_BODY)) as (address, _), pytest.raises(UnreachableError, match="a broken answer"):
        await KubeApi(Access(address, "c"), {}).get("/pods", {}, "cannot list")
    with _server(_zipped(_BODY, b"500 No")) as (address, _), pytest.raises(UnreachableError, match="HTTP 500"):
        await KubeApi(Access(address, "c"), {}).get("/pods", {}, "cannot list")
    told = _zipped(gzip.compress(b'{"message": "etcd is slow"}'), b"500 No")
    with _server(told) as (address, _), pytest.raises(UnreachableError, match="etcd is slow"):
        await KubeApi(Access(address, "c"), {}).get("/pods", {}, "cannot list")


async def test_one_that_is_always_cut_ends_in_one_line() -> None:
    """After the last pause."""
    with _server(_WHOLE[:-1]) as (address, asked):
        api = KubeApi(Access(address, "c"), {}, cut_pauses=(0.01, 0.02))
        with pytest.raises(UnreachableError, match=r"^cannot list: cannot reach http.*: a broken answer"):
            await api.get("/pods", {}, "cannot list")
    assert len(asked) == 3


async def test_a_change_that_is_cut_is_not_asked_twice() -> None:
    """It may have been made."""
    with _server(_WHOLE[:-1]) as (address, asked), pytest.raises(UnreachableError):
        await KubeApi(Access(address, "c"), {}).merge_patch("/pods", {}, "cannot patch")
    assert asked == [b"PATCH"]
