"""What a frontend answers about a Dockerfile: its checks, the arguments of a target, the targets.

Read from `result.json`, which comes from the daemon: its size, its depth and every type in it are checked.
Reference: frontend/subrequests/{lint,outline,targets} of BuildKit.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from buildclient.base.errors import BuildFailed
from buildclient.contract.jsontext import read_json
from buildclient.progress.events import SourceRange

__all__ = [
    "BuildArgument",
    "BuildTarget",
    "CheckError",
    "CheckResult",
    "CheckWarning",
    "Location",
    "MountedSecret",
    "Outline",
    "SourceText",
    "read_check",
    "read_outline",
    "read_targets",
]

_MAX_SIZE = 16 << 20
"""Bytes of an answer."""
_MAX_SHOWN = 64 << 20
"""Bytes of all warnings' sources: each warning may show its source from end to end."""


class Location(NamedTuple):
    """Lines of one of the answer's sources."""

    source: int
    """Index in the answer's sources; negative for none."""
    ranges: tuple[SourceRange, ...]


class SourceText(NamedTuple):
    """A Dockerfile, as the frontend read it."""

    filename: str
    data: bytes
    language: str = ""


class CheckWarning(NamedTuple):
    """A build check that found something."""

    rule: str
    """Its name, such as `FromAsCasing`."""
    detail: str
    description: str = ""
    url: str = ""
    location: Location = Location(-1, ())


class CheckError(NamedTuple):
    """Why the Dockerfile cannot be built."""

    message: str
    location: Location = Location(-1, ())


class CheckResult(NamedTuple):
    """The build checks' warnings about a Dockerfile."""

    warnings: tuple[CheckWarning, ...] = ()
    error: CheckError | None = None
    sources: tuple[SourceText | None, ...] = ()
    failed: bool = False
    """Whether the frontend counts this as a failure: warnings, or an error."""


class BuildArgument(NamedTuple):
    """A build argument that a target takes."""

    name: str
    value: str = ""
    """Its default."""
    description: str = ""


class MountedSecret(NamedTuple):
    """A secret or SSH agent that a target mounts, by its id."""

    name: str
    required: bool = False


class Outline(NamedTuple):
    """What a target takes."""

    name: str = ""
    description: str = ""
    args: tuple[BuildArgument, ...] = ()
    secrets: tuple[MountedSecret, ...] = ()
    ssh: tuple[MountedSecret, ...] = ()
    caches: tuple[str, ...] = ()
    """Ids of its cache mounts."""


class BuildTarget(NamedTuple):
    """A stage that can be built."""

    name: str
    """Empty for a last stage without a name."""
    default: bool = False
    description: str = ""
    base: str = ""
    """The image or stage that it starts from."""
    platform: str = ""


def read_check(response: Mapping[str, str]) -> CheckResult:
    """Returns the answer to `lint`. Raises BuildFailed for one that cannot be read."""
    return _read(response, _check, {})


def read_outline(response: Mapping[str, str]) -> Outline:
    """Returns the answer to `outline`. Raises BuildFailed for one that cannot be read."""
    return _read(response, _outline)


def read_targets(response: Mapping[str, str]) -> tuple[BuildTarget, ...]:
    """Returns the answer to `targets`. Raises BuildFailed for one that cannot be read."""
    return _read(response, _targets)


_T = TypeVar("_T")
_Reader = Callable[[dict[str, Any], Mapping[str, str]], _T]


def _read(response: Mapping[str, str], reader: _Reader[_T], default: dict[str, Any] | None = None) -> _T:
    text = response.get("result.json")
    if text is None and default is None:
        raise BuildFailed("the frontend gave no answer (result.json)")
    try:
        value = default if text is None else read_json(text, size=_MAX_SIZE)
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        return reader(value, response)
    except (ValueError, TypeError) as error:
        raise BuildFailed(f"the frontend's answer cannot be read: {error}") from None


def _check(value: dict[str, Any], response: Mapping[str, str]) -> CheckResult:
    sources = tuple(_source(one) for one in _list(value, "sources", dict | None))
    warnings = tuple(_warning(one, len(sources)) for one in _list(value, "warnings", dict))
    shown = [sources[one.location.source] for one in warnings if one.location.source >= 0]
    if sum(len(source.data) for source in shown if source) > _MAX_SHOWN:
        raise ValueError("it has too many warnings")
    error = None
    if (found := _object(value, "buildError")) is not None:
        error = CheckError(_text(found, "message"), _location(found, len(sources)))
    failed = response.get("result.statuscode", "0").strip() not in ("", "0")
    return CheckResult(warnings, error, sources, failed)


def _warning(value: dict[str, Any], sources: int) -> CheckWarning:
    return CheckWarning(
        _text(value, "ruleName"),
        _text(value, "detail"),
        _text(value, "description"),
        _text(value, "url"),
        _location(value, sources),
    )


def _source(value: dict[str, Any] | None) -> SourceText | None:
    if value is None:
        return None
    try:
        data = base64.b64decode(_text(value, "data"), validate=True)
    except binascii.Error as error:
        raise ValueError(f"data: {error}") from None
    return SourceText(_text(value, "filename"), data, _text(value, "language"))


def _location(value: dict[str, Any], sources: int) -> Location:
    found = _object(value, "location")
    if found is None:
        return Location(-1, ())
    index = _integer(found, "sourceIndex")
    if index >= sources:
        raise ValueError("sourceIndex is out of range")
    lines = [[_integer(_object(one, end) or {}, "line") for end in ("start", "end")] for one in _list(found, "ranges")]
    return Location(index, tuple(SourceRange(*one) for one in lines))


def _outline(value: dict[str, Any], response: Mapping[str, str]) -> Outline:
    return Outline(
        _text(value, "name"),
        _text(value, "description"),
        tuple(
            BuildArgument(_text(one, "name"), _text(one, "value"), _text(one, "description"))
            for one in _list(value, "args")
        ),
        tuple(MountedSecret(_text(one, "name"), _boolean(one, "required")) for one in _list(value, "secrets")),
        tuple(MountedSecret(_text(one, "name"), _boolean(one, "required")) for one in _list(value, "ssh")),
        tuple(_text(one, "ID") for one in _list(value, "cache")),
    )


def _targets(value: dict[str, Any], response: Mapping[str, str]) -> tuple[BuildTarget, ...]:
    return tuple(
        BuildTarget(
            _text(one, "name"),
            _boolean(one, "default"),
            _text(one, "description"),
            _text(one, "base"),
            _text(one, "platform"),
        )
        for one in _list(value, "targets")
    )


def _text(value: dict[str, Any], key: str) -> str:
    return str(_typed(value, key, str, ""))


def _integer(value: dict[str, Any], key: str) -> int:
    number: int = _typed(value, key, int, 0)
    if abs(number) >= 1 << 31:
        raise ValueError(f"{key}: {str(number)[:20]} is no 32-bit number")
    return number


def _boolean(value: dict[str, Any], key: str) -> bool:
    return bool(_typed(value, key, bool, False))


def _object(value: dict[str, Any], key: str) -> dict[str, Any] | None:
    return _typed(value, key, dict, None)  # type: ignore[no-any-return]


def _list(value: dict[str, Any], key: str, kinds: Any = dict) -> list[Any]:
    found: list[Any] = _typed(value, key, list, [])
    if not all(isinstance(one, kinds) for one in found):
        raise ValueError(f"{key}: not all are objects")
    return found


def _typed(value: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    """The value of a key; the default where there is none. JSON's booleans are no numbers here."""
    found = value.get(key)
    if found is None:
        return default
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        raise ValueError(f"{key} is of the wrong type")
    return found
