"""`-D` and BUILDCLIENT_DEBUG: the story of a command that went wrong, without a secret in it."""

from __future__ import annotations

import base64
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.cli import build as build_command
from buildclient.cli import debug
from buildclient.cli.main import status_of
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from buildclient.kube.pods import KubernetesPods
from buildclient.registry.client import OciRegistry
from buildclient.registry.docker_config import DockerConfig
from tests.registries import PASSWORD, USER, Asked, TokenServer, registry, web_server

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (build|cli|daemon|discovery|kube|nodes|registry|session): \S.*")
POD = {
    "metadata": {"name": "builder-0", "namespace": "space"},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}
NODE = {
    "name": "builder",
    "namespace": "space",
    "loadbalance": "sticky",
    "platforms": [],
    "workload": {"kind": "Deployment", "name": "builder"},
    "selector": {"app": "builder"},
    "container": "buildkitd",
    "replicas": 1,
    "timeoutSeconds": 5,
    "rootless": False,
}
INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
PLANTED = "PLANTED"


class Place:
    """A folder with a kubeconfig and a context, and an apiserver that lists one pod and refuses the exec."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        self.server = f"http://{server}"
        (folder / "context").mkdir()
        (folder / "context" / "Dockerfile").write_text("FROM scratch\n")
        output = {"version": 1, "name": "kube", "namespace": "space", "nodes": [NODE]}
        (folder / "builder.json").write_text(json.dumps(output))
        self.user({})

    def user(self, user: dict[str, Any]) -> None:
        """Writes the kubeconfig with this user."""
        config = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.server}}],
            "users": [{"name": "u", "user": user}],
        }
        (self.folder / "config").write_text(json.dumps(config))

    def plugin(self) -> dict[str, Any]:
        """An exec plugin that prints a planted token."""
        status = {"token": f"{PLANTED}-plugin"}
        version = "client.authentication.k8s.io/v1"
        answer = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
        program = self.folder / "plugin"
        program.write_text(f"#!/bin/sh\necho {PLANTED}-stderr >&2\ncat <<'END'\n{answer}\nEND\n")
        program.chmod(0o755)
        return {"exec": {"apiVersion": version, "command": str(program), "args": [f"--key={PLANTED}-argument"]}}

    def line(self, *flags: str) -> list[str]:
        """A build's command line, with a planted build argument."""
        argument = ["--build-arg", f"TOKEN={PLANTED}-argument"]
        return [
            *flags,
            "build",
            "--builder-file",
            str(self.folder / "builder.json"),
            *argument,
            str(self.folder / "context"),
        ]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The place, named by the environment."""

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if "/exec" in asked.path:
            return 403, {}, b'{"message": "pods/exec is forbidden"}'
        return 200, {}, json.dumps({"metadata": {"resourceVersion": "1"}, "items": [POD]}).encode()

    with web_server(answer, []) as server:
        for name in ("BUILDCLIENT_DEBUG", "BUILDCLIENT_BUILDER", "BUILDX_BUILDER", "BUILDKIT_PROGRESS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/config:{tmp_path}/missing")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        yield Place(tmp_path, server)


def logged(text: str) -> list[str]:
    """The lines of the log among others."""
    return [line for line in text.splitlines() if LINE.fullmatch(line)]


def ordered(lines: list[str], *parts: str) -> None:
    """Asserts that each part stands in a line, in this order."""
    left = iter(lines)
    for part in parts:
        assert any(part in line for line in left), f"{part!r} is not, or not in its place, in:\n" + "\n".join(lines)


def test_the_log_tells_how_a_pod_was_looked_for(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Each decision and request on the way stands in a line, with its reason or status, then how it ended."""
    assert status_of(place.line("-D")) == 2
    lines = logged(capsys.readouterr().err)
    # The connection for the exec is made while the pods are listed.
    ordered(
        lines, f"kube: context here ({place.server}): the", f"kube: connect to {place.server}", "cli: exit status 2"
    )
    ordered(
        lines,
        f"discovery: builder output from --builder-file {place.folder}/builder.json",
        f"kube: kubeconfig {place.folder}/config (KUBECONFIG)",
        f"kube: kubeconfig {place.folder}/missing does not exist",
        f"kube: context here ({place.server}): the current context",
        "kube: GET /api/v1/namespaces/space/pods: 200 in ",
        "kube: pods with app=builder in space: builder-0 ready",
        "nodes: builder: pod builder-0 of 1 ready: highest sticky score",
        "kube: exec into pod builder-0 container buildkitd (namespace space",
        "cli: exit status 2",
    )


@pytest.mark.parametrize(
    ("before", "behind", "variable", "on"),
    [
        (["-D"], [], "", True),
        ([], ["--debug"], "", True),
        ([], [], "1", True),
        ([], [], "yes", True),
        ([], [], "0", False),
        ([], [], "", False),
    ],
)
def test_the_log_is_asked_for_by_flag_or_variable(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: list[str],
    behind: list[str],
    variable: str,
    on: bool,
) -> None:
    """The flag stands before the command or behind it; unasked, nothing is logged, and no logger stays on."""
    monkeypatch.setenv("BUILDCLIENT_DEBUG", variable)
    assert status_of([*place.line(*before), *behind]) == 2
    said = capsys.readouterr().err
    assert bool(logged(said)) is on
    assert ("Traceback" in said) is on
    assert said.splitlines()[-1 - on].startswith("ERROR: ")
    assert not logging.getLogger("buildclient").handlers
    assert not logging.getLogger("buildclient.kube").isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize("kind", ["token", "password", "plugin"])
