"""Never run: type-checked only, so that the public types of the build client cannot change unnoticed."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from buildclient import (
    Builder,
    BuilderOutput,
    BuildFailed,
    BuildRequest,
    BuildResult,
    BuildSummary,
    BuildTarget,
    CheckResult,
    CheckWarning,
    ClientError,
    Event,
    ImageTag,
    Log,
    Outline,
    Output,
    Platform,
    Progress,
    SecretEnv,
    SecretLike,
    SshForward,
    ToFile,
    ToFolder,
    ToStdout,
    UnreachableError,
    Where,
    build_request,
    parse_outputs,
    parse_platforms,
    parse_tags,
    summarize,
)
from buildclient.base.streams import Connection


def request() -> BuildRequest:
    outputs, platforms = parse_outputs("type=local,dest=out", push=True), parse_platforms(["linux/amd64"])
    assert_type(outputs, tuple[Output, ...])
    assert_type(platforms, tuple[Platform, ...])
    tags = parse_tags(["r.example/app:1"])
    assert_type(tags, tuple[ImageTag, ...])
    made = build_request("app", tags=["r.example/app:1"], platforms=platforms, outputs=["out"], push=True)
    assert_type(made, BuildRequest)
    secrets = {"a": b"x", "b": Path("f"), "c": SecretEnv("V"), "d": lambda: b"y"}
    assert_type(build_request(secrets=secrets, ssh=["default", SshForward("a", ("k",))]).ssh, tuple[SshForward, ...])
    return BuildRequest(context="app", tags=tags, outputs=outputs, platforms=platforms)


async def answers(builder: Builder) -> None:
    check = await builder.check_async(request())
    assert_type(check, CheckResult)
    assert_type(check.warnings, tuple[CheckWarning, ...])
    assert_type(builder.outline(request()), Outline)
    assert_type(await builder.targets_async(request()), tuple[BuildTarget, ...])


def destinations() -> tuple[Output, ...]:
    return (
        Output("local", dest=ToFolder("out")),
        Output("oci", dest=ToFile("image.tar")),
        Output("tar", {}, ToStdout()),
        Output("image", {"push": "true"}),
    )


def plain() -> None:
    lines: list[bytes] = []

    def sink(event: Event) -> None:
        if isinstance(event, Log):
            lines.append(event.data)

    builder = Builder(Where(stack="dev"))
    try:
        result = builder.build(request(), sink)
    except BuildFailed as error:
        assert_type(error.sources, tuple[str, ...])
    except UnreachableError as error:
        assert_type(error.exit_status, int)
    except ClientError:
        raise
    else:
        assert_type(result, BuildResult)
        assert_type(result.digest, str)
    assert_type(builder.inspect(bootstrap=True).output, BuilderOutput)


def named(outputs: dict[str, object]) -> None:
    assert_type(Builder.from_stack("dev", "infra"), Builder)
    assert_type(Builder.from_cluster("buildkit/kube", kube_context="prod"), Builder)
    assert_type(Builder.from_file("builder.json"), Builder)
    assert_type(Builder.from_output(outputs), Builder)
    assert_type(Builder.at("tcp://buildkit.example:1234", environ={}), Builder)


def events() -> None:
    progress = Progress()
    secrets: dict[str, SecretLike] = {"bytes": b"value", "called": lambda: b"value", "variable": SecretEnv("TOKEN")}
    Builder.at("unix:///run/buildkit").build(build_request("app", secrets=secrets), progress.feed)
    assert_type(summarize(progress), BuildSummary)


async def asynchronous(output: BuilderOutput) -> None:
    builder = Builder(output=output, environ={"DOCKER_CONFIG": "/run/docker"})
    assert_type(await builder.build_async(request()), BuildResult)
    assert_type(await builder.output_async(), BuilderOutput)
    async with builder.session() as shared:
        assert_type(shared, Builder)
    for view in await builder.ls_async():
        assert_type(view.error, str)
        assert_type([node.name for node in view.nodes], list[str])


async def dialled() -> None:
    connection = await Builder(Where(addr=("tcp://host:1234",))).dial_async(Platform("linux", "arm64"))
    assert_type(connection, Connection)
    assert_type(await connection.read(), bytes)
    assert_type(await connection.close_write(), bool)
    await connection.close()
