"""Objects of a good builder, and what makes them bad, by the guardrail that finds it."""

from __future__ import annotations

import copy
from typing import Any

from tests.unit.builders.claims.files import DIGEST

_LABELS = {"app": "main", "cost-center": "4711"}
_SELECTOR = {"matchLabels": {"app": "main"}}
_CONTAINER = {
    "name": "buildkitd",
    "image": f"moby/buildkit@{DIGEST}",
    "args": ["--addr=tcp://0.0.0.0:1234", "--tlscacert=/ca.crt"],
    "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
    "securityContext": {"privileged": True},
}
GOOD: list[dict[str, Any]] = [
    {
        "kind": "StatefulSet",
        "metadata": {"name": "main", "namespace": "builders-a", "labels": _LABELS},
        "spec": {
            "replicas": 2,
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "containers": [_CONTAINER],
                    "volumes": [{"name": "c", "projected": {"sources": [{"configMap": {"name": "conf"}}]}}],
                },
            },
            "volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": "20Gi"}}}}],
        },
    },
    {
        "kind": "ConfigMap",
        "metadata": {"name": "conf", "namespace": "builders-a"},
        "data": {"buildkitd.toml": '[worker.oci]\nmaxUsedSpace = "17179869184"\n'},
    },
    {
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "main", "namespace": "builders-a"},
        "spec": {"maxUnavailable": 1, "selector": _SELECTOR},
    },
]
_POD = "0.spec.template.spec"
BAD: list[tuple[str, str, Any, str]] = [
    ("requests", f"{_POD}.containers.0.resources", {}, "container buildkitd requests no cpu and no memory"),
    ("requests", f"{_POD}.containers.0.resources.requests", {}, "container buildkitd requests no cpu"),
    ("image-digest", f"{_POD}.containers.0.image", "moby/buildkit:v1", "image moby/buildkit:v1 of container buildkitd"),
    ("image-digest", f"{_POD}.initContainers", [{"name": "q", "image": "x@sha256:1"}], "image x@sha256:1 of container"),
    ("disruption-budget", "2.kind", "Other", "there is no PodDisruptionBudget"),
    ("disruption-budget", "2.metadata.namespace", "other", "there is no PodDisruptionBudget"),
    ("disruption-budget", "2.spec.maxUnavailable", 0, "maxUnavailable 0"),
    (
        "disruption-budget",
        "2.spec",
        {"minAvailable": 2, "selector": {"matchLabels": {"app": "main"}}},
        "minAvailable 2",
    ),
    ("cache-limit", "1.data", {"buildkitd.toml": "[worker.oci]\nmaxUsedSpace = '30000000000'"}, "30000000000 bytes"),
    ("cache-limit", "1.data", {"buildkitd.toml": "[[worker.oci.gcpolicy]]\nmaxUsedSpace = 21474836480"}, "holds 20Gi"),
    ("cache-limit", "1.data", {}, "no limit of the cache is set"),
    ("no-open-tcp", f"{_POD}.containers.0.args", ["--addr", "tcp://0.0.0.0:1234"], "tcp://0.0.0.0:1234 without asking"),
    (
        "no-open-tcp",
        "",
        {
            f"{_POD}.containers.0.args": [],
            "1.data": {"buildkitd.toml": "grpc.address = ['tcp://:1']\nworker.oci.maxUsedSpace = '1'"},
        },
        "listens on tcp://:1",
    ),
    ("privileged", "0.metadata.namespace", "other", "container buildkitd is privileged"),
    ("required-labels", "0.metadata.labels", {"app": "main"}, "it needs label cost-center"),
]


def changed(path: str, value: Any) -> list[dict[str, Any]]:
    """The good objects with one field changed, or with each of a mapping of fields."""
    objects = copy.deepcopy(GOOD)
    for where, new in (value if not path else {path: value}).items():
        *parts, last = where.split(".")
        target: Any = objects
        for part in parts:
            target = target[int(part) if part.isdigit() else part]
        target[last] = new
    return objects
