"""Component `builder:index:Builder`: nodes, their namespace, and what tells clients about them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from buildclient.contract.output import BuilderOutput, Cluster
from buildkit_builders import manifests
from buildkit_builders.args import BuilderArgs
from buildkit_builders.errors import reported
from buildkit_builders.kubeconfig import Target, find_cluster, is_contents
from buildkit_builders.node import BuilderNode
from buildkit_builders.objects import kubernetes_object, kubernetes_provider
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

        With a Kubernetes provider in `opts` that one is used (give its `context` or `kubeconfig` too, so that clients
        are told the cluster); otherwise one is made for `context`. Everything wrong
        with `args` is told at once, a line each, by the RunError that ends the program before anything is
        registered; `where` precedes each place (`builder:` for stack config).
        """
        given = _provider(opts)
        target, spec = _checked(name, args, where, given is not None)
        super().__init__("builder:index:Builder", name, {}, opts)
        provider = given or _own_provider(name, args, target, self)
        children = pulumi.ResourceOptions(parent=self, provider=provider)
        namespaces = self._namespaces(name, spec, children)
        self.nodes = [
            BuilderNode(node.name, node, pulumi.ResourceOptions(parent=self, providers=[provider]), after=namespaces)
            for node in spec.nodes
        ]
        # named only if asked for: everyone calls contexts by other names, and would see a change in them
        output = spec.output(Cluster(str(args.get("context") or ""), target.server))
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


def _checked(name: str, args: BuilderArgs, where: str, has_provider: bool) -> tuple[Target, BuilderSpec]:
    raw: dict[str, Any] = {"name": name, **{key: value for key, value in args.items() if value is not None}}
    with reported() as problems:
        kubeconfig, context = (raw.get(key) or "" for key in ("kubeconfig", "context"))
        texts = isinstance(kubeconfig, str) and isinstance(context, str)
        # a provider of the caller's own may go elsewhere than the current context: better no cluster than a wrong one
        known = texts and (not has_provider or bool(kubeconfig or context))
        target = find_cluster(kubeconfig, context, os.environ, problems, where) if known else Target()
        spec = check_builder(raw, target.namespace, problems, where)
    return target, spec


def _provider(opts: pulumi.ResourceOptions | None) -> pulumi.ProviderResource | None:
    if opts is None:
        return None
    providers = opts.providers or []
    listed = list(providers.values()) if isinstance(providers, Mapping) else list(providers)
    candidates = [*([opts.provider] if opts.provider else []), *listed]
    return next((provider for provider in candidates if provider.package == "kubernetes"), None)


def _own_provider(name: str, args: BuilderArgs, target: Target, parent: pulumi.Resource) -> pulumi.ProviderResource:
    context, kubeconfig = str(args.get("context") or ""), str(args.get("kubeconfig") or "")
    value: pulumi.Input[str] | None = None
    if kubeconfig:
        contents = is_contents(kubeconfig)
        value = pulumi.Output.secret(kubeconfig) if contents else str(Path(kubeconfig).expanduser().absolute())
    return kubernetes_provider(
        f"{name}-kubernetes", context, value, context or target.server, pulumi.ResourceOptions(parent=parent)
    )
