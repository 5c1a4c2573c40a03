"""The Kubernetes provider that a builder's objects go through: the caller's, an inherited one, or one made here."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

from buildclient.contract.cluster import Cluster
from buildclient.kube.api import KubeApi
from buildclient.kube.identity import cluster_of, kube_system_uid
from buildclient.kube.kubeconfig import Access
from buildclient.net.proxy import redacted
from buildkit_builders.destination import MOVE, Destination, Target, WrongCluster, decide
from buildkit_builders.kubeconfig import access_to, find_cluster, is_contents
from buildkit_builders.options.problems import Problems
from buildkit_builders.recorded import Recorded, only_mocks, read_recorded, read_workloads
from buildkit_builders.scaled import read_autoscaled
from buildkit_builders.spec import ClusterSpec, NodeSpec

__all__ = ["Way", "given_provider", "late_way_to", "way_to"]

_log = logging.getLogger(__name__)

_PACKAGE = "kubernetes"


def given_provider(opts: pulumi.ResourceOptions | None) -> pulumi.ProviderResource | None:
    """The provider that the options name, else the one that their parent has; None where neither is."""
    if opts is None:
        return None
    providers = opts.providers or []
    listed = list(providers.values()) if isinstance(providers, Mapping) else list(providers)
    candidates = [*([opts.provider] if opts.provider else []), *listed]
    named = next((provider for provider in candidates if provider.package == _PACKAGE), None)
    return named or (opts.parent.get_provider(f"{_PACKAGE}:core/v1:ConfigMap") if opts.parent else None)


class Way(NamedTuple):
    """The way to a builder's cluster, as args and the stack's config name it."""

    context: str
    """Named by args or config, not the current one; empty for none."""
    kubeconfig: str
    """Contents, a path, or empty for the places where kubectl looks."""
    secret: bool
    """Whether the kubeconfig came from a secret of the config."""
    target: Target
    settings: Mapping[str, pulumi.Input[Any]]
    """All other keys of the stack's `kubernetes:` config, for the provider."""
    late: pulumi.Output[str] | None = None
    """A kubeconfig that is known only while Pulumi runs: nothing can be asked of its cluster."""

    def destination(self, name: str) -> Destination:
        """Where Builder `name` goes. Raises RunError for another cluster than the one it is in."""
        if self.late is not None:
            # With neither, Pulumi's provider compares the cluster that the kubeconfig names with that of the last one.
            recorded = read_recorded(name) or Recorded(Cluster())
            renamed = self.context and recorded.context and self.context != recorded.context
            identifier = self.context if renamed else recorded.identifier or self.context
            return Destination(Cluster(self.context), identifier, self.context)
        try:
            return decide(
                read_recorded(name),
                self.target,
                named=self.context,
                same_context=self._same_context,
                uid=self._uid,
                moving=os.environ.get(MOVE, "") not in ("", "0", "false"),
            )
        except WrongCluster as error:
            raise pulumi.RunError(f"{name}: {error}") from None

    def told(self) -> Destination:
        """Where a provider of the caller's goes, as far as the args name it."""
        return Destination(Cluster(self.context, self.target.server, ca=self.target.ca), "", "")

    def provider(self, name: str, destination: Destination, parent: pulumi.Resource) -> pulumi.ProviderResource:
        """A provider that goes to the destination and nowhere else; contents of a kubeconfig are kept as a secret.

        Not the SDK's own class: that copies the variable KUBECONFIG into the state, and a path of one machine is a
        change on every other. The plugin reads the variable itself. A changed ConfigMap is updated rather than
        replaced, so that readers always find it. What others set of the declared fields is overwritten (`kubectl scale`
        makes `spec.replicas` its own, and an update would end there), where `autoscaled` can tell which are not to be.
        """
        properties: dict[str, pulumi.Input[Any]] = {"enableConfigMapMutable": "true"}
        if self.late is None:
            properties["enablePatchForce"] = "true"
        properties |= self.settings
        context = destination.context
        if self.late is not None:
            properties["kubeconfig"] = pulumi.Output.secret(self.late)
        elif self.kubeconfig:
            contents = is_contents(self.kubeconfig)
            path = self.kubeconfig if contents else str(Path(os.path.expanduser(self.kubeconfig)).absolute())
            properties["kubeconfig"] = pulumi.Output.secret(path) if contents or self.secret else path
            if contents:
                # It leads to one cluster by itself, and a renewed one may name its context otherwise.
                context = self.context
        named = {"context": context, "clusterIdentifier": destination.identifier}
        properties |= {key: value for key, value in named.items() if value}
        _log.debug(
            "provider: %s-kubernetes made, context %s, cluster %s",
            name,
            context or "none",
            redacted(destination.identifier),
        )
        options = pulumi.ResourceOptions(parent=parent, version=metadata.version("pulumi_kubernetes"))
        return pulumi.ProviderResource(_PACKAGE, f"{name}-kubernetes", properties, options)

    def access(self) -> Access | None:
        """All that is needed to ask the cluster something; None where nothing can be asked."""
        if only_mocks() or self.late is not None:
            return None
        return access_to(self.kubeconfig, self.target.context, os.environ)

    def autoscaled(self, nodes: Iterable[NodeSpec]) -> frozenset[str]:
        """The nodes whose replicas an autoscaler sets, by the record of their workloads in the cluster. Blocks.

        Empty where nothing can be asked of the cluster.
        """
        recorded = read_workloads()
        keeping = (node for node in nodes if node.keeps_replicas)
        asked = [one for one in keeping if (one.workload_kind, one.namespace, one.workload) in recorded]
        access = self.access() if asked else None
        if access is None:
            return frozenset()
        api = KubeApi(access, os.environ)

        def is_autoscaled(node: NodeSpec) -> bool:
            return read_autoscaled(api, node.workload_kind, node.namespace, node.workload)

        with ThreadPoolExecutor(min(8, len(asked))) as pool:
            found = zip(asked, pool.map(is_autoscaled, asked), strict=True)
            return frozenset(node.name for node, autoscaled in found if autoscaled)

    def _uid(self) -> str:
        access = self.access()
        return kube_system_uid(access, os.environ) if access else ""

    def _same_context(self, context: str) -> bool:
        access = access_to(self.kubeconfig, context, os.environ)
        if access is None:
            return False
        found = cluster_of(access)
        return (found.server.rstrip("/"), found.ca) == (self.target.server.rstrip("/"), self.target.ca)


