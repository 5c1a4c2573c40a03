"""Secrets of a build: where the daemon's answer comes from, and the texts of `--secret`.

None of these values shows a secret: not in `repr`, not in an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from buildclient.base.csvtext import CsvError, csv_fields
from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.base.gotext import go_quoted

__all__ = [
    "MAX_SECRET",
    "Secret",
    "SecretCall",
    "SecretEnv",
    "SecretFile",
    "SecretLike",
    "SecretValue",
    "parse_secrets",
    "secret_of",
]

MAX_SECRET = 500 << 10
"""Bytes of a secret at most (secretsprovider.MaxSecretSize of BuildKit)."""


class SecretFile(NamedTuple):
    """A secret that is read from a file each time the daemon asks; a pipe is read once."""

    path: str


class SecretEnv(NamedTuple):
    """A secret that is the value of an environment variable."""

    name: str


class SecretValue:
    """A secret that the program holds already."""

    __slots__ = ("value",)

    def __init__(self, value: bytes) -> None:
        self.value = bytes(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretValue) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return "SecretValue(…)"


class SecretCall:
    """A secret that a function returns, called once a build, in a thread, when a daemon first asks."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], bytes]) -> None:
        self.function = function

    def __repr__(self) -> str:
        # The function's own text may hold arguments.
        return "SecretCall(…)"


class _Path(Protocol):
    """As `pathlib.Path`."""

    def __fspath__(self) -> str:
        """Returns the path."""


Secret = SecretFile | SecretEnv | SecretValue | SecretCall
SecretLike = Secret | bytes | _Path | Callable[[], bytes]
"""What a program may write for a secret: its bytes, a path object, a function that returns bytes, or a `Secret`."""


def parse_secrets(items: Iterable[str], environ: Mapping[str, str]) -> dict[str, Secret]:
    """Parses `--secret` texts such as `id=token,src=token.txt` and `id=token,env=TOKEN`.

    An id alone is a variable if `environ` has it, else a file. Of one id the last text counts. Raises UsageError with
    docker buildx's messages.
    """
    found: dict[str, Secret] = {}
    for text in filter(None, items):
        values = _fields_of(text)
        name = values.get("id", "")
        if not name:
            raise InvalidBuild("secret missing ID")
        path, variable = values.get("src", ""), values.get("env", "")
        if values.get("type") == "env" and not variable:
            path, variable = "", path
        if not path and not variable:
            path, variable = ("", name) if name in environ else (name, "")
        found[name] = SecretEnv(variable) if variable else SecretFile(path)
    return found


def _fields_of(text: str) -> dict[str, str]:
    try:
        fields = csv_fields(text)
    except CsvError as error:
        raise UsageError(f"failed to parse csv secret: {error}") from None
    values: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            raise UsageError(f"invalid field '{field}' must be a key=value pair")
        if key not in ("type", "id", "source", "src", "env"):
            raise UsageError(f"unexpected key '{key}' in '{field}'")
        if key == "type" and value not in ("file", "env"):
            raise UsageError(f"unsupported secret type {go_quoted(value)}")
        values["src" if key == "source" else key] = value
    return values


def secret_of(name: str, given: object) -> Secret:
    """Returns the secret that a program's value means. Raises UsageError, which does not show the value."""
    if isinstance(given, (SecretFile, SecretEnv, SecretValue, SecretCall)):
        return given
    if isinstance(given, (bytes, bytearray, memoryview)):
        return SecretValue(bytes(given))
    if hasattr(given, "__fspath__"):
        return SecretFile(str(given))
    if callable(given):
        return SecretCall(given)
    raise UsageError(
        f"secret {name} of a request must be bytes, a path object, SecretEnv or a function that returns bytes, "
        f"not {type(given).__name__}"
    )
