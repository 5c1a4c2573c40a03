"""What a builder has besides its nodes: its namespaces and the ConfigMap that tells clients about it."""

from __future__ import annotations

from typing import Any

from buildclient.contract.output import CONFIG_MAP_KEY, CONFIG_MAP_LABEL, BuilderOutput, config_map_name

__all__ = ["namespace", "output_config_map"]


def namespace(name: str) -> dict[str, Any]:
    """A namespace of our making."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def output_config_map(output: BuilderOutput) -> dict[str, Any]:
    """The ConfigMap that a client without access to Pulumi's state reads the builder output from."""
    key, value = CONFIG_MAP_LABEL
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(output.name),
            "namespace": output.namespace,
            "labels": {key: value},
        },
        "data": {CONFIG_MAP_KEY: output.dumps()},
    }