def test_no_secret_of_the_cluster_is_logged(place: Place, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """Neither a credential nor a build argument; of an exec plugin its command, status and time."""
    users = {
        "token": {"token": f"{PLANTED}-token"},
        "password": {"username": "me", "password": f"{PLANTED}-password"},
        "plugin": place.plugin(),
    }
    place.user(users[kind])
    status_of(place.line("-D"))
    said = capsys.readouterr().err
    assert logged(said)
    assert PLANTED not in said
    assert base64.b64encode(f"me:{PLANTED}-password".encode()).decode() not in said
    assert ("plugin: status 0 in " in said) is (kind == "plugin")


async def test_no_password_of_a_proxy_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """The proxy is named without user and password."""
    from buildclient.kube.tunnel import ExecEndpoint

    with web_server(lambda asked: (200, {}, b""), []) as proxy:
        access = Access("http://10.0.0.1:1", "here", proxy_url=f"http://me:{PLANTED}@{proxy}")
        debug.enable()
        try:
            with pytest.raises(UnreachableError):
                await KubernetesPods(KubeApi(access, {})).list("space", {})
            with pytest.raises(UnreachableError, match=r"proxy http://.*: it refuses the connection: 501"):
                await ExecEndpoint(KubeApi(access, {}), "space", "builder-0", "buildkitd").connect(0)
        finally:
            debug.disable()
    said = capsys.readouterr().err
    assert f"connect to http://10.0.0.1:1 through proxy http://{proxy}" in said
    assert PLANTED not in said


@pytest.mark.parametrize("identity", [False, True], ids=["password", "identity token"])
async def test_a_login_is_told_without_its_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], identity: bool
) -> None:
    """Challenge, helper, token server, scope and the requests' statuses; no password and no token."""
    answer = json.dumps({"Username": "<token>" if identity else USER, "Secret": "identity" if identity else PASSWORD})
    (tmp_path / "docker-credential-own").write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    (tmp_path / "docker-credential-own").chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "own"}))
    environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/bin:/usr/bin"}
    with TokenServer(tmp_path).serving() as server, registry(tmp_path, server.auth) as host:
        debug.enable()
        try:
            media_type = "application/vnd.oci.image.index.v1+json"
            await OciRegistry(DockerConfig(environ), environ={}).put_manifest(f"{host}/t/t:1", media_type, INDEX)
        finally:
            debug.disable()
        said = capsys.readouterr().err
        ordered(
            logged(said),
            f"registry: PUT http://{host}/v2/t/t/manifests/1: 401 in ",
            f"registry: registry {host} asks for a login: bearer",
            f"registry: credential helper docker-credential-own for {host}: status 0 in ",
            f"registry: credentials for {host}: {'identity token' if identity else 'username, secret'}",
            f"registry: token from {server.realm}, service registry.test, scope repository:t/t:pull,push, ",
            f"registry: POST {server.realm}: 200 in ",
            f"registry: PUT http://{host}/v2/t/t/manifests/1: 201 in ",
        )
    assert PASSWORD not in said
    assert "eyJ" not in said  # how every JSON web token begins
    assert "refresh_token" not in said


async def test_a_retry_is_told_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A registry that was busy once."""
    answers = iter([503, 200])
    with web_server(lambda asked: (200 if asked.path == "/v2/" else next(answers), {}, INDEX), []) as host:
        debug.enable()
        try:
            registry_ = OciRegistry(DockerConfig({"DOCKER_CONFIG": str(tmp_path)}), environ={})
            await registry_.get_manifest(f"{host}/t", "1")
        finally:
            debug.disable()
    ordered(logged(capsys.readouterr().err), "manifests/1: retried after 503", "manifests/1: 200 in ")


@pytest.mark.parametrize(
    ("progress", "log", "mode"),
    [
        ("auto", True, "plain"),
        ("", True, "plain"),
        ("tty", True, "tty"),
        ("auto", False, "tty"),
        ("rawjson", True, "rawjson"),
    ],
)
def test_the_log_and_the_live_display_do_not_mix(
    monkeypatch: pytest.MonkeyPatch, progress: str, log: bool, mode: str
) -> None:
    """With the log, progress on a terminal is plain unless the live display is asked for."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("BUILDKIT_PROGRESS", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    if log:
        debug.enable()
    try:
        assert build_command.progress_mode({"quiet": False, "progress": progress}) == mode
    finally:
        debug.disable()


def test_lines_wait_for_the_end_of_a_live_display(capsys: pytest.CaptureFixture[str]) -> None:
    """As docker buildx does, they come behind the display, in order."""
    debug.enable()
    try:
        with debug.held(True):
            logging.getLogger("buildclient.kube").debug("one")
            logging.getLogger("buildclient.kube").debug("two\nlines")
            assert capsys.readouterr().err == ""
        assert [line[13:] for line in capsys.readouterr().err.splitlines()] == ["kube: one", "kube: two lines"]
    finally:
        debug.disable()


def test_the_log_costs_no_import() -> None:
    """asyncio, which every command needs, imports `logging` already."""
    done = subprocess.run(
        [sys.executable, "-c", "import asyncio, sys; print('logging' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "True\n"
