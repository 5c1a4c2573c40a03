"""Addresses of engines."""

from __future__ import annotations

import pytest

from buildclient.engine.address import EngineAddress, Tls, parse_address, parse_containerd
from buildclient.engine.dial import ssh_command
from buildclient.engine.errors import EngineError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/x.sock", ("unix", "/run/x.sock", "", 0, "")),
        ("tcp://h", ("tcp", "", "h", 2375, "")),
        ("tcp://[::1]:9/x/", ("tcp", "/x", "::1", 9, "")),
        ("ssh://me@h:22/run/x.sock", ("ssh", "/run/x.sock", "h", 22, "me")),
        ("ssh://h/", ("ssh", "", "h", 0, "")),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, str, str, int, str]) -> None:
    """Scheme, path, host, port and user."""
    assert parse_address(text) == EngineAddress(text, *address)


def test_tls_has_a_port_of_its_own() -> None:
    """2376, as with docker."""
    assert parse_address("tcp://h", Tls("ca")).port == 2376


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("foo", "unable to parse docker host `foo`"),
        ("", "unable to parse docker host ``"),
        ("unix://", "unable to parse docker host"),
        ("npipe:////./pipe/x", "named pipes"),
        ("fd://", "unable to parse"),
        ("http://h", "known are"),
        ("tcp://:1", "tcp://HOST:PORT"),
        ("tcp://h:port", "port"),
        ("tcp://[h", "no|not a URL"),
        ("ssh://h:99999", "port"),
        ("ssh://me:secret@h", "password"),
        ("ssh://me@", "hostname is empty"),
        ("ssh://h?x=1", "query"),
        ("ssh://-oProxyCommand=x", "must not begin"),
        ("ssh://-l@h", "must not begin"),
    ],
)
def test_a_wrong_address_is_one_line(text: str, why: str) -> None:
    """It names the address, without a password."""
    with pytest.raises(EngineError, match=why) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("containerd://", ("/run/containerd/containerd.sock", "default")),
        ("containerd:///x.sock", ("/x.sock", "default")),
        ("containerd:///x.sock?namespace=k8s.io", ("/x.sock", "k8s.io")),
    ],
)
def test_containerd_s_address_names_socket_and_namespace(text: str, found: tuple[str, str]) -> None:
    """Both have containerd's own defaults."""
    assert parse_containerd(text) == found


@pytest.mark.parametrize("text", ["containerd://host/x", "containerd:///x?ns=a", "containerd:///x?namespace="])
def test_a_wrong_address_of_containerd_is_refused(text: str) -> None:
    """A misspelt namespace must not become the default one."""
    with pytest.raises(EngineError, match="containerd:///PATH"):
        parse_containerd(text)


def test_ssh_runs_docker_there() -> None:
    """What docker runs: user and port as options, the path as the host of the far docker."""
    command = ssh_command(parse_address("ssh://me@h:22/run/x y.sock".replace(" ", "%20")))
    assert command[:5] == ["ssh", "-l", "me", "-p", "22"]
    assert command[-3:] == ["--", "h", "docker --host=unix:///run/x%20y.sock system dial-stdio"]
