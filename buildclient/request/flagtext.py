"""Parses small flag values as docker buildx does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from buildclient.base.csvtext import CsvError, csv_fields, csv_line
from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.base.gotext import go_quoted, is_bool, parse_bool
from buildclient.registry.reference import ImageTag, InvalidReference, parse_reference, parse_tag
from buildclient.request.solve import CacheEntry

__all__ = [
    "flagged",
    "key_values",
    "parse_attests",
    "parse_cache",
    "parse_context_names",
    "parse_list",
    "parse_tags",
]


@contextlib.contextmanager
def flagged(flag: str) -> Iterator[None]:
    """Adds the flag's name to a UsageError that the body raises."""
    try:
        yield
    except UsageError as error:
        error.flag = error.flag or flag
        raise


def key_values(items: Iterable[str], flag: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Parses `K=V` items. With an environment, `K` alone takes its value from there and is skipped if unset.

    Raises UsageError for an empty key.
    """
    found: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not key:
            raise UsageError(f"invalid key-value pair {go_quoted(item)}: empty key", flag=flag)
        if equals:
            found[key] = value
        elif environment is None:
            found[key] = ""
        elif key in environment:
            found[key] = environment[key]
    return found


def parse_attests(items: Sequence[str], provenance: str = "", sbom: str = "") -> dict[str, str | None]:
    """Parses `--attest`, `--provenance` and `--sbom` into {type: parameters as BuildKit takes them, or None for off}.

    The first of a type wins, as in docker buildx. Raises UsageError.
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
                    raise UsageError(
                        f"invalid value {field}: strconv.ParseBool: parsing {go_quoted(value)}: invalid syntax"
                    )
                disabled = parse_bool(value)
            else:
                attrs[key] = value
        if not kind:
            raise UsageError("attestation type not specified")
        parameters = csv_line([("type", kind), *sorted(attrs.items())])
        found.setdefault(kind, None if disabled else parameters)
    return found


def parse_cache(items: Sequence[str], environment: Mapping[str, str]) -> tuple[CacheEntry, ...]:
    """Parses `--cache-from` and `--cache-to`: references, or `type=…,key=value`.

    `type=gha` takes its URL and token from the environment and is skipped without them, as in docker buildx. Raises
    UsageError.
    """
    found: list[CacheEntry] = []
    for text in filter(None, items):
        fields = _fields(text)
        if "=" not in text:
            found.extend(CacheEntry("registry", {"ref": field}) for field in fields)
            continue
        entry: dict[str, str] = {}
        for field in fields:
            key, equals, value = field.partition("=")
            if not equals:
                raise UsageError(f"invalid value {field}")
            entry[key.lower()] = value
        kind = entry.pop("type", "")
        if not kind:
            raise UsageError(f"type required for {go_quoted(text)}")
        if kind == "gha":
            entry = _github(entry, environment)
            if not (entry.get("token") and (entry.get("url") or entry.get("url_v2"))):
                continue
        found.append(CacheEntry(kind, entry))
    return tuple(found)


def _github(entry: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    second = entry.get("version", "2" if parse_bool(environment.get("ACTIONS_CACHE_SERVICE_V2", "")) else "") == "2"
    results = environment.get("ACTIONS_RESULTS_URL")
    offered = {
        "token": environment.get("ACTIONS_RUNTIME_TOKEN"),
        "url_v2": results if second else None,
        "url": environment.get("ACTIONS_CACHE_URL", results),
    }
    return {**{key: value for key, value in offered.items() if value is not None}, **entry}


def parse_context_names(items: Sequence[str]) -> dict[str, str]:
    """Parses `--build-context NAME=PATH`; the name is an image name. Raises UsageError."""
    found = {}
    for item in filter(None, items):
        name, equals, path = item.partition("=")
        if not equals:
            raise UsageError(f"invalid context value: {item}, expected key=value")
        try:
            named = parse_reference(name)
        except InvalidReference as error:
            raise UsageError(f"invalid context name {name}: {error}") from None
        found[named.familiar.removesuffix(":latest")] = path
    return found


def parse_tags(items: Sequence[str]) -> tuple[ImageTag, ...]:
    """Parses `--tag` texts, image names with or without a tag.

        parse_tags(["registry.example/app:1"])

    Raises InvalidBuild.
    """
    found = []
    for item in items:
        try:
            found.append(parse_tag(item))
        except InvalidReference as error:
            raise InvalidBuild(f"invalid tag {go_quoted(item)}: {error}") from None
    return tuple(found)


def parse_list(items: Sequence[str]) -> tuple[str, ...]:
    """Parses a flag that takes CSV lists and may be given several times; skips empty texts. Raises UsageError."""
    return tuple(field for item in items if item for field in _fields(item))


def _fields(text: str) -> list[str]:
    try:
        return csv_fields(text)
    except CsvError as error:
        raise UsageError(str(error)) from None
