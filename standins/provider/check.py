"""Check: the inputs as they are kept: named, in a namespace, normalized, secrets marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from standins.provider.checkpoint import annotate_secrets, has_managed_by, manifest, normalized, set_managed_by
from standins.provider.cluster import Cluster
from standins.provider.names import AUTONAMED, adopt_old_name, autoname
from standins.provider.objects import Object, annotations_of, dig, namespace_of
from standins.provider.values import Unknown

__all__ = ["Naming", "Unsupported", "checked", "refuse_unsupported"]


class Unsupported(Exception):
    """The real provider can do this, the stand-in can't."""


@dataclass(frozen=True)
class Naming:
    """What the engine says about an object's name."""

    resource: str
    """The resource's own name in the program."""
    seed: bytes = b""
    proposed: str = ""
    disabled: bool = False


def refuse_unsupported(token: str) -> None:
    """Raises Unsupported for the types that are more than a Kubernetes object."""
    kind = token.rpartition(":")[2]
    if "/" not in token or token.startswith(("kubernetes:helm", "kubernetes:kustomize", "kubernetes:yaml")):
        raise Unsupported(f"{token} is not supported by the stand-in provider; the real one is needed")
    if kind.endswith(("Patch", "List")):
        raise Unsupported(f"{token}: patch and list resources are not supported by the stand-in provider")


def checked(cluster: Cluster, naming: Naming, old: dict[str, Any], new: dict[str, Any], urn: str) -> dict[str, Any]:
    """The inputs to keep, from those the program gives. `old`: the inputs kept before; empty for a new resource."""
    before, inputs = manifest(old), normalized(manifest(new))
    if AUTONAMED in annotations_of(inputs):
        cluster.log.say(urn, "warning", f'ignoring user-specified value for internal annotation "{AUTONAMED}"')
    server_side = cluster.settings.server_side_apply
    if before:
        adopt_old_name(inputs, before)
        if has_managed_by(before):
            set_managed_by(inputs)
    else:
        autoname(inputs, naming.resource, naming.seed, proposed=naming.proposed, disabled=naming.disabled)
        if not server_side:
            set_managed_by(inputs)
    if server_side and dig(inputs, "metadata", "generateName"):
        raise Unsupported("the `.metadata.generateName` field is not supported in Server-Side Apply mode")
    _place(cluster, inputs)
    annotate_secrets(inputs, new)
    return inputs


def _place(cluster: Cluster, inputs: Object) -> None:
    """Gives a namespaced object without a namespace the provider's own."""
    metadata = inputs.setdefault("metadata", {})
    if not isinstance(metadata, dict) or isinstance(metadata.get("namespace"), Unknown):
        return
    if cluster.namespace and not namespace_of(inputs) and cluster.namespaced(inputs):
        metadata["namespace"] = cluster.namespace
