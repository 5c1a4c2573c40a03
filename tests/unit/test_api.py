"""The client as a Python program uses it, as far as that needs no builder."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import buildclient
from buildclient import (
    Builder,
    BuildRequest,
    BuildResult,
    ClientError,
    InvalidBuild,
    NodeResult,
    Output,
    ToFile,
    ToFolder,
    UnreachableError,
    UsageError,
    parse_outputs,
)
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.engine.errors import EngineError
from buildclient.request.checks import check_request

NOWHERE = BuilderOutput("kube", "", (NodeOutput("one", address="unix:///nowhere/socket"),))


def test_all_that_is_named_is_there() -> None:
    """Errors, values and what makes them; every error is a ClientError with an exit status."""
    for name in buildclient.__all__:
        named = getattr(buildclient, name)
        assert not (inspect.isclass(named) or inspect.isfunction(named)) or named.__doc__, name
    assert set(buildclient.__all__) <= set(dir(buildclient))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        buildclient.Nothing  # type: ignore[attr-defined]  # noqa: B018
    for name in ("BuildFailed", "Cancelled", "InternalFailure", "ResourceExhausted", "UnreachableError", "UsageError"):
        assert issubclass(getattr(buildclient, name), ClientError)
        assert getattr(buildclient, name).exit_status in (1, 2, 100, 102, 125, 130)


def test_an_error_keeps_what_to_do_apart_from_what_was_wrong() -> None:
    """The text for users has both; `failed to build: ` is the command's, and stands in no error."""
    error = UnreachableError("no cluster", hint="set KUBECONFIG")
    assert (error.message, error.hint, str(error)) == ("no cluster", "set KUBECONFIG", "no cluster; set KUBECONFIG")
    with pytest.raises(InvalidBuild) as caught:
        check_request(BuildRequest(network="bridge"))
    assert str(caught.value).startswith('network mode "bridge" not supported')
    assert caught.value.flag == "--network"


def test_outputs_are_read_as_the_command_line_reads_them() -> None:
    """`push` adds an image, or goes into those there are."""
    assert parse_outputs(push=True) == (Output("image", {"push": "true", "unpack": "false"}),)
    assert parse_outputs("out", "type=registry") == (
        Output("local", {}, ToFolder("out")),
        Output("image", {"unpack": "false", "push": "true"}),
    )
    with pytest.raises(UsageError, match="dest is required"):
        parse_outputs("type=local")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tags": "a:1"}, "tags of a request must be a tuple"),
        ({"platforms": ("linux/amd64",)}, "platforms of a request"),
        ({"platforms": "linux/amd64"}, "platforms of a request"),
        ({"outputs": ("type=image",)}, "outputs of a request"),
        ({"outputs": (Output("registry"),)}, "outputs of a request"),
        ({"outputs": (Output("tar"),)}, "dest is required for tar"),
        ({"outputs": (Output("local"),)}, "dest is required for local"),
        ({"outputs": (Output("local", {}, "out"),)}, "dest of an output of type local must be ToFolder, not 'out'"),
        ({"outputs": (Output("local", {}, ToFile("out")),)}, "type local must be ToFolder, not ToFile"),
        ({"outputs": (Output("tar", {}, ToFolder("out")),)}, "type tar must be ToFile or ToStdout, not ToFolder"),
        ({"outputs": (Output("image", {}, ToFile("out")),)}, "type image must be None, not ToFile"),
    ],
)
def test_a_request_of_the_wrong_kinds_is_refused(fields: dict[str, Any], words: str) -> None:
    """By name, before anything is asked of a builder."""
    with pytest.raises(UsageError, match=words):
        check_request(BuildRequest(**fields))
    with pytest.raises(UsageError, match=words):
        Builder(output=NOWHERE, environ={}).build(BuildRequest(**fields))


async def test_blocking_calls_say_what_to_await_in_a_coroutine() -> None:
    """They would start a loop of their own inside the one that runs."""
    builder = Builder(output=NOWHERE, environ={})
    calls = {"inspect": builder.inspect, "ls": builder.ls, "build": lambda: builder.build(BuildRequest())}
    for name, call in calls.items():
        with pytest.raises(RuntimeError, match=f"await {name}_async instead of {name}$"):
            call()
    assert await builder.output_async() is NOWHERE


def test_the_package_loads_nothing_before_a_name_of_it_is_used() -> None:
    """Every module of the client imports the package: a cached build has no time for the rest of it."""
    code = "import os, signal, sys; old = {*sys.modules}; import buildclient; print(*{*sys.modules} - old)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert [name for name in done.stdout.split() if name.startswith("buildclient")] == ["buildclient"]


