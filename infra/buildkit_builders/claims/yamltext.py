"""YAML as plain values with the line of each: text in, documents out, what is malformed as problems.

Keys are texts, as they are written (`on` is no boolean). Values are those of PyYAML's safe loader, a date among them.
Anchors, aliases and merge keys (`<<`) are read; a key that stands twice is a problem. Aliases may not unfold to more
than `MOST_VALUES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

__all__ = ["MOST_VALUES", "Located", "Malformed", "read_documents"]

MOST_VALUES = 20_000
_YAML = "tag:yaml.org,2002:"
_MERGE = f"{_YAML}merge"
_SCALARS = frozenset(_YAML + name for name in ("null", "bool", "int", "float", "timestamp", "str"))


class Malformed(NamedTuple):
    """What is wrong with a text as YAML."""

    line: int
    text: str


class Located(NamedTuple):
    """A value, and the lines of its parts."""

    value: Any
    line: int
    """Counted from 1."""
    lines: Mapping[str, int]
    """By their place in the spelling of `Problems.at`: `scaling.max`, `[0].name`."""
    malformed: tuple[Malformed, ...] = ()

    def line_of(self, place: str) -> int:
        """The line of a place, or of the nearest one around it."""
        while place:
            if place in self.lines:
                return self.lines[place]
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return self.line


def read_documents(text: str) -> tuple[list[Located], list[Malformed]]:
    """The documents of a text, each split into its items if it is a list. An empty document is left out.

    A fault of the syntax ends the reading: what stands before it is returned.
    """
    found: list[Located] = []
    try:
        # Not libyaml's: at a depth of some thousands that ends the process instead of raising.
        for root in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if isinstance(root, yaml.SequenceNode):
                found += [_located(item) for item in root.value]
            elif root is not None and not _is_null(root):
                found.append(_located(root))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return found, [Malformed(mark.line + 1 if mark else 0, f"it is not YAML: {error.problem or error.context}")]
    except yaml.YAMLError as error:
        return found, [Malformed(0, f"it is not YAML: {str(error).splitlines()[0][:100]}")]
    except (RecursionError, ValueError):
        return found, [Malformed(0, "it is nested too deeply")]
    return found, []


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_YAML}null"


def _located(node: yaml.Node) -> Located:
    reading = _Reading()
    try:
        value = reading.value(node, "", ())
    except RecursionError:
        value = None
        reading.malformed.append(Malformed(_line(node), "it is nested too deeply"))
    return Located(value, _line(node), reading.lines, tuple(dict.fromkeys(reading.malformed)))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Reading:
    """One walk over the nodes of a document."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.malformed: list[Malformed] = []
        self._count = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, place: str, around: tuple[yaml.Node, ...]) -> Any:
        self._count += 1
        if self._count > MOST_VALUES:
            self.malformed.append(Malformed(_line(around[0] if around else node), "it has too many values"))
            return None
        if node in around:
            self.malformed.append(Malformed(_line(node), "an alias stands within what it stands for"))
            return None
        within = (*around, node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, within)
        if isinstance(node, yaml.SequenceNode):
            found = []
            for number, item in enumerate(node.value):
                here = f"{place}[{number}]"
                self.lines[here] = _line(item)
                found.append(self.value(item, here, within))
            return found
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: str, around: tuple[yaml.Node, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        own: set[str] = set()
        for key, item in node.value:
            if key.tag == _MERGE:
                for merged in self._merged(item, place, around):
                    found = {**merged, **found}
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.malformed.append(Malformed(_line(key), "give a text as key"))
                continue
            name = str(key.value)
            if name in own:
                self.malformed.append(Malformed(_line(key), f'key "{name[:60]}" stands twice'))
            own.add(name)
            here = f"{place}.{name}" if place else name
            self.lines[here] = _line(key)
            found[name] = self.value(item, here, around)
        return found

    def _merged(self, node: yaml.Node, place: str, around: tuple[yaml.Node, ...]) -> Iterator[dict[str, Any]]:
        """The mappings that a merge key brings in, the last first: of a list the first one counts."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for one in nodes:
            if not isinstance(one, yaml.MappingNode):
                self.malformed.append(Malformed(_line(one), "<< takes a mapping, or a list of them"))
                continue
            before = dict(self.lines)
            value = self.value(one, place, around)
            self.lines = {**self.lines, **before}
            if isinstance(value, dict):
                yield value

    def _scalar(self, node: yaml.Node) -> Any:
        if node.tag not in _SCALARS:
            self.malformed.append(Malformed(_line(node), f"tag {node.tag[:60]} is not read here"))
            return None
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            # A date that no calendar has, a number too long for Python: whoever reads it says what is allowed.
            return str(node.value)
