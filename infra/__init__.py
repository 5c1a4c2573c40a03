"""BuildKit builders on Kubernetes as Pulumi components. Pulumi is imported when a component is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.args import BuilderArgs, NodeArgs
    from infra.builder import Builder
    from infra.node import BuilderNode

__all__ = ["Builder", "BuilderArgs", "BuilderNode", "NodeArgs"]

_HOMES = {
    "Builder": "infra.builder",
    "BuilderArgs": "infra.args",
    "BuilderNode": "infra.node",
    "NodeArgs": "infra.args",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'infra' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
