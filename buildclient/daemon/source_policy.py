"""EXPERIMENTAL_BUILDKIT_SOURCE_POLICY: a file with rules that the daemon applies to a build's sources.

Reference: ReadSourcePolicy in build/build.go of buildx 0.38; sourcepolicy/pb of BuildKit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from buildclient.base.errors import UsageError
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import read_json
from buildclient.proto import sourcepolicy_pb2 as pb

__all__ = ["VARIABLE", "encode_source_policy", "read_source_policy"]

VARIABLE = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
_MAX_SIZE = 4 << 20
"""Bytes of the file; gRPC's limit of a message to older daemons."""
_MATCHES = ("WILDCARD", "EXACT", "REGEX")
_CONDITIONS = ("EQUAL", "NOTEQUAL", "MATCHES")
_ACTIONS = ("ALLOW", "DENY", "CONVERT")


def read_source_policy(environ: Mapping[str, str]) -> bytes:
    """Returns the policy that the environment names, as its protobuf message; empty if it names none.

    Raises UsageError for a file that cannot be read.
    """
    path = environ.get(VARIABLE, "")
    if not path:
        return b""
    try:
        # Not a pipe or a device, whose reading might not end.
        if not os.path.isfile(path) and os.path.exists(path):
            raise UsageError(f"{VARIABLE}: failed to read policy file: {path} is no file")
        with open(path, "rb") as file:
            data = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise UsageError(f"failed to read policy file: open {path}: {reason(error)}") from None
    if len(data) > _MAX_SIZE:
        raise UsageError(f"{VARIABLE}: {path} is larger than {_MAX_SIZE >> 20} MiB")
    return encode_source_policy(data)


def encode_source_policy(data: bytes) -> bytes:
    """Returns a policy in JSON as its protobuf message; one that is a message already as it is. Raises UsageError."""
    try:
        return _policy(_object(read_json(data), "a policy")).SerializeToString()
    except (ValueError, TypeError) as error:
        try:
            pb.Policy.FromString(data)
        except DecodeError:
            raise UsageError(f"failed to parse source policy: {error}", hint=f"{VARIABLE} names the file") from None
        return data


def _policy(value: Mapping[str, Any]) -> pb.Policy:
    rules = [_rule(_object(one, "a rule")) for one in _list(value, "rules")]
    return pb.Policy(version=_number(value.get("version"), range(-(1 << 63), 1 << 63), "version"), rules=rules)


def _rule(value: Mapping[str, Any]) -> pb.Rule:
    selector, updates = value.get("selector"), value.get("updates")
    rule = pb.Rule(action=_named(value, "action", _ACTIONS))
    if selector is not None:
        selector = _object(selector, "selector")
        rule.selector.CopyFrom(
            pb.Selector(
                identifier=_text(selector, "identifier"),
                match_type=_named(selector, "match_type", _MATCHES),
                constraints=[_constraint(_object(one, "a constraint")) for one in _list(selector, "constraints")],
            )
        )
    if updates is not None:
        updates = _object(updates, "updates")
        attrs = updates.get("attrs") or {}
        if not isinstance(attrs, dict) or not all(isinstance(one, str) for one in attrs.values()):
            raise ValueError("attrs must be an object of strings")
        rule.updates.CopyFrom(pb.Update(identifier=_text(updates, "identifier"), attrs=attrs))
    return rule


def _constraint(value: Mapping[str, Any]) -> pb.Constraint:
    return pb.Constraint(
        key=_text(value, "key"), value=_text(value, "value"), condition=_named(value, "condition", _CONDITIONS)
    )


def _object(value: Any, what: str) -> dict[str, Any]:
    """A JSON object with its keys in lower case, as Go matches names of fields."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object")
    return {key.lower(): one for key, one in value.items()}


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"{key} must be a list")
    return found


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    if found is not None and not isinstance(found, str):
        raise ValueError(f"{key} must be a string")
    return found or ""


def _named(value: Mapping[str, Any], key: str, names: Sequence[str]) -> int:
    """A value of an enumeration, by its name or its number."""
    found = value.get(key)
    if isinstance(found, str):
        if found not in names:
            raise ValueError(f"{key} must be one of {', '.join(names)}")
        return names.index(found)
    return _number(found, range(len(names)), key)


def _number(found: Any, allowed: range, key: str) -> int:
    if found is None:
        return 0
    if not isinstance(found, int) or isinstance(found, bool) or found not in allowed:
        raise ValueError(f"{key} must be a whole number in its range")
    return found
