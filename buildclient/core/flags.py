"""Small values of the command line, read as Go reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from buildclient.core.csvtext import CsvError, csv_fields, csv_line
from buildclient.core.errors import UsageError

__all__ = ["key_values", "parse_attests", "parse_bool", "parse_cache", "parse_context_names", "parse_size"]

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def parse_bool(text: str, default: bool = False) -> bool:
    """Go's ParseBool; `default` for what is no boolean."""
    return True if text in _TRUE else False if text in _FALSE else default


def is_bool(text: str) -> bool:
    """Whether Go's ParseBool takes it."""
    return text in _TRUE or text in _FALSE


def key_values(items: Iterable[str], flag: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """`K=V` items; with an environment, `K` alone takes its value, or nothing where there is none.

    Raises UsageError for an empty key.
    """
    found: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not key:
            raise UsageError(f'{flag}: invalid key-value pair "{item}": empty key')
        if equals:
            found[key] = value
        elif environment is None:
            found[key] = ""
        elif key in environment:
            found[key] = environment[key]
    return found


def parse_attests(items: Sequence[str], provenance: str = "", sbom: str = "") -> dict[str, str | None]:
    """`--attest`, `--provenance` and `--sbom`: type -> parameters as BuildKit takes them, None for off.

    The first of a type wins, as in buildx. Raises UsageError.
    """
    texts = [*items]
    for kind, value in (("provenance", provenance), ("sbom", sbom)):
        if value:
            texts.append(
                f"type={kind},disabled={str(not parse_bool(value)).lower()}"
                if is_bool(value)
                else f"type={kind},{value}"
            )
    found: dict[str, str | None] = {}
    for text in texts:
        kind, disabled, attrs = "", False, {}
        for field in _fields(text):
            key, equals, value = field.partition("=")
            key = key.lower().strip()
            if not equals:
                raise UsageError(f"invalid value {field}")
            if key == "type":
                kind = value
            elif key == "disabled":
                if not is_bool(value):
                    raise UsageError(f'strconv.ParseBool: parsing "{value}": invalid syntax')
                disabled = parse_bool(value)
            else:
                attrs[key] = value
        if not kind:
            raise UsageError("attestation type not specified")
        parameters = csv_line([("type", kind), *sorted(attrs.items())])
        found.setdefault(kind, None if disabled else parameters)
    return found


def parse_cache(items: Sequence[str], flag: str) -> tuple[dict[str, str], ...]:
    """`--cache-from`, `--cache-to`: a reference, or `type=…,key=value` (`type` among the keys). Raises UsageError."""
    found: list[dict[str, str]] = []
    for text in items:
        fields = _fields(text)
        if not any("=" in field for field in fields):
            found.extend({"type": "registry", "ref": field} for field in fields)
            continue
        entry: dict[str, str] = {}
        for field in fields:
            key, equals, value = field.partition("=")
            if not equals:
                raise UsageError(f"{flag}: invalid value {field}")
            entry[key.lower().strip()] = value
        if not entry.get("type"):
            raise UsageError(f'type required for "{text}"')
        found.append(entry)
    return tuple(found)


def parse_context_names(items: Sequence[str]) -> dict[str, str]:
    """`--build-context NAME=PATH`. Raises UsageError."""
    found = {}
    for item in items:
        name, equals, path = item.partition("=")
        if not equals:
            raise UsageError(f"invalid context value: {item}, expected key=value")
        found[name.lower()] = path
    return found


def parse_size(text: str, flag: str) -> int:
    """`64m`, `1.5gb`, `1024`: bytes, in units of 1024. Raises UsageError."""
    lower = text.strip().lower().removesuffix("ib").removesuffix("b")
    number, unit = (lower[:-1], lower[-1:]) if lower[-1:].isalpha() else (lower, "")
    try:
        return int(float(number) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        raise UsageError(f'invalid argument "{text}" for "{flag}" flag: invalid size: \'{text}\'') from None


def _fields(text: str) -> list[str]:
    try:
        return csv_fields(text)
    except CsvError as error:
        raise UsageError(str(error)) from None
