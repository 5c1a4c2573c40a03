"""An object and the name of its resource, which is part of every stack's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Child"]


class Child(NamedTuple):
    """One object of a component."""

    role: str
    """The resource is named `<component>-<role>`. A role that changes deletes and makes the object anew."""
    manifest: Mapping[str, Any]
    ready_within: float | None = None
    """How long to wait until it is ready, in seconds; None for Pulumi's own ten minutes."""
    updated_within: float = 0.0
    """How long to wait for an update, in seconds, if that is longer."""
    gone_within: float = 0.0
    """How long its pods may take to stop, in seconds."""
    named_anew: bool = False
    """Whether its name follows from its contents: another is made before the old one is deleted."""
