"""Never run: type-checked only, so that the public types of the Pulumi side cannot change unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

import pulumi
import pulumi_kubernetes as k8s
from buildkit_builders import (
    Builder,
    BuilderArgs,
    BuilderArgsDict,
    BuilderNode,
    DriverOptsArgs,
    DriverOptsArgsDict,
    NodeArgs,
)
from buildkit_builders.automation import Job, Outcome, Preview, Project, Retry, Run, Stack, StackEvent, Update, start
from buildkit_builders.options import Options, parse_driver_opts

from buildclient.contract.output import BuilderOutput, BuilderOutputDict


def components() -> None:
    args: BuilderArgsDict = {
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


def classes() -> None:
    text: pulumi.Output[str] = pulumi.Output.from_input("x")
    number: pulumi.Output[int] = pulumi.Output.from_input(2)
    opts = DriverOptsArgs(
        image=text,
        replicas=number,
        requests_cpu=text,
        labels={"team": text, "cost-centre": 7},
        env={"HTTP_PROXY": text},
        imagepullsecrets=[text],
        serviceaccount_token=False,
        tolerations=[k8s.core.v1.TolerationArgs(key=text), {"key": "b", "tolerationSeconds": 5}, "key=c"],
        affinity=k8s.core.v1.AffinityArgs(),
        volumes=[k8s.core.v1.VolumeArgs(name="certs"), {"name": "x", "secret": {"secretName": text}}],
        buildkitd_registry={"docker.io": {"mirrors": [text], "ca": [{"secret": text}]}},
    )
    spelled: DriverOptsArgsDict = {"image": text, "requests.memory": "1Gi", "labels": {"team": text}}
    nodes = [NodeArgs(platforms=["linux/amd64"], driver_opts=opts), NodeArgs(driver_opts=spelled)]
    args = BuilderArgs(namespace=text, nodes=nodes, create_namespace=False, kubeconfig=text)
    assert_type(Builder("kube", args).output, pulumi.Output[BuilderOutputDict])
    Builder("kube", {"namespace": text, "nodes": [NodeArgs(), {"driver-opts": spelled}], "driver-opts": opts})
    BuilderNode("solo", NodeArgs(namespace=text))


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


def many() -> None:
    project = Project(".")
    jobs: list[Job | Stack] = [Job("dev", lambda: project.stack("dev")), project.stack("prod")]
    run = start(jobs, Stack.preview, at_once=4, retry=Retry(times=3))
    assert_type(run, Run[Preview])
    for event in run:
        assert_type(event, StackEvent)
    assert_type(run.outcomes, dict[str, Outcome[Preview]])
    assert_type(start(jobs, Stack.up).results(), dict[str, Outcome[Update]])
    assert_type(start(jobs, Stack.up).results()["dev"].result, Update | None)
