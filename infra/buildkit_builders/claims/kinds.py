"""Kinds of single values in claims and the platform's file, by the parsers of options."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from buildkit_builders.claims.problem import SEVERITIES
from buildkit_builders.claims.shapes import Scalar
from buildkit_builders.options import pairs, quantity, values
from buildkit_builders.options.check import read_given, read_values
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.quantity import Quantity

__all__ = [
    "ARCHITECTURE", "BYTES", "CLIENT", "COUNT", "CPU", "DAY", "FLAG", "IMAGE", "LABELS", "LABEL_NAME", "NAMES",
    "PATTERN", "POSITIVE", "REGISTRY", "SECONDS", "SEVERITY", "TEXT", "DriverOpts",
]  # fmt: skip

_MOST = 2**31 - 1
_LONGEST_TEXT = 253
_ARCHITECTURES = ("amd64", "arm64", "386", "arm/v7", "arm/v6", "riscv64", "s390x", "ppc64le", "loong64")
_GLOB = re.compile(r"[a-z0-9*?-]{1,63}\Z")


def _text(raw: object) -> str:
    allowed = "give a text"
    text = values.text_of(raw, allowed)
    if not text or len(text) > _LONGEST_TEXT or not text.isprintable():
        raise InvalidValue(f"{allowed} of 1 to {_LONGEST_TEXT} characters, in one line")
    return text


def _flag(raw: object) -> bool:
    return values.boolean(raw)


def _day(raw: object) -> date:
    allowed = "give a day, such as 2027-06-30"
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw
    if not isinstance(raw, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", raw.strip()):
        raise InvalidValue(allowed, given=str(raw) if isinstance(raw, datetime) else None)
    try:
        return date.fromisoformat(raw.strip())
    except ValueError:
        raise InvalidValue(f"no calendar has that day; {allowed}") from None


def _glob(raw: object) -> str:
    allowed = "give a namespace, or a pattern such as builders-*"
    text = values.text_of(raw, allowed)
    if not _GLOB.match(text):
        raise InvalidValue(allowed)
    return text


def _label_name(raw: object) -> str:
    text = values.text_of(raw, "give the name of a label, such as cost-center")
    pairs.read_labels()({text: ""})
    return text


def _severity(raw: object) -> str:
    # YAML takes off for false.
    return "off" if raw is False else values.choice(SEVERITIES)(raw)


def _architecture(raw: object) -> str:
    # YAML takes 386 for a number.
    return values.choice(_ARCHITECTURES)(str(raw) if isinstance(raw, int) else raw)


def _client(raw: object) -> str:
    allowed = "give user:NAME, group:NAME, the name of a ServiceAccount, or namespace/name of one"
    if isinstance(raw, dict) and len(raw) == 1:
        # YAML takes `user: ada` for a mapping.
        ((key, value),) = raw.items()
        raise InvalidValue(allowed, f'did you mean "{key}:{value or "NAME"}"?')
    text = values.text_of(raw, allowed)
    if ":" not in text and "/" not in text:
        try:
            return values.dns_subdomain(text)
        except InvalidValue:
            raise InvalidValue(allowed) from None
    return text


def _labels(raw: object) -> dict[str, str]:
    return dict(pairs.read_labels(reserved=("app",))(raw))


def _bytes(raw: object) -> Quantity:
    return quantity.more_than_none(raw)


def _cpu(raw: object) -> Quantity:
    return quantity.read_quantity(raw, quantity.CPU)


TEXT = Scalar("text", _text, {"type": ["string", "integer"]})
FLAG = Scalar("boolean", _flag, {"type": "boolean"})
COUNT = Scalar("whole number", values.integer(0, _MOST), {"type": "integer", "minimum": 0})
POSITIVE = Scalar("whole number", values.integer(1, _MOST), {"type": "integer", "minimum": 1})
DAY = Scalar("day", _day, {"type": "string", "format": "date"})
SECONDS = Scalar("duration", values.whole_seconds, {"type": "string", "pattern": "^([0-9.]+(ns|us|µs|ms|s|m|h))+$"})
CLIENT = Scalar("client", _client, {"type": "string"})
CPU = Scalar("CPU units", _cpu, {"type": ["string", "number"], "pattern": "^[0-9.]+m?$"})
BYTES = Scalar("bytes", _bytes, {"type": ["string", "integer"], "pattern": "^[0-9.]+(([KMGTPE]i)|[kMGTPE])?$"})
IMAGE = Scalar("image reference", values.image, {"type": "string"})
NAMES = Scalar(
    "name", values.dns_label, {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
)
PATTERN = Scalar("namespace or pattern", _glob, {"type": "string"})
LABEL_NAME = Scalar("name of a label", _label_name, {"type": "string"})
LABELS = Scalar(
    "labels", _labels, {"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}}
)
SEVERITY = Scalar("`error`, `warning` or `off`", _severity, {"enum": [*SEVERITIES, False]})
ARCHITECTURE = Scalar("architecture", _architecture, {"enum": [*_ARCHITECTURES, 386]})
REGISTRY = Scalar("settings", lambda raw: raw, {"type": "object"})


class DriverOpts:
    """Driver options, as anywhere else; kept as they are given."""

    name = "[driver options](options.md)"

    def read(self, raw: Any, problems: Problems) -> dict[str, Any] | None:
        given = read_given(raw, problems)
        before = len(problems.found)
        parsed = read_values(given, problems)
        if len(problems.found) > before:
            return None
        # Those that are merged with others, and so are mappings whatever they were written as.
        for name in ("nodeselector", "labels", "annotations"):
            if name in parsed:
                given[name] = dict(parsed[name])
        return given

    def schema(self) -> dict[str, Any]:
        """Any: docs/options.md has them."""
        return {"type": ["object", "string"]}
