"""The shapes of what files hold: each reads a value, notes what is wrong with it, and has its JSON Schema.

    SCALING = Record(Scaling, (Key("min", COUNT, "The fewest pods."), Key("max", COUNT, "The most.")))
    SCALING.read({"min": 1, "max": 4}, problems)  # Scaling(min=1, max=4)

A shape whose value is wrong returns None and has noted why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from buildkit_builders.options.problems import InvalidValue, Problems

__all__ = ["Key", "ListOf", "MapOf", "Record", "Scalar", "Shape"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Shape(Protocol[T_co]):
    """What a value may be."""

    def read(self, raw: Any, problems: Problems) -> T_co | None:
        """The value; None if it is wrong, which is then among `problems`."""

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""


@dataclass(frozen=True)
class Scalar(Generic[T]):
    """A single value, by a parser that raises InvalidValue."""

    name: str
    """For the documentation."""
    parse: Callable[[object], T]
    json: Mapping[str, Any] = field(default_factory=dict)

    def read(self, raw: Any, problems: Problems) -> T | None:
        try:
            return self.parse(raw)
        except InvalidValue as error:
            problems.refused(raw, error)
            return None

    def schema(self) -> dict[str, Any]:
        return dict(self.json)


@dataclass(frozen=True)
class ListOf(Generic[T]):
    """A list; one item alone may stand without brackets. Repeated items count once."""

    item: Shape[T]
    what: str

    def read(self, raw: Any, problems: Problems) -> tuple[T, ...] | None:
        if not isinstance(raw, Sequence) or isinstance(raw, str):
            if isinstance(raw, Mapping):
                problems.add(raw, f"give a list of {self.what}")
                return None
            one = self.item.read(raw, problems)
            return None if one is None else (one,)
        found = [self.item.read(one, problems.at(f"[{number}]")) for number, one in enumerate(raw)]
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def schema(self) -> dict[str, Any]:
        item = self.item.schema()
        return {"anyOf": [item, {"type": "array", "items": item, "uniqueItems": True}]}


@dataclass(frozen=True)
class MapOf(Generic[T]):
    """A mapping by name; each value gets its name as second argument of `make`, if there is one."""

    item: Shape[T]
    what: str
    """What its values are, in the plural: `give a mapping of …`."""
    name: Callable[[object], str] = str

    def read(self, raw: Any, problems: Problems) -> dict[str, T] | None:
        if not isinstance(raw, Mapping):
            problems.add(raw, f"give a mapping of {self.what} by name")
            return None
        found: dict[str, T] = {}
        for name, one in raw.items():
            here = problems.at(str(name))
            try:
                key = self.name(name)
            except InvalidValue as error:
                here.refused(name, error)
                continue
            value = self.item.read(one, here)
            if value is not None:
                found[key] = value
        return found

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.item.schema()}


class Key(NamedTuple):
    """One key of a record."""

    name: str
    shape: Shape[Any]
    about: str
    """What it says, in a sentence of the documentation and of editors."""
    required: bool = False
    default: str = ""
    """The default in words, for the documentation."""
    example: str = ""
    """For the documentation, as YAML."""

    @property
    def field(self) -> str:
        """The parameter of the record's class."""
        return re.sub(r"[.-]", "_", self.name)


@dataclass(frozen=True)
class Record(Generic[T]):
    """A mapping with fixed keys. Keys that are not given, or null, are left to the defaults of `make`."""

    make: Callable[..., T]
    keys: tuple[Key, ...]
    about: str = ""
    is_kept: bool = False
    """Whether there is one also without what is required, so that what refers to it is no further problem."""

    def read(self, raw: Any, problems: Problems) -> T | None:
        if not isinstance(raw, Mapping):
            problems.add(raw, f"give a mapping with {', '.join(key.name for key in self.keys)}")
            return None
        values = self.values(raw, problems)
        missing = [key for key in self.keys if key.required and key.field not in values]
        return None if missing and not self.is_kept else self.make(**values)

    def values(self, raw: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
        """The values that are given and right, by parameter."""
        known = tuple(key.name for key in self.keys)
        for name in raw:
            if name not in known:
                # Where it stands, though the message names what is around it.
                problems.at(str(name)).unknown(str(name), known, "key")
        values: dict[str, Any] = {}
        for key in self.keys:
            given = raw.get(key.name)
            if given is None:
                if key.required:
                    problems.add(None, f"it needs {key.name}{f', such as {key.example}' if key.example else ''}")
                continue
            value = key.shape.read(given, problems.at(key.name))
            if value is not None:
                values[key.field] = value
        return values

    def schema(self) -> dict[str, Any]:
        properties = {key.name: {"description": key.about, **key.shape.schema()} for key in self.keys}
        required = [key.name for key in self.keys if key.required]
        return {
            "type": "object",
            **({"description": self.about} if self.about else {}),
            "properties": properties,
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }
