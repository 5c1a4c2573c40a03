"""The Docker Engine API as an image is loaded, and how an engine fails."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from buildclient.contract.platform import Platform
from buildclient.engine.address import Tls, parse_address
from buildclient.engine.docker import DockerEngine, DockerLoad, Timeouts
from buildclient.engine.errors import EngineError
from buildclient.engine.messages import LoadMessage
from tests.load import busy
from tests.registries import certificate_files
from tests.unit.engine.fake import OK, body, engine, head, info

_REFUSED = b'HTTP/1.1 403 Forbidden\r\nContent-Length: 25\r\nConnection: close\r\n\r\n{"message":"not allowed"}\n'


class _Short(Timeouts):
    ask = take = load = 0.5


def _engine(address: str, tls: Tls | None = None) -> DockerEngine:
    return DockerEngine(parse_address(address, tls), {}, _Short)


def _load(address: str, data: bytes) -> list[LoadMessage]:
    messages: list[LoadMessage] = []
    load = _engine(address).load()
    for at in range(0, len(data), 32 << 10):
        load.write(data[at : at + (32 << 10)])
    load.finish(messages.append)
    return messages


def test_an_archive_arrives_as_it_was_sent(tmp_path: Path) -> None:
    """In chunks, with the engine's words as the result."""
    got: list[bytes | None] = []
    heads: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        heads.append(head(sock))
        got.append(body(sock))
        sock.sendall(OK)

    data = bytes(range(256)) * 4000
    with engine(tmp_path / "s", serve) as address:
        assert _load(address, data) == [LoadMessage(stream="Loaded image: a:1\n")]
    assert got == [data]
    assert heads[0].startswith(b"POST /images/load?quiet=0 HTTP/1.1\r\n")


def test_an_engine_says_what_it_is(tmp_path: Path) -> None:
    """Its platform, and whether it takes an index."""
    with engine(tmp_path / "s", *(_answering(info(index=index)) for index in (False, True))) as address:
        assert _engine(address).info() == (Platform("linux", "amd64"), False, "1")
        assert _engine(address).info() == (Platform("linux", "amd64"), True, "1")


def _write_on(load: DockerLoad) -> None:
    while True:
        load.write(b"x" * 1000)
        time.sleep(0.01)


def _answering(answer: bytes) -> Callable[[socket.socket], None]:
    def serve(sock: socket.socket) -> None:
        head(sock)
        sock.sendall(answer)

    return serve


def _early(sock: socket.socket) -> None:
    head(sock)
    sock.sendall(_REFUSED)


def _late(sock: socket.socket) -> None:
    head(sock)
    body(sock)
    sock.sendall(_REFUSED)


def _gone(sock: socket.socket) -> None:
    head(sock)
    sock.recv(100)


def _full(sock: socket.socket) -> None:
    head(sock)
    body(sock)
    sock.sendall(OK.replace(b'{"stream"', b'{"status":"x"}\r\n{"errorDetail":{"message":"no space"}}\r\n{"stream"'))


def _page(sock: socket.socket) -> None:
    head(sock)
    body(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>\n")


def _noise(sock: socket.socket) -> None:
    head(sock)
    body(sock)
    sock.sendall(b"SSH-2.0-OpenSSH\r\n")


def _silent(sock: socket.socket) -> None:
    head(sock)
    time.sleep(2)


def _thinking(sock: socket.socket) -> None:
    head(sock)
    body(sock)
    time.sleep(2)


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (_early, r"unix://.* does not take the image: not allowed$"),
        (_late, r"unix://.* does not take the image: not allowed$"),
        (_gone, "broke off while it took the image: (remote end closed|connection reset|broken pipe|it ended)"),
        (_full, r"does not take the image: no space$"),
        (_page, "not JSON"),
        (_noise, "broke off while it took the image"),
        (_silent, "silent for too long"),
        (_thinking, "silent for too long"),
    ],
)
def test_an_engine_that_fails_is_told_in_one_line(
    tmp_path: Path, serve: Callable[[socket.socket], None], why: str
) -> None:
    """In its own words where it has any, and within the time limits."""
    began = time.monotonic()
    with engine(tmp_path / "s", serve) as address, pytest.raises(EngineError, match=why) as caught:
        _load(address, bytes(20 << 20))
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < busy(8)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_REFUSED, "refuses: not allowed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "not JSON"),
        (b"", "does not answer"),
        (b"no HTTP\r\n\r\n", "does not answer"),
    ],
)
def test_an_engine_that_does_not_say_what_it_is(tmp_path: Path, answer: bytes, why: str) -> None:
    """A socket of something else, for one."""
    with engine(tmp_path / "s", _answering(answer)) as address, pytest.raises(EngineError, match=why):
        _engine(address).info()


def test_an_aborted_load_has_no_end(tmp_path: Path) -> None:
    """What the engine got breaks off, also while another thread waits in it."""
    got: list[bytes | None] = []

    def serve(sock: socket.socket) -> None:
        head(sock)
        got.append(body(sock))

    with engine(tmp_path / "s", serve) as address:
        load = _engine(address).load()
        threading.Timer(0.2, load.abort).start()
        with pytest.raises(EngineError):
            _write_on(load)
    assert got == [None]


def test_an_engine_that_loads_for_long_is_left_at_an_abort(tmp_path: Path) -> None:
    """Also where its answer has begun and says that it is the last one."""

    def serve(sock: socket.socket) -> None:
        head(sock)
        body(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        sock.recv(1)

    with engine(tmp_path / "s", serve) as address:
        load = DockerEngine(parse_address(address), {}).load()
        load.write(b"x")
        threading.Timer(0.3, load.abort).start()
        began = time.monotonic()
        with pytest.raises(EngineError, match="ended without a word"):
            load.finish(lambda message: None)
        assert time.monotonic() - began < busy(5)


def test_tls_is_verified_unless_it_is_switched_off(tmp_path: Path) -> None:
    """By the authority's file; a name that does not fit is refused before anything is sent."""
    certificate, key = certificate_files(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with engine(None, *[_answering(info())] * 3, tls=context) as address:
        with pytest.raises(EngineError, match="Cannot connect to the Docker daemon"):
            _engine(address, Tls()).info()
        assert _engine(address, Tls(verify=False)).info().version == "1"
        assert _engine(address, Tls(ca=str(certificate))).info().version == "1"


def test_an_encrypted_client_key_is_said(tmp_path: Path) -> None:
    """Nobody is asked for its passphrase."""
    certificate, key = certificate_files(tmp_path, "127.0.0.1")
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with engine(None, _answering(info())) as address:
        tls = Tls(ca=str(certificate), cert=str(certificate), key=str(key))
        with pytest.raises(EngineError, match="is encrypted"):
            _engine(address, tls).info()


def test_a_load_works_with_a_high_descriptor(tmp_path: Path) -> None:
    """A process with many open files has such."""

    def serve(sock: socket.socket) -> None:
        head(sock)
        body(sock)
        sock.sendall(OK)

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2048), before[1]))
    try:
        with engine(tmp_path / "s", serve) as address, contextlib.ExitStack() as stack:
            while (handle := os.open(os.devnull, os.O_RDONLY)) < 1100:
                stack.callback(os.close, handle)
            stack.callback(os.close, handle)
            load = _engine(address).load()
            load.write(b"x")
            load.finish(lambda message: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
