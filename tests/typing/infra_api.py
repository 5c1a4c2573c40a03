"""Never run: type-checked only, so that the public types of the Pulumi side cannot change unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

import pulumi
from buildkit_builders import Builder, BuilderArgs, BuilderNode
from buildkit_builders.automation import Preview, Project, Stack, Update
from buildkit_builders.options import Options, parse_driver_opts

from buildclient.contract.output import BuilderOutput, BuilderOutputDict


def components() -> None:
    args: BuilderArgs = {
        "namespace": "buildkit",
        "nodes": [{"name": "a", "platforms": ["linux/amd64"], "driver-opts": {"replicas": 2, "requests.cpu": "2"}}],
        "driver-opts": "rootless=true",
    }
    args["kubeconfig"] = pulumi.Output.secret("…")
    builder = Builder("kube", args, pulumi.ResourceOptions(protect=True))
    assert_type(builder.nodes, list[BuilderNode])
    assert_type(builder.output, pulumi.Output[BuilderOutputDict])
    assert_type(builder.output.apply(lambda output: output["nodes"][0]["name"]), pulumi.Output[str])
    assert_type(builder.nodes[0].kind, pulumi.Output[str])


def options() -> None:
    assert_type(parse_driver_opts("replicas=2"), Options)
    assert_type(parse_driver_opts({"replicas": 2}).replicas, int)


def automation() -> None:
    stack = Project(".").stack("dev")
    assert_type(stack, Stack)
    assert_type(stack.preview(), Preview)
    assert_type(stack.preview().changes, Mapping[str, int])
    assert_type(stack.up(), Update)
    assert_type(stack.up().builder, BuilderOutput)
