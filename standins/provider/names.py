"""Random names: of objects without one, and of field managers. Eight hexadecimal digits, as everywhere in Pulumi."""

from __future__ import annotations

import hashlib
import secrets

from standins.provider.objects import Object, annotations_of, dig, is_true, name_of, set_annotation
from standins.provider.values import Unknown

__all__ = ["AUTONAMED", "NamingOff", "adopt_old_name", "autoname", "field_manager", "is_named", "suffix"]

AUTONAMED = "pulumi.com/autonamed"
_OWN_MANAGER = "pulumi.com/patchFieldManager"


class NamingOff(Exception):
    """The project's settings forbid naming objects automatically."""


def suffix(seed: bytes = b"") -> str:
    """Eight hexadecimal digits: from the seed, so that preview and update agree, else at random."""
    return hashlib.sha256(seed).hexdigest()[:8] if seed else secrets.token_hex(4)


def is_named(target: Object) -> bool:
    """Whether it has a name, perhaps one not known yet."""
    return bool(name_of(target)) or isinstance(dig(target, "metadata", "name"), Unknown)


def autoname(target: Object, resource: str, seed: bytes, *, proposed: str = "", disabled: bool = False) -> None:
    """Names an object that has none, in place: what the engine proposes, else `<resource>-<8 hex>`.

    Raises NamingOff if the engine has naming disabled. An object with `generateName` is left alone.
    """
    if is_named(target) or dig(target, "metadata", "generateName"):
        return
    if disabled:
        raise NamingOff("autonaming is disabled, resource requires the .metadata.name field to be set")
    metadata = target.setdefault("metadata", {})
    if isinstance(metadata, dict):
        metadata["name"] = proposed or f"{resource}-{suffix(seed)}"
        set_annotation(target, AUTONAMED, "true")


def adopt_old_name(target: Object, old: Object) -> None:
    """Gives an object without a name the one its predecessor got automatically: names stick over updates."""
    if not is_named(target) and is_true(old, AUTONAMED):
        target.setdefault("metadata", {})["name"] = name_of(old)
        set_annotation(target, AUTONAMED, "true")


def field_manager(state: Object, inputs: Object, *, server_side: bool = True) -> str:
    """The manager under which fields are applied: the annotation's, else the state's, else a new one."""
    if not server_side:
        return "pulumi-kubernetes"
    named = annotations_of(inputs).get(_OWN_MANAGER) or state.get("__fieldManager")
    return str(named) if named else f"pulumi-kubernetes-{suffix()}"
