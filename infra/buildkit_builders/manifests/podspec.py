"""The fields of a pod that its options set, beside BuildKit's container."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from buildkit_builders.options import Options

__all__ = ["add_pod_options"]


def add_pod_options(spec: dict[str, Any], options: Options, selector: Mapping[str, str]) -> None:
    """Add to a pod's `spec` what its options say; `selector` are the labels that all pods of the node have."""
    for field, value in _scalars(options).items():
        if value is not None and value != "":
            spec[field] = value
    for field, items in _lists(options, selector).items():
        if items:
            spec[field] = [*spec.get(field, []), *deepcopy(items)]
    for field, mapping in (("affinity", options.affinity), ("dnsConfig", options.dnsconfig)):
        if mapping:
            spec[field] = deepcopy(dict(mapping))
    if options.securitycontext:
        spec["securityContext"] = {**spec.get("securityContext", {}), **deepcopy(dict(options.securitycontext))}


def _scalars(options: Options) -> dict[str, Any]:
    # Without it a pod in the network of its Kubernetes node resolves no name of a Service.
    policy = options.dnspolicy or ("ClusterFirstWithHostNet" if options.hostnetwork else "")
    return {
        "priorityClassName": options.priorityclass,
        "runtimeClassName": options.runtimeclass,
        "hostNetwork": options.hostnetwork or None,
        "hostUsers": options.hostusers,
        "dnsPolicy": policy,
        "automountServiceAccountToken": options.serviceaccount_token,
        "terminationGracePeriodSeconds": options.termination_grace_period,
    }


def _lists(options: Options, selector: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    own = {"labelSelector": {"matchLabels": dict(selector)}}
    return {
        "imagePullSecrets": [{"name": name} for name in options.imagepullsecrets],
        "topologySpreadConstraints": [{**own, **one} for one in options.topologyspreadconstraints],
        "hostAliases": [{"ip": ip, "hostnames": list(names)} for ip, names in options.hostaliases.items()],
        "volumes": options.volumes,
        "containers": options.sidecars,
        "initContainers": options.initcontainers,
    }
