"""What an option of the table needs beside it, so that its example is accepted."""

from __future__ import annotations

from collections.abc import Mapping

from buildkit_builders.options.autoscale import AUTOSCALE, MAX_REPLICAS
from buildkit_builders.options.claim import CLAIM, STORAGE
from buildkit_builders.options.network import ENDPOINT, ISSUER, SECRET
from buildkit_builders.options.rest import REST, REST_AFTER, REST_IMAGE
from buildkit_builders.options.table import TABLE

__all__ = ["NEEDED"]

_ROOTLESS = {"rootless": "true"}
_SINGLE: Mapping[str, Mapping[str, str]] = {
    "buildkit-root-volume-memory": _ROOTLESS,
    "seccomp": _ROOTLESS,
    "apparmor": _ROOTLESS,
    "volumemounts": {"volumes": '[{"name":"certs","emptyDir":{}}]'},
    SECRET: {},
    ISSUER: {},
}
# By the beginning of the names. The values are others than those of the examples.
_FAMILIES: Mapping[str, Mapping[str, str]] = {
    CLAIM: {STORAGE: "500Gi"},
    AUTOSCALE: {MAX_REPLICAS: "4", "requests.cpu": "100m", "requests.memory": "64Mi"},
    REST: {REST_AFTER: "20m", REST_IMAGE: "registry.example/other:1"},
    ENDPOINT: {SECRET: "other"},
}


def _needed(name: str) -> dict[str, str]:
    family = next((others for prefix, others in _FAMILIES.items() if name.startswith(prefix)), {})
    return {other: value for other, value in _SINGLE.get(name, family).items() if other != name}


NEEDED: Mapping[str, Mapping[str, str]] = {row.name: found for row in TABLE.rows if (found := _needed(row.name))}
"""The other options by the option's name; options that need none are left out."""
