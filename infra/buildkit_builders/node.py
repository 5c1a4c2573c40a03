"""Component `builder:index:BuilderNode`: the objects of one builder node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pulumi

from buildkit_builders import manifests
from buildkit_builders.args import NodeArgs
from buildkit_builders.errors import reported
from buildkit_builders.objects import kubernetes_object
from buildkit_builders.plain import plain_args
from buildkit_builders.recorded import NODE_TYPE
from buildkit_builders.spec import NodeSpec, check_node

__all__ = ["BuilderNode"]


class BuilderNode(pulumi.ComponentResource):
    """Identical BuildKit pods, managed by one workload.

    `docker buildx create --driver kubernetes --node <name> --driver-opt namespace=<namespace>` attaches to it.
    """

    name: pulumi.Output[str]
    """The name of the workload in Kubernetes."""
    namespace: pulumi.Output[str]
    """The namespace of the workload."""
    kind: pulumi.Output[str]
    """The kind of the workload: `Deployment`, or `StatefulSet` for pods with persistent volumes."""
    workload: pulumi.CustomResource
    """The workload, for others to depend on: it is there once its pods are ready."""

    def __init__(
        self,
        name: str,
        args: NodeArgs | NodeSpec,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Sequence[pulumi.Resource] = (),
        moving: bool = False,
        formerly: str = "",
    ) -> None:
        """Register the node and its children.

        Without a namespace in `args` the node goes to `default`. `after` are resources, such as the namespace, that
        its objects need; with `moving` they are made in another cluster before the old ones are deleted. `formerly`
        is a name that the node and its children may have in the state. Raises ConfigError, before anything is
        registered, with every problem of `args`.
        """
        spec = args if isinstance(args, NodeSpec) else _checked(name, args)
        aliases = [pulumi.Alias(name=formerly)] if formerly else []
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))
        super().__init__(NODE_TYPE, name, {}, opts)
        made = list(after)
        for child in manifests.node_objects(spec):
            aliases = [pulumi.Alias(name=f"{formerly}-{child.role}")] if formerly else []
            options = pulumi.ResourceOptions(parent=self, aliases=aliases)
            made.append(kubernetes_object(name, child, options, depends_on=made, moving=moving))
        self.workload = cast(pulumi.CustomResource, made[-1])
        self.name = pulumi.Output.from_input(spec.workload)
        self.namespace = pulumi.Output.from_input(spec.namespace)
        self.kind = pulumi.Output.from_input(spec.workload_kind)
        self.register_outputs({"name": spec.workload, "namespace": spec.namespace, "kind": spec.workload_kind})


def _checked(name: str, args: NodeArgs) -> NodeSpec:
    with reported("", "node") as problems:
        return check_node(name, plain_args(args, problems), problems)