def way_to(spec: ClusterSpec, problems: Problems, *, given: bool) -> Way:
    """The way that `spec` (of a builder's args) and the stack's config name; what is wrong is added to `problems`.

    With a provider `given`, the current context may be another cluster than the provider's: then the target is known
    only if the args themselves name it. Nothing is looked for if there are problems already.
    """
    config = {} if given else _kubernetes_config()
    context, kubeconfig = (
        value or str(config.pop(key, "")) for key, value in (("context", spec.context), ("kubeconfig", spec.kubeconfig))
    )
    if problems.found or (given and not (context or kubeconfig)):
        _log.debug("cluster: wherever the given provider goes; no context or kubeconfig is named")
        return Way("", "", False, Target(), {})
    target = find_cluster(kubeconfig, context, os.environ, problems)
    access = access_to(kubeconfig, target.context, os.environ)
    target = target._replace(
        ca=cluster_of(access).ca if access else "", namespace=str(config.get("namespace") or target.namespace)
    )
    _log.debug(
        "cluster: context %s (%s), server %s, namespace %s",
        target.context or "none",
        "named by args or config" if context else "the current one",
        redacted(target.server) or "unknown",
        target.namespace,
    )
    secret = not spec.kubeconfig and bool(kubeconfig) and is_config_secret(f"{_PACKAGE}:kubeconfig")
    return Way(context, kubeconfig, secret, target, _settings(config))


def late_way_to(context: str, kubeconfig: pulumi.Output[str]) -> Way:
    """The way by a kubeconfig that the program cannot read; `context` (of a builder's args) may be empty.

    The namespace by default is `default`: the context's own is not known.
    """
    _log.debug("cluster: wherever a kubeconfig leads that is an Output; context %s", context or "not named")
    config = _kubernetes_config()
    context = context or str(config.get("context", ""))
    namespace = str(config.get("namespace") or "default")
    return Way(context, "", True, Target(context, namespace=namespace), _settings(config), kubeconfig)


def _settings(config: Mapping[str, Any]) -> dict[str, pulumi.Input[Any]]:
    return {
        key: pulumi.Output.secret(value) if is_config_secret(f"{_PACKAGE}:{key}") else value
        for key, value in config.items()
        if key not in ("context", "kubeconfig")
    }


def _kubernetes_config() -> dict[str, Any]:
    """The stack's config for provider Kubernetes, as Pulumi's own default provider would take it."""
    found = {}
    for key, value in {**get_config_env(), **CONFIG.get()}.items():
        package, _, name = key.partition(":")
        if package == _PACKAGE and value != "":
            found[name] = value
    return found
