"""Frozen specs in, Kubernetes objects out, as plain dicts: pure functions, no Pulumi, no cluster."""

from buildkit_builders.manifests.access import client_access
from buildkit_builders.manifests.child import Child
from buildkit_builders.manifests.node import companions, node_objects, without_replicas
from buildkit_builders.manifests.output import namespaces, output_config_map

__all__ = [
    "Child",
    "client_access",
    "companions",
    "namespaces",
    "node_objects",
    "output_config_map",
    "without_replicas",
]
