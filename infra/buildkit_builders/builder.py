"""Component `builder:index:Builder`: nodes, their namespace, and what tells clients about them."""

from __future__ import annotations

from typing import Any

import pulumi

from buildclient.contract.output import BuilderOutput
from buildkit_builders import manifests
from buildkit_builders.args import BuilderArgs
from buildkit_builders.errors import reported
from buildkit_builders.node import BuilderNode
from buildkit_builders.objects import kubernetes_object
from buildkit_builders.provider import Way, given_provider, way_to
from buildkit_builders.recorded import BUILDER_TYPE
from buildkit_builders.results import CLUSTER
from buildkit_builders.spec import BuilderSpec, check_builder

__all__ = ["Builder"]


class Builder(pulumi.ComponentResource):
    """A builder: one or more nodes of BuildKit pods, and the output by which build clients find them."""

    output: pulumi.Output[dict[str, Any]]
    """The builder output, to be exported as stack output `builder`."""
    nodes: list[BuilderNode]

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
        `kubeconfig` too, so that clients are told the cluster); otherwise one is made (`buildkit_builders.destination`
        has the rule), and a builder that is recorded in another cluster ends the program. Everything wrong with `args`
        is told at once, a line each, by the RunError that ends the program before anything is
        registered; `where` precedes each place (`builder:` for stack config).
        """
        given = given_provider(opts)
        way, spec = _checked(name, args, where, given is not None)
        destination = way.told() if given else way.destination(name)
        super().__init__(BUILDER_TYPE, name, {}, opts)
        provider = given or way.provider(name, destination, self)
        if not given:
            pulumi.log.info(f"{CLUSTER}{destination}", self)
        children = pulumi.ResourceOptions(parent=self, provider=provider)
        namespaces = self._namespaces(name, spec, children)
        self.nodes = [
            BuilderNode(node.name, node, pulumi.ResourceOptions(parent=self, providers=[provider]), after=namespaces)
            for node in spec.nodes
        ]
        # The context is named only if asked for: everyone calls contexts by other names, and would see a change.
        output = spec.output(destination.cluster)
        self._objects(name, spec, output, children, namespaces)
        self.output = pulumi.Output.from_input(output.to_json())
        self.register_outputs({"output": output.to_json()})

    def _namespaces(self, name: str, spec: BuilderSpec, children: pulumi.ResourceOptions) -> list[pulumi.Resource]:
        if not spec.create_namespace:
            return []
        own, *others = spec.namespaces
        named = {f"{name}-namespace": own, **{f"{name}-namespace-{other}": other for other in others}}
        return [kubernetes_object(key, manifests.namespace(value), children) for key, value in named.items()]

    def _objects(
        self,
        name: str,
        spec: BuilderSpec,
        output: BuilderOutput,
        children: pulumi.ResourceOptions,
        namespaces: list[pulumi.Resource],
    ) -> None:
        """The output's ConfigMap, written once the pods it tells of are there, and the rights of clients."""
        ready = [*namespaces, *(node.workload for node in self.nodes)]
        kubernetes_object(
            f"{name}-output",
            manifests.output_config_map(output),
            pulumi.ResourceOptions.merge(children, pulumi.ResourceOptions(depends_on=ready)),
        )
        after = pulumi.ResourceOptions.merge(children, pulumi.ResourceOptions(depends_on=namespaces))
        for manifest in manifests.client_access(spec):
            kind, namespace = manifest["kind"].lower(), manifest["metadata"]["namespace"]
            elsewhere = "" if namespace == spec.namespace else f"-{namespace}"
            kubernetes_object(f"{name}-client-{kind}{elsewhere}", manifest, after)


def _checked(name: str, args: BuilderArgs, where: str, given: bool) -> tuple[Way, BuilderSpec]:
    raw: dict[str, Any] = {"name": name, **{key: value for key, value in args.items() if value is not None}}
    with reported() as problems:
        way = way_to(raw, problems, where, given=given)
        spec = check_builder(raw, way.target.namespace, problems, where)
    return way, spec
