"""Pulumi's property values on the wire, as plain Python values, and back.

Rules: a mapping is a dict, a list a list, a whole number an int; nulls inside mappings are dropped, as the programs
that send them mean "not set". A secret is a `Secret` around its value; a value not known yet is `UNKNOWN`. The marks
are those of Pulumi's deployment schema: a mapping with a signature key, and one string a type for unknowns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct, Value

__all__ = ["UNKNOWN", "Secret", "Unknown", "decode", "encode", "has_secret", "has_unknown", "plain", "rename_keys"]

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        _UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # a list
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # a mapping
    }
)


@dataclass(frozen=True)
class Secret:
    """A value that Pulumi encrypts in its state and hides in its output."""

    value: Any


class Unknown:
    """The type of `UNKNOWN`, of which there is one."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __deepcopy__(self, memo: object) -> Unknown:
        return self


UNKNOWN: Final = Unknown()


def decode(struct: Struct) -> dict[str, Any]:
    """A property map from the wire."""
    return {key: decoded for key, value in struct.fields.items() if (decoded := _decode(value)) is not None}


def _decode(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_decode(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _decode_mapping(value.struct_value)
    return None


def _decode_mapping(struct: Struct) -> Any:
    signature = struct.fields[_SIGNATURE].string_value if _SIGNATURE in struct.fields else ""
    if signature == _SECRET:
        return Secret(_decode(struct.fields["value"]))
    if signature == _OUTPUT:
        inner = _decode(struct.fields["value"]) if "value" in struct.fields else UNKNOWN
        return Secret(inner) if struct.fields["secret"].bool_value else inner
    return decode(struct)


def encode(values: Mapping[str, Any]) -> Struct:
    """A property map for the wire."""
    struct = Struct()
    for key, value in values.items():
        _encode(value, struct.fields[key])
    return struct


def _encode(value: Any, target: Value) -> None:
    if value is None:
        target.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, (int, float)):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Unknown):
        target.string_value = _UNKNOWN
    elif isinstance(value, Secret):
        target.struct_value.fields[_SIGNATURE].string_value = _SECRET
        _encode(value.value, target.struct_value.fields["value"])
    elif isinstance(value, Mapping):
        # An empty mapping has to be set, too.
        target.struct_value.CopyFrom(encode(value))
    elif isinstance(value, Iterable):
        target.list_value.CopyFrom(Value().list_value)
        for item in value:
            _encode(item, target.list_value.values.add())
    else:
        raise TypeError(f"no property value: {type(value).__name__}")


def plain(value: Any) -> Any:
    """A deep copy without the `Secret` marks. `UNKNOWN` stays."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _any(value: Any, test: Callable[[Any], bool]) -> bool:
    if test(value):
        return True
    if isinstance(value, Secret):
        return _any(value.value, test)
    if isinstance(value, dict):
        return any(_any(item, test) for item in value.values())
    if isinstance(value, list):
        return any(_any(item, test) for item in value)
    return False


def has_unknown(value: Any) -> bool:
    """Whether anything in it is not known yet."""
    return _any(value, lambda item: isinstance(item, Unknown))


def has_secret(value: Any) -> bool:
    """Whether anything in it is secret."""
    return _any(value, lambda item: isinstance(item, Secret))


def rename_keys(value: Any, names: Mapping[str, str]) -> Any:
    """A copy with the mapping keys in `names` renamed, at every depth."""
    if isinstance(value, Secret):
        return Secret(rename_keys(value.value, names))
    if isinstance(value, dict):
        return {names.get(key, key): rename_keys(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [rename_keys(item, names) for item in value]
    return value
