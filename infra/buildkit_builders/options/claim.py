"""The options of a node whose BuildKit keeps its state on persistent volumes, one a pod.

docker buildx has the first (buildx 0.38, driver/kubernetes/factory.go); the others set what it leaves to the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from buildkit_builders.options import quantity, values
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.row import Kind, OptionRow

__all__ = ["CLAIM", "CLAIM_ROWS", "STORAGE", "check_claim"]

CLAIM = "persistent-volume-claim."
STORAGE = CLAIM + "requests.storage"
_MEMORY = "buildkit-root-volume-memory"
_ACCESS_MODES = ("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany")
_RETENTION = ("Retain", "Delete")


def _class_name(raw: object) -> str:
    try:
        return values.dns_subdomain(raw)
    except InvalidValue as error:
        raise InvalidValue(error.allowed, error.hint or "kubectl get storageclass lists those there are") from None


_SIZE = Kind("bytes", "string", quantity.more_than_none, "str | int")
_CLASS = Kind("name (DNS subdomain)", "string", _class_name)
_MODE = Kind("access mode", "string", values.Choice(_ACCESS_MODES, any_case=True))
_POLICY = Kind("Retain or Delete", "string", values.Choice(_RETENTION, any_case=True))

CLAIM_ROWS = (
    OptionRow(
        STORAGE,
        _SIZE,
        None,
        default_text="BuildKit's state is lost with its pod",
        example="50Gi",
        about="Keeps BuildKit's state on a persistent volume of this size, one for each pod; the workload is a "
        "StatefulSet ([persistent-cache.md](persistent-cache.md)).",
        empty_is_unset=True,
    ),
    OptionRow(
        CLAIM + "storage-class",
        _CLASS,
        "",
        default_text="the cluster's default class",
        example="fast-ssd",
        about="The StorageClass of the volumes.",
        empty_is_unset=True,
    ),
    OptionRow(
        CLAIM + "access-mode",
        _MODE,
        _ACCESS_MODES[0],
        default_text=f"`{_ACCESS_MODES[0]}`",
        example="ReadWriteOncePod",
        about="`ReadWriteOnce`, `ReadWriteOncePod` (Kubernetes then refuses a second pod on the volume) or "
        "`ReadWriteMany`.",
        empty_is_unset=True,
    ),
    OptionRow(
        CLAIM + "when-scaled",
        _POLICY,
        _RETENTION[0],
        default_text=f"`{_RETENTION[0]}`",
        example="Delete",
        about="What becomes of the volume of a pod that a scale-down removes.",
        empty_is_unset=True,
    ),
    OptionRow(
        CLAIM + "when-deleted",
        _POLICY,
        _RETENTION[0],
        default_text=f"`{_RETENTION[0]}`",
        example="Delete",
        about="What becomes of the volumes when the node is taken out or the stack destroyed.",
        empty_is_unset=True,
    ),
)


def check_claim(given: Mapping[str, Any], problems: Problems) -> None:
    """Check the options of volumes against the others; what does not go together is added to `problems`."""
    size = given.get(STORAGE)
    if size is None:
        for name in given:
            if name.startswith(CLAIM):
                problems.at(name).add(given[name], f"it needs {STORAGE}, such as 50Gi")
    elif given.get(_MEMORY) is not None:
        problems.at(STORAGE).add(str(size), f"the state is on a volume or in memory: leave out {_MEMORY}")
