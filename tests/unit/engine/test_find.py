"""Which engine is meant: contexts, variables, sockets."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from buildclient.base.errors import UsageError
from buildclient.engine.address import EngineAddress, Tls
from buildclient.engine.errors import EngineError
from buildclient.engine.find import find_engine


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home with the contexts `near` and `far`, of which `far` has TLS files."""
    for name, host, tls in (("near", "unix:///near.sock", False), ("far", "tcp://far:1", True)):
        folder = tmp_path / ".docker/contexts"
        digest = hashlib.sha256(name.encode()).hexdigest()
        (folder / "meta" / digest).mkdir(parents=True)
        meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
        (folder / "meta" / digest / "meta.json").write_text(json.dumps(meta))
        if tls:
            (folder / "tls" / digest / "docker").mkdir(parents=True)
            for file in ("ca", "cert", "key"):
                (folder / "tls" / digest / f"docker/{file}.pem").write_text(file)
    return {"HOME": str(tmp_path)}


def _found(context: str, environ: dict[str, str], **more: Any) -> EngineAddress:
    found = find_engine(context, environ, **more)
    assert isinstance(found, EngineAddress)
    return found


def test_the_first_that_is_given_counts(environ: dict[str, str], tmp_path: Path) -> None:
    """The build's own, BUILDCLIENT_LOAD, DOCKER_HOST, DOCKER_CONTEXT, currentContext, the usual socket."""
    assert _found("", environ).text == "unix:///var/run/docker.sock"
    (tmp_path / ".docker/config.json").write_text('{"currentContext": "near"}')
    assert _found("", environ).text == "unix:///near.sock"
    environ["DOCKER_CONTEXT"] = "far"
    assert _found("", environ).text == "tcp://far:1"
    environ["DOCKER_HOST"] = "unix:///host.sock"
    assert _found("", environ).text == "unix:///host.sock"
    environ["BUILDCLIENT_LOAD"] = "near"
    assert _found("", environ).text == "unix:///near.sock"
    assert _found("default", environ).text == "unix:///host.sock"
    assert _found("unix:///own.sock", environ).text == "unix:///own.sock"
    environ["BUILDCLIENT_LOAD"] = "containerd:///x?namespace=k8s.io"
    assert find_engine("", environ) == "containerd:///x?namespace=k8s.io"


def test_a_context_brings_its_own_tls(environ: dict[str, str], tmp_path: Path) -> None:
    """Its files, if it has any; whether the engine is verified stands in its description."""
    digest = hashlib.sha256(b"far").hexdigest()
    folder = tmp_path / ".docker/contexts/tls" / digest / "docker"
    assert _found("far", environ).tls == Tls(*(str(folder / f"{name}.pem") for name in ("ca", "cert", "key")))
    assert _found("near", environ).tls is None
    meta = tmp_path / ".docker/contexts/meta" / digest / "meta.json"
    meta.write_text(meta.read_text().replace("false", "true"))
    assert _found("far", environ).tls == Tls(*(str(folder / f"{n}.pem") for n in ("ca", "cert", "key")), verify=False)


def test_the_variables_of_tls(environ: dict[str, str], tmp_path: Path) -> None:
    """DOCKER_TLS_VERIFY verifies with the files of DOCKER_CERT_PATH, DOCKER_TLS does not verify."""
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/ca.pem").write_text("ca")
    environ |= {"DOCKER_HOST": "tcp://h", "DOCKER_CERT_PATH": str(tmp_path / "certs")}
    assert _found("", environ).tls is None
    assert _found("", {**environ, "DOCKER_TLS": "1"}).tls == Tls(str(tmp_path / "certs/ca.pem"), verify=False)
    assert _found("", {**environ, "DOCKER_TLS_VERIFY": "1"}) == EngineAddress(
        "tcp://h", "tcp", "", "h", 2376, tls=Tls(str(tmp_path / "certs/ca.pem"))
    )


def test_podman_s_socket_where_docker_has_none(environ: dict[str, str], tmp_path: Path) -> None:
    """Only where nothing else is named, and where it is a socket."""
    environ["XDG_RUNTIME_DIR"] = str(tmp_path)
    (tmp_path / "podman").mkdir()
    with socket.socket(socket.AF_UNIX) as podman:
        podman.bind(str(tmp_path / "podman/podman.sock"))
        missing = str(tmp_path / "docker.sock")
        assert _found("", environ, socket=missing).path == str(tmp_path / "podman/podman.sock")
        assert _found("", {**environ, "DOCKER_HOST": "unix:///x"}, socket=missing).path == "/x"
        (tmp_path / "docker.sock").touch()
        assert _found("", environ, socket=missing).path == missing


@pytest.mark.parametrize(
    ("content", "why"),
    [("{", "cannot be read"), ("[]", "names no host"), ('{"Endpoints": {"docker": {"Host": 1}}}', "names no host")],
)
def test_a_context_that_cannot_be_read_is_named(
    environ: dict[str, str], tmp_path: Path, content: str, why: str
) -> None:
    """One line, with its name."""
    digest = hashlib.sha256(b"near").hexdigest()
    (tmp_path / ".docker/contexts/meta" / digest / "meta.json").write_text(content)
    with pytest.raises(EngineError, match=f'"near" {why}'):
        find_engine("near", environ)
    with pytest.raises(EngineError, match="unable to parse docker host `other`"):
        find_engine("other", environ)


def test_a_configuration_that_cannot_be_read_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    """It might name another engine than the usual one."""
    (tmp_path / ".docker/config.json").write_text("{")
    with pytest.raises(UsageError, match="is not JSON"):
        find_engine("", environ)
