"""BuildKit builders on Kubernetes as Pulumi components. Pulumi is imported when a component is first asked for."""

import os
import signal
import sys

# Of a program, before anything else is loaded: interrupted meanwhile, it goes without a traceback.
if sys.argv and os.path.basename(sys.argv[0]) == "builders":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buildkit_builders.args import (
        BuilderArgs,
        BuilderArgsDict,
        DriverOptsArgs,
        DriverOptsArgsDict,
        NodeArgs,
        NodeArgsDict,
    )
    from buildkit_builders.builder import Builder
    from buildkit_builders.node import BuilderNode

__all__ = [
    "Builder",
    "BuilderArgs",
    "BuilderArgsDict",
    "BuilderNode",
    "DriverOptsArgs",
    "DriverOptsArgsDict",
    "NodeArgs",
    "NodeArgsDict",
]

_HOMES = {
    "Builder": "buildkit_builders.builder",
    "BuilderNode": "buildkit_builders.node",
    **{name: "buildkit_builders.args" for name in __all__ if "Args" in name},
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'buildkit_builders' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
