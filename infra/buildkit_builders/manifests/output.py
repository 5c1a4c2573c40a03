"""A builder's other objects: its namespaces, and the ConfigMap that clients read its output from."""

from __future__ import annotations

from buildclient.contract.output import CONFIG_MAP_KEY, CONFIG_MAP_LABEL, BuilderOutput, config_map_name
from buildkit_builders.manifests.child import Child
from buildkit_builders.spec import BuilderSpec

__all__ = ["namespaces", "output_config_map"]


def namespaces(spec: BuilderSpec) -> tuple[Child, ...]:
    """The namespaces that the stack makes, the builder's first; empty if it is to make none."""
    own, *others = spec.namespaces if spec.create_namespace else [""]
    roles = {"namespace": own, **{f"namespace-{other}": other for other in others}}
    return tuple(
        Child(role, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for role, name in roles.items()
        if name
    )


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
