"""Reads the fields of a JSON object as what they are, and gathers what is wrong, so that one error can list it all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from buildclient.contract.names import is_dns_label, is_dns_subdomain, is_label_key, is_label_value
from buildclient.contract.patterns import pattern
from buildclient.contract.platform import Platform, PlatformError, parse_platform

__all__ = ["FieldReader", "shown"]

_SHOWN = 80
"""Characters of a value that a message repeats."""
_TOLD = 20
"""Problems that a message lists."""
_CONTROL = pattern(r"[\x00-\x1f\x7f-\x9f]")
_LABEL_RULE = "letters, digits, '-', '_' and '.', 63 at most, a letter or digit at both ends"


class FieldReader:
    """Every method takes an object, a key and `where`, the path before the key; a bad value gives a harmless one."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def told(self) -> str:
        """All problems as one text; of very many, the first."""
        more = len(self.problems) - _TOLD
        return "; ".join([*self.problems[:_TOLD], *([f"and {more} more"] if more > 0 else [])])

    def mapping(self, value: Any, where: str) -> Mapping[str, Any]:
        """An object."""
        if isinstance(value, dict):
            return value
        self.problems.append(f"{where} must be an object, not {shown(value)}")
        return {}

    def text(self, raw: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
        """A string without control characters; `default` where there is none."""
        value = raw.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not (value or default is not None):
            self.problems.append(f"{where}{key} must be a string, not {shown(value)}")
        elif _CONTROL.search(value):
            self.problems.append(f"{where}{key} must have no control characters: {shown(value)}")
        else:
            return value
        return ""

    def name(
        self,
        raw: Mapping[str, Any],
        key: str,
        where: str,
        fits: Callable[[str], bool],
        what: str,
        default: str | None = None,
    ) -> str:
        """A name that `fits`; `what` says in messages what kind of name that is."""
        value = self.text(raw, key, where, default)
        if value and not fits(value):
            self.problems.append(f"{where}{key} must be {what}, not {shown(value)}")
            return ""
        return value

    def dns_label(self, raw: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
        """The name of a namespace or a container."""
        what = "a name of lower-case letters, digits and '-', 63 at most (a DNS label)"
        return self.name(raw, key, where, is_dns_label, what, default)

    def dns_subdomain(self, raw: Mapping[str, Any], key: str, where: str) -> str:
        """The name of most objects."""
        what = "a name of lower-case letters, digits, '-' and '.', 253 at most (a DNS subdomain)"
        return self.name(raw, key, where, is_dns_subdomain, what)

    def choice(self, raw: Mapping[str, Any], key: str, allowed: tuple[str, ...], where: str, default: str = "") -> str:
        """One of the allowed texts."""
        value = raw.get(key) or default
        if value not in allowed:
            self.problems.append(f"{where}{key} must be {' or '.join(allowed)}, not {shown(value)}")
            return allowed[0]
        return str(value)

    def boolean(self, raw: Mapping[str, Any], key: str, where: str) -> bool:
        """True or false; false where there is none."""
        value = raw.get(key, False)
        if not isinstance(value, bool):
            self.problems.append(f"{where}{key} must be true or false, not {shown(value)}")
            return False
        return value

    def number(self, raw: Mapping[str, Any], key: str, where: str, default: float, largest: float) -> float:
        """A number from 0 to `largest`."""
        value = raw.get(key, default)
        if not _is_number(value) or not 0 <= value <= largest:
            self.problems.append(f"{where}{key} must be a number from 0 to {largest:.0f}, not {shown(value)}")
            return default
        return float(value)

    def integer(self, raw: Mapping[str, Any], key: str, where: str, default: int, largest: int) -> int:
        """A whole number from 0 to `largest`; 2.0 is 2, as Pulumi's numbers are doubles."""
        value = raw.get(key, default)
        if not _is_number(value) or value != int(value) or not 0 <= value <= largest:
            self.problems.append(f"{where}{key} must be a whole number from 0 to {largest}, not {shown(value)}")
            return default
        return int(value)

    def texts(self, raw: Mapping[str, Any], key: str, where: str) -> Mapping[str, str]:
        """An object of strings without control characters."""
        value = raw.get(key) or {}
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            self.problems.append(f"{where}{key} must be an object of texts, not {shown(value)}")
            return {}
        return {name: self.text(value, name, f"{where}{key}.", default="") for name in value}

    def labels(self, raw: Mapping[str, Any], key: str, where: str) -> Mapping[str, str]:
        """Labels of Kubernetes, by key."""
        labels = self.texts(raw, key, where)
        for name, value in labels.items():
            if not is_label_key(name):
                self.problems.append(f"{where}{key}: {shown(name)} is no label's key ([PREFIX/]NAME: {_LABEL_RULE})")
            if not is_label_value(value):
                self.problems.append(f"{where}{key}: {shown(value)} is no label's value ({_LABEL_RULE})")
        return labels

    def platforms(self, raw: Mapping[str, Any], key: str, where: str) -> tuple[Platform, ...]:
        """A list of platforms."""
        value = raw.get(key) or []
        if not isinstance(value, list):
            self.problems.append(f"{where}{key} must be a list, not {shown(value)}")
            return ()
        found: list[Platform] = []
        for text in value:
            try:
                found.append(parse_platform(text if isinstance(text, str) else shown(text)))
            except PlatformError as error:
                self.problems.append(f"{where}{key}: {error}")
        return tuple(found)

    def address(self, raw: Mapping[str, Any], key: str, where: str, scheme: str = "") -> str:
        """A daemon's address (`buildclient.contract.address`), of that scheme; empty where there is none."""
        value = self.text(raw, key, where, default="")
        if value:
            # Imported here: most outputs have none.
            from buildclient.contract.address import AddressError, parse_address

            try:
                parse_address(value)
            except AddressError as error:
                self.problems.append(f"{where}{key} {shown(value)}: {error}")
            if scheme and not value.startswith(f"{scheme}://"):
                self.problems.append(f"{where}{key} must begin with {scheme}://, not {shown(value)}")
        return value

    def server(self, raw: Mapping[str, Any], key: str, where: str) -> str:
        """The URL of an API server; empty where there is none."""
        value = self.text(raw, key, where, default="")
        if value and not _is_server(value):
            self.problems.append(f"{where}{key} must be the URL of an API server, not {shown(value)}")
            return ""
        return value


def shown(value: Any) -> str:
    """A value in a message: in one line, and not too long."""
    if isinstance(value, str):
        value = value[: _SHOWN + 1]
    elif isinstance(value, dict | list) and value:
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    elif isinstance(value, int) and abs(value) >= 1 << 64:
        return "a very large number"
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _is_number(value: Any) -> bool:
    """Whether it is a finite number; Python's booleans are integers, too."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    )


def _is_server(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
