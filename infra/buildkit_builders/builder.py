"""Component `builder:index:Builder`: nodes, their namespaces, and the output that clients find them by."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import isawaitable
from typing import Any, NamedTuple

import pulumi

from buildclient.contract.output import BuilderOutputDict, Cluster
from buildclient.kube.api import KubeApi
from buildkit_builders import debug, manifests
from buildkit_builders.admission import pod_security_lines
from buildkit_builders.args import BuilderArgs, BuilderArgsDict, as_mapping
from buildkit_builders.errors import reported
from buildkit_builders.late import Render, plan_late, take
from buildkit_builders.needed_apis import missing_api_lines
from buildkit_builders.node import BuilderNode
from buildkit_builders.objects import kubernetes_object
from buildkit_builders.options.problems import Problems
from buildkit_builders.provider import Way, given_provider, late_way_to, way_to
from buildkit_builders.recorded import BUILDER_TYPE, read_short_names
from buildkit_builders.rendering import BuilderObjects, NodeObjects, builder_objects
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
        args: BuilderArgs | BuilderArgsDict,
        opts: pulumi.ResourceOptions | None = None,
        *,
        where: str = "",
        secret: bool = False,
    ) -> None:
        """Check `args`, then register the builder and all its children.

        With a Kubernetes provider in `opts`, or one that `opts.parent` has, that one is used (give its `context` or
        `kubeconfig` too, so that clients are told the cluster); otherwise one is made: `buildkit_builders.destination`
        has the rule. `where` precedes the place in each problem (`builder:` for stack config). Raises, before
        anything is registered, ConfigError with every problem of `args`, and RunError for a builder that is recorded
        in another cluster. With `secret` options hold secrets, such as a proxy's password among `env`: the nodes' pod
        templates, annotations and configuration are encrypted in the state, and hidden in previews and messages.
        """
        given = given_provider(opts)
        way, spec, make = _checked(name, args, where, given is not None, secret)
        destination = way.told() if given else way.destination(name)
        objects, checked = make(destination.cluster)
        spec = _known(spec, objects)
        super().__init__(BUILDER_TYPE, name, {}, opts)
        provider = given or way.provider(name, destination, self)
        if not given:
            pulumi.log.info(f"{CLUSTER}{destination}", self)
            _warn_of_refusals(way, spec, self)
        children = pulumi.ResourceOptions(parent=self, provider=provider)
        moving = destination.moving

        def made(child: manifests.Child, after: Sequence[pulumi.Input[pulumi.Resource]]) -> pulumi.CustomResource:
            return kubernetes_object(name, child, children, depends_on=after, moving=moving)

        namespaces: list[pulumi.Input[pulumi.Resource]] = [
            *checked,
            *(made(child, checked) for child in objects.namespaces),
        ]
        short = read_short_names(name, [node.name for node in objects.nodes])
        self.nodes = [
            BuilderNode(
                f"{name}-{node.name}",
                node,
                pulumi.ResourceOptions(parent=self, providers=[provider]),
                after=namespaces,
                moving=moving,
                formerly=node.name if node.name in short else "",
                secret=secret,
            )
            for node in self._left_to_autoscalers(objects.nodes, frozenset() if given else way.autoscaled(spec.nodes))
        ]
        # written once its pods are ready
        made(objects.output_config_map, [*namespaces, *(node.workload for node in self.nodes)])
        for child in objects.access:
            made(child, namespaces)
        self.output = pulumi.Output.from_input(objects.output)
        self.register_outputs({"output": objects.output})

    def _left_to_autoscalers(self, nodes: Iterable[NodeObjects], autoscaled: Collection[str]) -> Iterator[NodeObjects]:
        for node in nodes:
            if node.name in autoscaled:
                pulumi.log.info(f"{node.name}: an autoscaler sets its replicas, and they are left to it", self)
                node = node._replace(objects=tuple(map(manifests.without_replicas, node.objects)))
            yield node


def _warn_of_refusals(way: Way, spec: BuilderSpec, builder: pulumi.Resource) -> None:
    access = way.access()
    if access is None:
        return
    api = KubeApi(access, os.environ)
    for line in missing_api_lines(api, spec.nodes):
        pulumi.log.warn(line, builder)
    # Namespaces of ours are labelled with the level that the pods need.
    for line in () if spec.create_namespace else pod_security_lines(api, spec.nodes):
        pulumi.log.warn(line, builder)


def _known(spec: BuilderSpec, objects: BuilderObjects) -> BuilderSpec:
    """The spec with those nodes alone whose place is known: of the others nothing can be asked in the cluster."""
    both = zip(spec.nodes, objects.nodes, strict=True)
    return replace(spec, nodes=tuple(node for node, made in both if isinstance(made.namespace, str)))


class _Checked(NamedTuple):
    """A builder's args, checked as far as they are known."""

    way: Way
    spec: BuilderSpec
    """With samples for values that are Outputs."""
    make: Callable[[Cluster], tuple[BuilderObjects, list[pulumi.Output[Any]]]]
    """The objects in that cluster, and what they wait for."""


def _checked(name: str, args: BuilderArgs | BuilderArgsDict, where: str, given: bool, secret: bool) -> _Checked:
    raw: dict[str, Any] = {key: one for key, one in as_mapping(args).items() if one is not None}
    debug.enable_if_asked(os.environ)
    kubeconfig = raw.get("kubeconfig")
    late = raw.pop("kubeconfig") if isinstance(kubeconfig, pulumi.Output) or isawaitable(kubeconfig) else None
    with reported(where, secret=secret) as problems:
        template = take(raw, problems)
        cluster = check_cluster(template.known(), problems)
        if late is None:
            way = way_to(cluster, problems, given=given)
        else:
            way = late_way_to(cluster.context, pulumi.Output.from_input(late))

        def check(raw: Mapping[str, Any], problems: Problems) -> BuilderSpec:
            return check_builder({"name": name, **raw}, way.target.namespace, problems)

        def render(cluster: Cluster) -> Render[BuilderObjects]:
            def objects(raw: Mapping[str, Any], problems: Problems) -> BuilderObjects | None:
                spec = check(raw, problems)
                return None if problems.found else builder_objects(spec, cluster)

            return objects

        if not template.late:
            spec = check(template.known(), problems)
            return _Checked(way, spec, lambda cluster: (builder_objects(spec, cluster), []))
        plan = plan_late(template, render(Cluster()), problems)
        sampled = check(plan.sampled_args, Problems())
        return _Checked(way, sampled, lambda cluster: plan.objects(render(cluster), where, secret=secret))
