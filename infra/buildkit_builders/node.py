"""Component `builder:index:BuilderNode`: the objects of one builder node."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from buildkit_builders import manifests
from buildkit_builders.args import NodeArgs
from buildkit_builders.errors import reported
from buildkit_builders.objects import kubernetes_object
from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import NodeSpec, check_builder

__all__ = ["BuilderNode"]


class BuilderNode(pulumi.ComponentResource):
    """BuildKit pods that are all alike, kept by one Deployment.

    `docker buildx create --driver kubernetes --node <name> --driver-opt namespace=<namespace>` attaches to it.
    """

    name: pulumi.Output[str]
    """The name of the workload in Kubernetes."""
    namespace: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: NodeArgs | NodeSpec,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Sequence[pulumi.Resource] = (),
    ) -> None:
        """Register the node and its children.

        `args` is checked first, and every problem of it is one line of the RunError that ends the program. Without
        a namespace the node goes to `default`. `after` are resources, such as the namespace, that its objects need.
        """
        spec = args if isinstance(args, NodeSpec) else _checked(name, args)
        super().__init__("builder:index:BuilderNode", name, {}, opts)
        # written out: Go, which reads it, knows no exponents, and 0 would mean Pulumi's own ten minutes
        timeout = f"{max(spec.options.timeout, 0.001):.3f}".rstrip("0").rstrip(".") + "s"
        self.workload = kubernetes_object(
            f"{name}-deployment",
            manifests.deployment(spec),
            pulumi.ResourceOptions(
                parent=self,
                depends_on=list(after),
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
            ),
        )
        self.name = pulumi.Output.from_input(spec.workload)
        self.namespace = pulumi.Output.from_input(spec.namespace)
        self.register_outputs({"name": spec.workload, "namespace": spec.namespace, "kind": "Deployment"})


def _checked(name: str, args: NodeArgs) -> NodeSpec:
    with reported() as problems:
        found = Problems()
        spec = check_builder({"name": "builder", "nodes": [{"name": name, **args}]}, "default", found)
        problems.found += [p._replace(option=p.option.removeprefix("nodes[0].")) for p in found.found]
    return spec.nodes[0]
