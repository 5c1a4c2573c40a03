"""Kubernetes objects as plain dicts: reading their common fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "Object",
    "annotations_of",
    "dig",
    "identifier",
    "is_true",
    "kind_key",
    "labels_of",
    "name_of",
    "namespace_of",
]
__all__ += ["owned_by", "parse_identifier", "revision_number", "set_annotation"]

Object = dict[str, Any]


def dig(value: Any, *path: str, default: Any = None) -> Any:
    """The value at `path` through nested mappings, or `default` where the path breaks off."""
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return default
        value = value[key]
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def name_of(target: Object) -> str:
    """`metadata.name`; empty if not set or not known."""
    return _text(dig(target, "metadata", "name"))


def namespace_of(target: Object) -> str:
    """`metadata.namespace`; empty if not set or not known."""
    return _text(dig(target, "metadata", "namespace"))


def _strings(value: Any) -> dict[str, str]:
    return {key: item for key, item in value.items() if isinstance(item, str)} if isinstance(value, dict) else {}


def annotations_of(target: Object) -> dict[str, str]:
    """The annotations that are known."""
    return _strings(dig(target, "metadata", "annotations"))


def labels_of(target: Object) -> dict[str, str]:
    """The labels that are known."""
    return _strings(dig(target, "metadata", "labels"))


def is_true(target: Object, annotation: str) -> bool:
    """Whether the annotation says `true`."""
    return annotations_of(target).get(annotation) == "true"


def set_annotation(target: Object, key: str, value: str) -> None:
    """Sets an annotation in place; nothing where metadata or annotations are not known yet."""
    metadata = target.setdefault("metadata", {})
    if isinstance(metadata, dict):
        held = metadata.setdefault("annotations", {})
        if isinstance(held, dict):
            held[key] = value


def kind_key(target: Object) -> str:
    """`apps/v1/Deployment`, `v1/Secret`."""
    return f"{target.get('apiVersion', '')}/{target.get('kind', '')}"


def identifier(target: Object) -> str:
    """Pulumi's id of a Kubernetes object: `namespace/name`, or the name alone."""
    namespace = namespace_of(target)
    return f"{namespace}/{name_of(target)}" if namespace else name_of(target)


def parse_identifier(text: str) -> tuple[str, str]:
    """Namespace (may be empty) and name of an id."""
    before, slash, after = text.partition("/")
    return (before, after.split("/")[0]) if slash else ("", before)


def owned_by(target: Object, owner: Object) -> bool:
    """Whether an owner reference of `target` names `owner`."""
    uid = dig(owner, "metadata", "uid")
    references = dig(target, "metadata", "ownerReferences", default=[])
    return bool(uid) and any(reference.get("uid") == uid for reference in references)


def revision_number(target: Object) -> str:
    """The Deployment controller's revision annotation; empty before the controller has set it."""
    return annotations_of(target).get("deployment.kubernetes.io/revision", "")
