"""Pulumi's gRPC messages and services, without the start-up cost of the SDK they come with.

`import pulumi` takes about 0.3 s, and a plugin is started twice for every `pulumi up` (preview and update). The message
modules need none of it, so their parent packages are put in place as empty shells while they are imported, and taken
away again, so that a later, real `import pulumi` in the same process finds nothing changed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["engine_pb2", "engine_pb2_grpc", "language_pb2", "language_pb2_grpc", "load"]
__all__ += ["plugin_pb2", "provider_pb2", "provider_pb2_grpc", "status_pb2"]

_SHELLS = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


@contextmanager
def _shells() -> Iterator[None]:
    if "pulumi" in sys.modules:
        yield
        return
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("the Pulumi SDK is not installed beside the stand-ins: pip install pulumi")
    root = Path(next(iter(spec.submodule_search_locations)))
    for name in _SHELLS:
        shell = ModuleType(name)
        shell.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = shell
    try:
        yield
    finally:
        for name in _SHELLS:
            del sys.modules[name]


def load(*names: str) -> list[Any]:
    """The modules `pulumi.runtime.proto.<name>`, in order."""
    with _shells():
        return [importlib.import_module(f"pulumi.runtime.proto.{name}") for name in names]


engine_pb2, engine_pb2_grpc, plugin_pb2 = load("engine_pb2", "engine_pb2_grpc", "plugin_pb2")
language_pb2, language_pb2_grpc = load("language_pb2", "language_pb2_grpc")
provider_pb2, provider_pb2_grpc, status_pb2 = load("provider_pb2", "provider_pb2_grpc", "status_pb2")
