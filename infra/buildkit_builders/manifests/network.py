"""What reaches a node's pods over the network."""

from __future__ import annotations

from typing import Any

from buildkit_builders.manifests.child import Child
from buildkit_builders.spec import NodeSpec

__all__ = ["network_policy"]


def network_policy(node: NodeSpec) -> Child | None:
    """The NetworkPolicy that lets in nothing but the endpoint's clients, and everything out; None if the node has none.

    An exec does not come over the pod's network: the kubelet starts it in the container.
    """
    if not node.options.network_policy:
        return None
    manifest: dict[str, Any] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": node.workload, "namespace": node.namespace, "labels": dict(node.selector)},
        "spec": {
            "podSelector": {"matchLabels": dict(node.selector)},
            "policyTypes": ["Ingress", "Egress"],
            **_ingress(node),
            # Said even so: without it a policy of the whole namespace would keep builds from what they pull and push.
            "egress": [{}],
        },
    }
    return Child("networkpolicy", manifest)


def _ingress(node: NodeSpec) -> dict[str, Any]:
    if not node.options.has_endpoint:
        return {}
    return {"ingress": [{"ports": [{"protocol": "TCP", "port": node.options.endpoint_port}]}]}
