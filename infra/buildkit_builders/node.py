"""Component `builder:index:BuilderNode`: the objects of one builder node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

from buildkit_builders.args import NodeArgs, NodeArgsDict, as_mapping
from buildkit_builders.errors import reported
from buildkit_builders.late import plan_late, take
from buildkit_builders.manifests import Child
from buildkit_builders.objects import kubernetes_object
from buildkit_builders.options.problems import Problems
from buildkit_builders.recorded import NODE_TYPE
from buildkit_builders.rendering import NodeObjects, node_objects
from buildkit_builders.spec import check_node

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
        args: NodeArgs | NodeArgsDict | NodeObjects,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Sequence[pulumi.Input[pulumi.Resource]] = (),
        moving: bool = False,
        formerly: str = "",
        secret: bool = False,
    ) -> None:
        """Register the node and its children.

        Without a namespace in `args` the node goes to `default`. `after` are resources, such as the namespace, that
        its objects need; with `moving` they are made in another cluster before the old ones are deleted. `formerly`
        is a name that the node and its children may have in the state. With `secret` options hold secrets: pod
        template, annotations and BuildKit's configuration are encrypted in the state. Raises ConfigError, before
        anything is registered, with every problem of `args`.
        """
        node, checked = (args, []) if isinstance(args, NodeObjects) else _checked(name, args, secret)
        aliases = [pulumi.Alias(name=formerly)] if formerly else []
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))
        super().__init__(NODE_TYPE, name, {}, opts)
        made = [*after, *checked]

        def make(child: Child) -> None:
            aliases = [pulumi.Alias(name=f"{formerly}-{child.role}")] if formerly else []
            options = pulumi.ResourceOptions(parent=self, aliases=aliases)
            made.append(kubernetes_object(name, child, options, depends_on=made, moving=moving, secret=secret))

        for child in node.objects:
            make(child)
        self.workload = cast(pulumi.CustomResource, made[-1])
        for child in node.companions:
            make(child)
        self.name = pulumi.Output.from_input(node.workload)
        self.namespace = pulumi.Output.from_input(node.namespace)
        self.kind = pulumi.Output.from_input(node.kind)
        self.register_outputs({"name": node.workload, "namespace": node.namespace, "kind": node.kind})


def _checked(name: str, args: NodeArgs | NodeArgsDict, secret: bool) -> tuple[NodeObjects, list[pulumi.Output[Any]]]:
    """The node's objects, and what they wait for."""

    def render(raw: Mapping[str, Any], problems: Problems) -> NodeObjects | None:
        spec = check_node(name, raw, problems)
        return None if problems.found else node_objects(spec)

    with reported("", "node", secret=secret) as problems:
        template = take(as_mapping(args), problems)
        if template.late:
            plan = plan_late(template, render, problems)
        else:
            spec = check_node(name, template.known(), problems)
    return plan.objects(render, "", "node", secret=secret) if template.late else (node_objects(spec), [])