async def test_a_builder_is_made_of_what_is_at_hand(tmp_path: Path) -> None:
    """An output as a value, as a stack's JSON, in a file; an address; each wrong one is a UsageError."""
    (tmp_path / "builder.json").write_text(NOWHERE.dumps())
    for builder in (
        Builder.from_output(NOWHERE, environ={}),
        Builder.from_output(json.loads(NOWHERE.dumps()), environ={}),
        Builder.from_file(tmp_path / "builder.json", environ={}),
    ):
        assert await builder.output_async() == NOWHERE
    (node,) = (await Builder.at("unix:///nowhere/socket", environ={}).output_async()).nodes
    assert node.address == "unix:///nowhere/socket"
    with pytest.raises(UsageError, match="not a builder output"):
        Builder.from_output({"nodes": []})
    with pytest.raises(UsageError, match="wants an address"):
        Builder.at()
    with pytest.raises(ClientError, match="no Pulumi project"):
        await Builder.from_stack("nosuch", str(tmp_path), environ={"HOME": str(tmp_path)}).output_async()
    with pytest.raises(UsageError, match="NAMESPACE/NAME"):
        await Builder.from_cluster("kube", environ={}).output_async()


async def test_a_builder_that_is_not_there_is_raised_or_shown(tmp_path: Path) -> None:
    """A build raises it, a look at the builder shows it."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    builder = Builder(output=NOWHERE, environ={})
    with pytest.raises(UnreachableError, match="/nowhere/socket"):
        await builder.build_async(BuildRequest(context=str(tmp_path)))
    (view,) = await builder.ls_async()
    assert "/nowhere/socket" in view.nodes[0].pods[0].error


def test_a_builder_that_loads_by_default_asks_the_engine_first(tmp_path: Path) -> None:
    """Before the builder is reached; an output, or the variable of docker buildx, says that no engine is meant."""
    loading = NOWHERE._replace(default_load=True)
    request = BuildRequest(context=str(tmp_path))
    environ = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    with pytest.raises(EngineError, match="unix:///nowhere/docker"):
        Builder(output=loading, environ=environ).build(request)
    for more, outputs in (({"BUILDX_NO_DEFAULT_LOAD": "1"}, ()), ({}, (Output("cacheonly"),))):
        with pytest.raises(UnreachableError):
            Builder(output=loading, environ={**environ, **more}).build(request._replace(outputs=outputs))


async def test_questions_about_a_dockerfile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asks the frontend by its name and returns the first node's answer; default-load does not matter."""
    asked = []
    answers = {
        "lint": {"warnings": [{"ruleName": "R", "detail": "d"}]},
        "outline": {"args": [{"name": "A"}]},
        "targets": {"targets": [{"name": "t"}]},
    }

    async def building(output: Any, request: Any, tools: Any, sink: Any, deadline: float) -> BuildResult:
        asked.append(request.call)
        response = {"result.json": json.dumps(answers[request.call])}
        return BuildResult("", "", tuple(NodeResult(name, "ref", (), response) for name in ("a", "b")), {})

    monkeypatch.setattr(buildclient.api, "build", building)
    builder = Builder(output=NOWHERE._replace(default_load=True), environ={})
    assert (await builder.check_async(BuildRequest())).warnings == (buildclient.CheckWarning("R", "d"),)
    assert (await builder.outline_async(BuildRequest())).args == (buildclient.BuildArgument("A"),)
    assert await builder.targets_async(BuildRequest()) == (buildclient.BuildTarget("t"),)
    assert asked == ["lint", "outline", "targets"]


async def test_a_builder_s_own_timeout_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is: pods of a cluster that scales may take a quarter of an hour."""
    deadlines = []

    async def building(output: Any, request: Any, tools: Any, sink: Any, deadline: float) -> None:
        deadlines.append(deadline - asyncio.get_running_loop().time())

    monkeypatch.setattr(buildclient.api, "build", building)
    slow = NOWHERE._replace(nodes=tuple(node._replace(timeout_seconds=900) for node in NOWHERE.nodes))
    for output in (NOWHERE, slow):
        await Builder(output=output, environ={}).build_async(BuildRequest())
    assert 120 < deadlines[0] < 300
    assert 900 < deadlines[1] < 1100


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"secrets": ["id=a,src=/nowhere/s"]}, "failed to stat /nowhere/s"),
        ({"secrets": {"a": buildclient.SecretEnv("UNSET")}}, "has no variable UNSET"),
        ({"secrets": {"a": bytes(512_001)}}, "secret a too big"),
        ({"ssh": ["default"]}, "make sure SSH_AUTH_SOCK is set"),
        ({"ssh": ["a=/nowhere/key"]}, "stat /nowhere/key"),
    ],
    ids=["file", "variable", "size", "agent", "key"],
)
def test_what_a_build_names_is_looked_for_before_its_builder(named: dict[str, Any], message: str) -> None:
    """A missing secret or agent is the error, although the builder is not there either."""
    builder = Builder(buildclient.Where(builder_file="/nowhere/builder.json"), environ={})
    with pytest.raises(InvalidBuild, match=message):
        builder.build(buildclient.build_request(**named))
