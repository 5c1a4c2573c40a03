"""An escape sequence planted in each text of others' that the command line shows: none reaches the terminal."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from buildclient.base.errors import BuildFailed, ClientError
from buildclient.cli import main
from buildclient.cli.main import status_of
from buildclient.contract.output import BuilderOutput
from buildclient.daemon.worker import Worker
from buildclient.kube.pod import Pod
from buildclient.nodes.views import BuilderView, NodeView, PodView, inspect_lines, ls_lines
from buildclient.progress.events import Log, Vertex, VertexStatus, Warned
from buildclient.progress.terminal import open_display
from buildclient.registry.docker_config import DockerConfig
from buildclient.registry.http import said
from tests.registries import web_server

EVIL = "\x1b[2J\x9b1A\x1b]0;t\x07\r\u202eevil"
SHOWN = r"\x1b[2J\u009b1A\x1b]0;t\x07\x0d\u202eevil"
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
NODE = {"name": "n", "workload": {"kind": "Deployment", "name": "w"}, "selector": {"app": "w"}, "timeoutSeconds": 1}
OUTPUT = {"version": 1, "name": "kube", "namespace": "n", "nodes": [NODE]}


def kubeconfig(folder: Path, server: str = "http://127.0.0.1:1", **user: object) -> str:
    """The path of one with a context whose name has the sequence in it."""
    value = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": f"a{EVIL}", "context": {"cluster": "c", "user": "u"}}],
        "current-context": f"a{EVIL}",
    }
    (folder / "config").write_text(json.dumps(value))
    return str(folder / "config")


def program(folder: Path, name: str) -> None:
    """One that prints the sequence to standard error, and fails."""
    (folder / name).write_bytes(f"#!/bin/sh\ncat {folder}/evil >&2\ncat {folder}/evil\nexit 1\n".encode())
    (folder / name).chmod(0o755)
    (folder / "evil").write_text(EVIL)


def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command's status."""
    for name in ("BUILDX_BUILDER", "PULUMI_STACK", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return status_of(list(arguments))


@pytest.mark.parametrize("source", ["file", "context", "plugin", "pulumi", "flag", "output", "folder"])
def test_messages_of_files_and_helpers(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file's name, a context of the kubeconfig, an exec plugin, the Pulumi CLI, a flag, a field, a folder."""
    output = json.dumps(OUTPUT)
    program(tmp_path, "pulumi")
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(tmp_path / "pulumi")}
    (tmp_path / "Pulumi.yaml").write_text("name: p\nbackend: {url: s3://x}\n")
    environ, arguments = {
        "file": ({}, ["inspect", "--builder-file", f"no{EVIL}"]),
        "context": ({"BUILDCLIENT_BUILDER": output}, ["inspect", "--context", "other"]),
        "plugin": ({"BUILDCLIENT_BUILDER": output}, ["ls"]),
        "pulumi": ({"PULUMI_BACKEND_URL": "s3://x"}, ["inspect", "--stack", "dev", "--project", str(tmp_path)]),
        "flag": ({}, ["inspect", f"--no{EVIL}"]),
        "output": ({"BUILDCLIENT_BUILDER": json.dumps({**OUTPUT, "name": EVIL})}, ["inspect"]),
        "folder": ({"BUILDCLIENT_BUILDER": output}, ["build", f"no{EVIL}"]),
    }[source]
    user = {"exec": plugin} if source == "plugin" else {}
    places = {"KUBECONFIG": kubeconfig(tmp_path, "https://127.0.0.1:1", **user), "HOME": str(tmp_path)}
    status = run({"PATH": f"{tmp_path}:/usr/bin:/bin", **places, **environ}, monkeypatch, *arguments)
    shown = "".join(capsys.readouterr())
    assert "evil" in shown
    assert not UNSAFE.search(shown), repr(shown)
    assert status or source == "plugin"


def test_messages_of_an_api_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it answers to a refused request."""
    answer = json.dumps({"message": f"no {EVIL}"}).encode()
    with web_server(lambda asked: (403, {}, answer), []) as place:
        environ = {"KUBECONFIG": kubeconfig(tmp_path, f"http://u:PW@{place}"), "HOME": str(tmp_path)}
        assert run(environ, monkeypatch, "inspect", "--from-cluster", "n/kube")
    shown = capsys.readouterr().err
    assert f"no {SHOWN}" in shown
    assert not UNSAFE.search(shown)
    assert "PW" not in shown


def _registry() -> str:
    data = json.dumps({"errors": [{"code": "DENIED", "message": EVIL}]}).encode()
    return said(SimpleNamespace(data=data, status=403, reason=EVIL))


@pytest.mark.parametrize("error", [lambda: BuildFailed(_registry()), lambda: BuildFailed("x", sources=(EVIL,))])
def test_messages_of_a_registry_and_a_daemon(
    error: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A registry's error, and the lines of a Dockerfile."""

    def fail(*_: object, **__: object) -> None:
        raise error()

    monkeypatch.setattr(main.main, "main", fail)
    assert status_of(["build", "."]) == 1
    shown = capsys.readouterr().err
    assert SHOWN in shown
    assert not UNSAFE.search(shown)


async def test_messages_of_a_credential_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it prints when it fails."""
    program(tmp_path, "docker-credential-x")
    (tmp_path / "config.json").write_text('{"credsStore": "x"}')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    config = DockerConfig({"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"})
    with pytest.raises(ClientError) as caught:
        await config.get("registry.example")
    main._say(*main._words(caught.value))
    shown = capsys.readouterr().err
    assert "evil" in shown
    assert not UNSAFE.search(shown)


@pytest.mark.parametrize("mode", ["plain", "tty"])
def test_progress(mode: str) -> None:
    """Names of steps, their transfers, errors, warnings and output."""
    out = io.StringIO()
    display = open_display(mode, out, {"NO_COLOR": "1"})
    display.feed(Vertex("a", f"RUN {EVIL}\nnext", started=1.0, node=f"n{EVIL}"))
    display.feed(VertexStatus("a", f"s{EVIL}", current=1, total=2, node=f"n{EVIL}"))
    display.feed(Warned("a", 1, f"w{EVIL}", node=f"n{EVIL}"))
    display.feed(Log("a", 1, f"l{EVIL}\n".encode(), 1.5, node=f"n{EVIL}"))
    display.show()
    display.feed(Vertex("a", f"RUN {EVIL}\nnext", started=1.0, completed=2.0, error=f"e{EVIL}", node=f"n{EVIL}"))
    display.end(failed=True)
    shown = out.getvalue()
    own = re.compile(r"\x1b\[(?:2K|J|[0-9]+A|\?7[hl]|\?25[hl])|\r(?=\x1b)")
    assert not UNSAFE.search(own.sub("", shown) if mode == "tty" else shown), repr(shown)
    for text in ("RUN", "s", "w"):
        assert f"{text} {SHOWN}" in shown or f"{text}{SHOWN}" in shown
    assert "\nnext" not in shown


def test_ls_and_inspect() -> None:
    """What an API server says of pods, and a daemon of itself."""
    output = BuilderOutput.from_json(OUTPUT)
    worker = Worker("w", {f"k{EVIL}": f"v{EVIL}\nnext"}, (), f"b{EVIL}", ({"filters": [EVIL]},))
    pod = Pod(f"p{EVIL}", "n", True, False, kubernetes_node=f"m{EVIL}")
    late = Pod(f"q{EVIL}", "n", False, False, reason=f"r{EVIL}")
    node = NodeView(output.nodes[0], (PodView(pod, (worker,)), PodView(late), PodView(late, error=EVIL)), error=EVIL)
    view = BuilderView(output, f"c{EVIL}", (node,), error=EVIL)
    for lines in (ls_lines([view]), inspect_lines(view)):
        assert any("evil" in line for line in lines)
        assert not any(UNSAFE.search(line) or line.startswith("next") for line in lines)
