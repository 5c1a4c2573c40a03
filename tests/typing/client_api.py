"""Never run: type-checked only, so that the public types of the build client cannot change unnoticed."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from buildclient.api import (
    BuilderOutput,
    BuildFailed,
    BuildRequest,
    BuildResult,
    BuildTarget,
    CheckResult,
    CheckWarning,
    Client,
    ClientError,
    Event,
    ImageTag,
    Log,
    Outline,
    Output,
    Platform,
    SecretEnv,
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


async def answers(client: Client) -> None:
    check = await client.check_async(request())
    assert_type(check, CheckResult)
    assert_type(check.warnings, tuple[CheckWarning, ...])
    assert_type(client.outline(request()), Outline)
    assert_type(await client.targets_async(request()), tuple[BuildTarget, ...])


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

    client = Client(Where(stack="dev"))
    try:
        result = client.build(request(), sink)
    except BuildFailed as error:
        assert_type(error.sources, tuple[str, ...])
    except UnreachableError as error:
        assert_type(error.exit_status, int)
    except ClientError:
        raise
    else:
        assert_type(result, BuildResult)
        assert_type(result.digest, str)
    assert_type(client.inspect(bootstrap=True).output, BuilderOutput)


async def asynchronous(output: BuilderOutput) -> None:
    client = Client(output=output, environ={"DOCKER_CONFIG": "/run/docker"})
    assert_type(await client.build_async(request()), BuildResult)
    assert_type(await client.output_async(), BuilderOutput)
    async with client.session() as shared:
        assert_type(shared, Client)
    for view in await client.ls_async():
        assert_type(view.error, str)
        assert_type([node.name for node in view.nodes], list[str])


async def dialled() -> None:
    connection = await Client(Where(addr=("tcp://host:1234",))).dial_async(Platform("linux", "arm64"))
    assert_type(connection, Connection)
    assert_type(await connection.read(), bytes)
    assert_type(await connection.close_write(), bool)
    await connection.close()
