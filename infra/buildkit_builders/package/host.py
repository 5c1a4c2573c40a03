"""The plugin that Pulumi starts for programs in other languages: it makes the same components, in this process.

Not the SDK's `component_provider_host`: its analyzer takes no unions, no mappings keyed by buildx's names and no
numbers that are Outputs, and what it publishes would be less than the options are. The server below is the same.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError, InputPropertyErrorDetails
from pulumi.provider import ConstructResult, Provider, main

from buildclient.version import VERSION
from buildkit_builders.builder import Builder
from buildkit_builders.errors import ConfigError
from buildkit_builders.node import BuilderNode
from buildkit_builders.options.problems import Problem
from buildkit_builders.package import schema
from buildkit_builders.package.names import BUILDER_KEYS, NODE_KEYS, OPTION_KEYS, property_path
from buildkit_builders.recorded import BUILDER_TYPE, NODE_TYPE

__all__ = ["BuilderProvider", "builder_args", "node_args", "run"]


class BuilderProvider(Provider):
    """Makes the package's components for programs in any language."""

    def __init__(self) -> None:
        super().__init__(VERSION, schema.render())

    def construct(
        self, name: str, resource_type: str, inputs: Mapping[str, Any], options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        """Make one component. Raises InputPropertiesError with every problem of its inputs, by property."""
        try:
            if resource_type == BUILDER_TYPE:
                builder = Builder(name, builder_args(inputs), options)
                return ConstructResult(builder.urn, {"output": builder.output})
            if resource_type == NODE_TYPE:
                node = BuilderNode(name, node_args(inputs), options)
                return ConstructResult(node.urn, {"name": node.name, "namespace": node.namespace, "kind": node.kind})
        except ConfigError as error:
            raise _refused(error, resource_type, name) from None
        except pulumi.RunError as error:
            raise _error(str(error)) from None
        raise _error(f"package {schema.PACKAGE} has {BUILDER_TYPE} and {NODE_TYPE}, not {resource_type}")


def builder_args(inputs: Mapping[str, Any]) -> Any:
    """A builder's args, in docker buildx's names, from properties. Unknown ones stay, for the list of problems."""
    return _renamed(inputs, BUILDER_KEYS, {"nodes": _each(node_args), "driverOpts": _options})


def node_args(inputs: Mapping[str, Any]) -> Any:
    """A node's args, likewise."""
    return _renamed(inputs, NODE_KEYS, {"driverOpts": _options})


def _options(inputs: Mapping[str, Any]) -> Any:
    return _renamed(inputs, OPTION_KEYS, {})


def _each(one: Callable[[Mapping[str, Any]], Any]) -> Callable[[Any], Any]:
    return lambda items: [one(item) if isinstance(item, Mapping) else item for item in items]


def _renamed(inputs: Mapping[str, Any], keys: Mapping[str, str], inner: Mapping[str, Callable[[Any], Any]]) -> Any:
    def value(name: str, given: Any) -> Any:
        return inner[name](given) if name in inner and isinstance(given, Mapping | list) else _whole(given)

    return {keys.get(name, name): value(name, given) for name, given in inputs.items()}


def _whole(value: Any) -> Any:
    """The value with whole numbers as such: all numbers come as floats."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(one) for key, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list) else value


def _refused(error: ConfigError, resource_type: str, name: str) -> InputPropertiesError:
    count = "1 problem" if len(error.problems) == 1 else f"{len(error.problems)} problems"
    details = [_detail(problem) for problem in error.problems]
    return InputPropertiesError(f"{count} in {resource_type.rpartition(':')[2]} {name}; nothing was changed", details)


def _error(text: str) -> InputPropertiesError:
    """An error of which the text alone is shown: of other exceptions the server shows the class, or a traceback."""
    return InputPropertiesError(text, [])  # without a list, not even an empty one, SDK 3.272 fails itself


def _detail(problem: Problem) -> InputPropertyErrorDetails:
    path = property_path(re.sub(r"^(builder|node)\b[:.]?", "", problem.option))
    return {"property_path": path, "reason": str(problem._replace(option="")).removeprefix(": ")}


def run() -> None:
    """The plugin's main: prints its port and serves until Pulumi ends it. The engine's address is the last argument."""
    main(BuilderProvider(), sys.argv[1:])
