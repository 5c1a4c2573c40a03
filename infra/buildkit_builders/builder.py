"""Component `builder:index:Builder`: nodes, their namespaces, and the output that clients find them by."""

from __future__ import annotations

import os
from typing import Any

import pulumi

from buildclient.contract.output import BuilderOutputDict
from buildkit_builders import debug, manifests
from buildkit_builders.args import BuilderArgs
from buildkit_builders.errors import reported
from buildkit_builders.node import BuilderNode
from buildkit_builders.objects import kubernetes_object
from buildkit_builders.plain import plain_args
from buildkit_builders.provider import Way, given_provider, late_way_to, way_to
from buildkit_builders.recorded import BUILDER_TYPE, read_short_names
from buildkit_builders.results import CLUSTER
from buildkit_builders.spec import BuilderSpec, check_builder, check_cluster

__all__ = ["Builder"]


class Builder(pulumi.ComponentResource):
    """A builder: one or more nodes of BuildKit pods, and the output that build clients find them by.

    For example:

        builder = Builder("kube", {"namespace": "buildkit", "nodes": [{"platforms": ["linux/amd64"]}]})
        pulumi.export("builder", builder.output)
    """

    output: pulumi.Output[BuilderOutputDict]
    """The builder output, to be exported as stack output `builder`."""
    nodes: list[BuilderNode]
    """The nodes, in the order of `args`."""

    def __init__(
        self,
        name: str,
        args: BuilderArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        where: str = "",
    ) -> None:
        """Check `args`, then register the builder and all its children.

        With a Kubernetes provider in `opts`, or one that `opts.parent` has, that one is used (give its `context` or
        `kubeconfig` too, so that clients are told the cluster); otherwise one is made: `buildkit_builders.destination`
        has the rule. `where` precedes the place in each problem (`builder:` for stack config). Raises, before
        anything is registered, ConfigError with every problem of `args`, and RunError for a builder that is recorded
        in another cluster.
        """
        given = given_provider(opts)
        way, spec = _checked(name, args, where, given is not None)
        destination = way.told() if given else way.destination(name)
        super().__init__(BUILDER_TYPE, name, {}, opts)
        provider = given or way.provider(name, destination, self)
        if not given:
            pulumi.log.info(f"{CLUSTER}{destination}", self)
        children = pulumi.ResourceOptions(parent=self, provider=provider)
        moving = destination.moving
        namespaces = [kubernetes_object(name, child, children, moving=moving) for child in manifests.namespaces(spec)]
        short = read_short_names(name, [node.name for node in spec.nodes])
        self.nodes = [
            BuilderNode(
                f"{name}-{node.name}",
                node,
                pulumi.ResourceOptions(parent=self, providers=[provider]),
                after=namespaces,
                moving=moving,
                formerly=node.name if node.name in short else "",
            )
            for node in spec.nodes
        ]
        output = spec.output(destination.cluster)
        # written once its pods are ready
        ready = [*namespaces, *(node.workload for node in self.nodes)]
        kubernetes_object(name, manifests.output_config_map(output), children, depends_on=ready, moving=moving)
        for child in manifests.client_access(spec):
            kubernetes_object(name, child, children, depends_on=namespaces, moving=moving)
        self.output = pulumi.Output.from_input(output.to_json())
        self.register_outputs({"output": output.to_json()})


def _checked(name: str, args: BuilderArgs, where: str, given: bool) -> tuple[Way, BuilderSpec]:
    raw: dict[str, Any] = {"name": name, **{key: value for key, value in args.items() if value is not None}}
    debug.enable_if_asked(os.environ)
    kubeconfig = raw.get("kubeconfig")
    late = raw.pop("kubeconfig") if isinstance(kubeconfig, pulumi.Output) else None
    with reported(where) as problems:
        raw = plain_args(raw, problems)
        cluster = check_cluster(raw, problems)
        way = way_to(cluster, problems, given=given) if late is None else late_way_to(cluster.context, late)
        return way, check_builder(raw, way.target.namespace, problems)
