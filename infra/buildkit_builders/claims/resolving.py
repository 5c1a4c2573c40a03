"""From a claim to the builder that it stands for: its stack, its namespace, and the arguments of `Builder`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from buildkit_builders.claims.claim import Claim
from buildkit_builders.claims.platform import Platform, SizeClass
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.quantity import Quantity, parse_quantity
from buildkit_builders.spec import BuilderSpec, check_builder

__all__ = ["TEAM_LABEL", "Resolved", "cache_of", "namespace_of", "resolve", "size_options"]

TEAM_LABEL = "team"
_ARCHITECTURE_LABEL = "kubernetes.io/arch"
_CACHE_SHARE, _MOST_CACHE_SHARE = 80, 90
"""Percent of a volume that is cache by default, and at most: BuildKit needs room beside it while it builds."""
_MIB = 1024 * 1024


class Resolved(NamedTuple):
    """The builder of a claim."""

    claim: Claim
    stack: str
    """The name of its Pulumi stack, `<team>-<name>`."""
    context: str
    """The kubeconfig's context of its cluster."""
    namespace: str
    service_account: str
    """The name of the ServiceAccount in its namespace that CI jobs build with."""
    args: Mapping[str, Any]
    """The arguments of `Builder`, in JSON's own types: keys of stack config `builder:…`."""
    at_rest: bool
    """Whether it has no pods because the claim has expired."""

    @property
    def makes_namespace(self) -> bool:
        """Whether the stack makes the namespace, since no other claim's builder is in it.

        If not, it must be there: several stacks of one team share it.
        """
        return bool(self.args["createNamespace"])

    def spec(self, problems: Problems | None = None) -> BuilderSpec:
        """The builder's checked spec; what is wrong with it is added to `problems`."""
        return check_builder(self.args, self.namespace, Problems() if problems is None else problems)


def resolve(claim: Claim, platform: Platform, today: date | None = None) -> Resolved:
    """The builder of a claim that `read_claims` has found good. One that has expired (by `today`) has no pods.

    Raises KeyError if the platform has no such cluster or size.
    """
    size = platform.sizes[claim.size]
    namespace = namespace_of(platform, claim.cluster, claim.team, claim.name)
    expired = claim.expired(today or date.today())
    args: dict[str, Any] = {
        "name": claim.name,
        "namespace": namespace,
        "context": platform.clusters[claim.cluster].context,
        "createNamespace": "{name}" in platform.namespace_pattern(claim.cluster),
        "clientServiceAccount": claim.service_account,
        "driver-opts": _driver_opts(claim, platform, size, expired=expired),
        "nodes": [_node(claim, platform, size, architecture) for architecture in claim.architectures],
    }
    if claim.clients:
        args["clients"] = [{"subject": _subject(one, namespace), "events": True} for one in claim.clients]
    context = platform.clusters[claim.cluster].context
    return Resolved(claim, claim.stack, context, namespace, claim.service_account, args, expired)


def namespace_of(platform: Platform, cluster: str, team: str, name: str) -> str:
    """The namespace of a claim's builder."""
    return platform.namespace_pattern(cluster).replace("{team}", team).replace("{name}", name)


def cache_of(size: SizeClass, asked: Quantity | None) -> tuple[Quantity | None, Quantity | None]:
    """The cache of each pod, and the most that may be asked for; None for BuildKit's own bound, and for no bound."""
    most = size.max_cache or _share(size.volume, _MOST_CACHE_SHARE)
    return asked or size.cache or _share(size.volume, _CACHE_SHARE), most


def size_options(size: SizeClass, cache: Quantity | None) -> dict[str, Any]:
    """The driver options that a size class stands for."""
    found: dict[str, Any] = {}
    for what, resources in (("requests", size.requests), ("limits", size.limits)):
        for name, amount in resources._asdict().items():
            if amount is not None:
                found[f"{what}.{name.replace('_', '-')}"] = str(amount)
    if size.volume is not None:
        found["persistent-volume-claim.requests.storage"] = str(size.volume)
        if size.storage_class:
            found["persistent-volume-claim.storage-class"] = size.storage_class
    if cache is not None:
        found["buildkitd.gc.max-used-space"] = str(cache)
    return {**found, **size.driver_opts}


def _share(volume: Quantity | None, percent: int) -> Quantity | None:
    """In whole MiB, as people write it."""
    return parse_quantity(f"{max(1, int(volume.value * percent // 100 // _MIB))}Mi") if volume is not None else None


def _driver_opts(claim: Claim, platform: Platform, size: SizeClass, *, expired: bool) -> dict[str, Any]:
    image = platform.images.buildkit if claim.privileged else platform.images.rootless
    sized = size_options(size, claim.cache)
    labels: dict[str, Any] = {}
    for given in (platform.driver_opts, sized):
        labels |= given.get("labels", {})
    return {
        "serviceaccount.token": False,
        **platform.driver_opts,
        **({"buildkitd.registry": dict(platform.registries)} if platform.registries else {}),
        **sized,
        **({"image": image} if image else {}),
        **({} if claim.privileged else {"rootless": True}),
        **_scaling(claim, platform, expired=expired),
        "labels": {**labels, **claim.labels, TEAM_LABEL: claim.team},
    }


def _scaling(claim: Claim, platform: Platform, *, expired: bool) -> dict[str, Any]:
    if expired:
        # Nor may a build start it again.
        return {"replicas": 0}
    found: dict[str, Any] = {"replicas": claim.least}
    if claim.is_scaled:
        found = {"autoscale.min-replicas": claim.least, "autoscale.max-replicas": claim.most}
    if claim.to_zero_after is not None:
        found["scale-to-zero.after"] = f"{claim.to_zero_after}s"
        if platform.images.client:
            found["scale-to-zero.image"] = platform.images.client
    return found


def _node(claim: Claim, platform: Platform, size: SizeClass, architecture: str) -> dict[str, Any]:
    selector: dict[str, Any] = {}
    for given in (platform.driver_opts, size.driver_opts):
        selector |= given.get("nodeselector", {})
    # arm/v7 is of machines that call themselves arm
    selector[_ARCHITECTURE_LABEL] = architecture.partition("/")[0]
    return {
        "name": f"{claim.name}-{architecture.replace('/', '-')}",
        "platforms": [f"linux/{architecture}"],
        "driver-opts": {"nodeselector": selector},
    }


def _subject(client: str, namespace: str) -> str:
    """A bare name is a ServiceAccount of the builder's namespace."""
    return client if ":" in client or "/" in client else f"{namespace}/{client}"
