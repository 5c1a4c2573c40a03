"""The names that other languages have for args: `driverOpts.requestsCpu` for `driver-opts` and `requests.cpu`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from buildkit_builders.args import BuilderArgs, DriverOptsArgs, NodeArgs, keys_of
from buildkit_builders.options.table import TABLE

__all__ = ["BUILDER_KEYS", "NODE_KEYS", "OPTION_KEYS", "camel", "property_path"]


def camel(field: str) -> str:
    """`requestsCpu` for the field `requests_cpu`."""
    return re.sub(r"_(\w)", lambda found: found[1].upper(), field)


def _keys(kind: type) -> Mapping[str, str]:
    return {camel(field): key for field, key in keys_of(kind).items()}


BUILDER_KEYS = _keys(BuilderArgs)
"""The keys of a builder's mapping by their property."""
NODE_KEYS = _keys(NodeArgs)
OPTION_KEYS = _keys(DriverOptsArgs)


def property_path(place: str) -> str:
    """The property at a place that a problem names: `nodes[0].driverOpts.requestsCpu`; empty for the whole."""
    first, *rest = place.split(".", 1)
    key, bracket, index = first.partition("[")
    if key == "driver-opts":
        option = rest[0] if rest else ""
        row = TABLE.row(option)
        if row is None:
            return "driverOpts" + (f".{option}" if option else "")
        inner = option.removeprefix(row.name)
        return f"driverOpts.{camel(row.field)}" + (f".{inner}" if inner else "")
    known = {key: name for keys in (NODE_KEYS, BUILDER_KEYS) for name, key in keys.items()}
    if key not in known:
        return ""
    inner = property_path(rest[0]) or rest[0] if rest else ""
    return known[key] + bracket + index + (f".{inner}" if inner else "")
