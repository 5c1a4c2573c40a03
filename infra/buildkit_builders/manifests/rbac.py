"""Roles, and their bindings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Rule", "role_and_binding", "rule"]

_API = "rbac.authorization.k8s.io"
Rule = dict[str, Any]
"""A rule of a Role."""


def rule(resource: str, verbs: list[str], names: list[str] | None = None, group: str = "") -> Rule:
    """The rule that allows the verbs on a resource, of all names or those given."""
    named = {"resourceNames": names} if names else {}
    return {"apiGroups": [group], "resources": [resource], **named, "verbs": verbs}


def role_and_binding(
    name: str, namespace: str, rules: list[Rule], subjects: Sequence[dict[str, str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Role with these rules, and the RoleBinding of the same name that gives it to the subjects."""
    metadata = {"name": name, "namespace": namespace}
    role = {"apiVersion": f"{_API}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{_API}/v1",
        "kind": "RoleBinding",
        "metadata": dict(metadata),
        "roleRef": {"apiGroup": _API, "kind": "Role", "name": name},
        "subjects": list(subjects),
    }
    return role, binding
