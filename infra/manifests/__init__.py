"""Frozen options in, Kubernetes objects out, as plain dicts: pure functions, no Pulumi, no cluster."""

from infra.manifests.access import client_access
from infra.manifests.output import namespace, output_config_map
from infra.manifests.workload import deployment

__all__ = ["client_access", "deployment", "namespace", "output_config_map"]
