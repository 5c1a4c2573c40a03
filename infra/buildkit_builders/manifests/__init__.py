"""Frozen options in, Kubernetes objects out, as plain dicts: pure functions, no Pulumi, no cluster."""

from buildkit_builders.manifests.access import client_access
from buildkit_builders.manifests.output import namespace, output_config_map
from buildkit_builders.manifests.workload import deployment

__all__ = ["client_access", "deployment", "namespace", "output_config_map"]
