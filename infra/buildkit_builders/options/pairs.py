"""Options that hold key=value pairs: node selectors, labels, annotations, and tolerations.

Each is a text as buildx takes it, or structured config. Keys and values follow the apiserver's rules, so that a
preview without a cluster refuses what the cluster would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from buildkit_builders.options.problems import InvalidValue, nearest, show
from buildkit_builders.options.values import integer

__all__ = ["Toleration", "read_annotations", "read_labels", "read_tolerations"]

_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\Z")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_ANNOTATION_BYTES = 256 * 1024
_OPERATORS = ("Exists", "Equal")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_FIELDS = ("key", "operator", "value", "effect", "tolerationSeconds")
_SECONDS = integer(-(2**63), 2**63 - 1)


class Toleration(NamedTuple):
    """A taint that the pods tolerate, with Kubernetes' field names; empty fields are left out of the manifest."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The toleration as a pod's manifest has it."""
        value: dict[str, Any] = {name: text for name, text in zip(_FIELDS, self[:4], strict=False) if text}
        if self.toleration_seconds is not None:
            value["tolerationSeconds"] = self.toleration_seconds
        return value


def read_labels(reserved: tuple[str, ...] = ()) -> Callable[[object], Mapping[str, str]]:
    """A parser of labels; those in `reserved` are refused."""

    def check(key: str, value: str) -> None:
        _check_key(key)
        if key in reserved:
            raise InvalidValue(f'the label "{key}" is reserved: the pods are found by it', given=key)
        if value and not _NAME.match(value):
            raise InvalidValue(
                f'the value of "{key}" must be at most 63 letters, digits, "-", "_" and ".", '
                "beginning and ending with a letter or digit",
                given=value,
            )

    return lambda raw: _pairs(raw, check)


def read_annotations(reserved_prefix: str) -> Callable[[object], Mapping[str, str]]:
    """A parser of annotations; keys that begin with `reserved_prefix` are refused."""

    def check(key: str, value: str) -> None:
        _check_key(key)
        if key.startswith(reserved_prefix):
            raise InvalidValue(f"annotations {reserved_prefix}… are reserved", given=key)
        if len(value.encode("utf-8", "surrogatepass")) > _ANNOTATION_BYTES:
            raise InvalidValue(f'the value of "{key}" is longer than 256 KiB')

    return lambda raw: _pairs(raw, check)


def read_tolerations(raw: object) -> tuple[Toleration, ...]:
    """Tolerations from a list of mappings or texts, or from text: `key=a,value=b;key=c,operator=exists`.

    Operators and effects are taken in any case and stored as Kubernetes spells them. Raises InvalidValue, naming the
    toleration at fault.
    """
    allowed = 'give tolerations such as "key=a,value=b;key=c,operator=Exists,effect=NoSchedule"'
    if isinstance(raw, Mapping):
        raw = [raw]
    if isinstance(raw, str):
        raw = raw.strip().strip('"').split(";")
    if not isinstance(raw, list | tuple):
        raise InvalidValue(allowed)
    return tuple(_toleration(one, allowed) for one in raw)


def _toleration(raw: object, allowed: str) -> Toleration:
    if isinstance(raw, str):
        fields: dict[str, object] = {}
        for part in raw.strip().split(","):
            name, equals, value = part.partition("=")
            if not equals or not name.strip():
                raise InvalidValue(allowed, given=raw)
            fields[name.strip()] = value.strip()
    elif isinstance(raw, Mapping):
        fields = {str(name): value for name, value in raw.items()}
    else:
        raise InvalidValue(allowed, given=raw)
    for name in fields:
        if name not in _FIELDS:
            near = nearest(name, _FIELDS)
            hint = f'did you mean "{near}"?' if near else ""
            raise InvalidValue(f"a toleration's fields are {', '.join(_FIELDS)}", hint, given=name)
    toleration = Toleration(
        _text(fields, "key"),
        _spelled(_text(fields, "operator"), _OPERATORS, "operator"),
        _text(fields, "value"),
        _spelled(_text(fields, "effect"), _EFFECTS, "effect"),
        _SECONDS(fields["tolerationSeconds"]) if "tolerationSeconds" in fields else None,
    )
    _check_toleration(toleration, raw)
    return toleration


def _check_toleration(toleration: Toleration, raw: object) -> None:
    """The apiserver's own rules for one toleration."""
    if toleration.key:
        _check_key(toleration.key)
    elif toleration.operator != "Exists":
        raise InvalidValue("a toleration without a key must have operator=Exists", given=raw)
    if toleration.operator == "Exists" and toleration.value:
        raise InvalidValue("operator=Exists takes no value", given=raw)
    if toleration.value and not _NAME.match(toleration.value):
        raise InvalidValue('a value is at most 63 letters, digits, "-", "_" and "."', given=toleration.value)
    if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
        raise InvalidValue("tolerationSeconds needs effect=NoExecute", given=raw)


def _spelled(text: str, known: tuple[str, ...], what: str) -> str:
    if not text:
        return ""
    for one in known:
        if one.lower() == text.lower():
            return one
    near = nearest(text, known)
    raise InvalidValue(f"{what} must be {' or '.join(known)}", f'did you mean "{near}"?' if near else "", given=text)


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name, "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidValue(f"a toleration's {name} must be a string", given=value)
    return str(value)


def _pairs(raw: object, check: Callable[[str, str], None]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for key, value in _split(raw):
        check(key, value)
        found[key] = value
    return MappingProxyType(found)


def _split(raw: object) -> Iterator[tuple[str, str]]:
    allowed = "give key=value pairs, separated by commas"
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            if isinstance(value, bool):
                yield str(key), "true" if value else "false"
            elif isinstance(value, str | int):
                yield str(key), str(value)
            else:
                raise InvalidValue(f"the value of {show(str(key))} must be a string; quote it", given=value)
        return
    if isinstance(raw, str):
        # buildx takes off quotes that a CSV field has left around the whole value
        raw = raw.strip().strip('"').split(",")
    if not isinstance(raw, list | tuple):
        raise InvalidValue(allowed)
    for part in raw:
        key, equals, value = part.partition("=") if isinstance(part, str) else ("", "", "")
        if not equals or not key.strip():
            semicolon = isinstance(part, str) and ";" in part
            raise InvalidValue(allowed, 'not by ";"' if semicolon else "", given=part)
        yield key.strip(), value.strip()


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if (slash and (len(prefix) > 253 or not _PREFIX.match(prefix))) or not _NAME.match(name):
        raise InvalidValue(
            'a key is [domain/]name: a name of at most 63 letters, digits, "-", "_" and ".", '
            "after an optional lower-case domain",
            given=key,
        )
