"""A builder's other objects: its namespaces, and the ConfigMap that clients read its output from."""

from __future__ import annotations

from typing import Any

from buildclient.contract.output import CONFIG_MAP_KEY, CONFIG_MAP_LABEL, BuilderOutput, config_map_name
from buildkit_builders.manifests.child import Child
from buildkit_builders.manifests.podsecurity import ENFORCE, namespace_level
from buildkit_builders.spec import BuilderSpec

__all__ = ["namespaces", "output_config_map"]


def namespaces(spec: BuilderSpec) -> tuple[Child, ...]:
    """The namespaces that the stack makes, the builder's first; empty if it is to make none.

    Each lets in pods as open as its nodes need, whatever the cluster's level for others is, and no more open ones.
    """
    own, *others = spec.namespaces if spec.create_namespace else [""]
    roles = {"namespace": own, **{f"namespace-{other}": other for other in others}}
    return tuple(
        Child(role, {"apiVersion": "v1", "kind": "Namespace", "metadata": _labelled(spec, name)})
        for role, name in roles.items()
        if name
    )


def _labelled(spec: BuilderSpec, name: str) -> dict[str, Any]:
    level = namespace_level([node for node in spec.nodes if node.namespace == name])
    return {"name": name, **({"labels": {ENFORCE: level}} if level else {})}


def output_config_map(output: BuilderOutput) -> Child:
    """The ConfigMap that a client without access to Pulumi's state reads the builder output from."""
    key, value = CONFIG_MAP_LABEL
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(output.name),
            "namespace": output.namespace,
            "labels": {key: value},
        },
        "data": {CONFIG_MAP_KEY: output.dumps()},
    }
    return Child("output", manifest)
