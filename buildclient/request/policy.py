"""`--policy`: which Rego policies decide about a build's sources; parsed with docker buildx's messages.

Reference: util/buildflags/policy.go and withPolicyConfig in build/build.go of buildx 0.38.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from buildclient.base.csvtext import CsvError, csv_fields
from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.base.gotext import go_quoted, is_bool, parse_bool

__all__ = ["Policy", "PolicyConfig", "combined", "parse_policies"]

_LEVELS = ("panic", "fatal", "error", "warn", "warning", "info", "debug", "trace")
_TOGETHER = "disabled policy cannot be combined with other policy flags"


class PolicyConfig(NamedTuple):
    """One `--policy`."""

    files: tuple[str, ...] = ()
    """Paths in the context, or `cwd://PATH`."""
    reset: bool = False
    """Whether the policies before it are dropped, that beside the Dockerfile included."""
    disabled: bool = False
    """Whether no policy is evaluated."""
    strict: bool | None = None
    log_level: str = ""


class Policy(NamedTuple):
    """Files that are evaluated together."""

    files: tuple[str, ...]
    strict: bool = False
    """Whether a daemon that cannot ask for decisions is refused."""
    log_level: str = ""


def parse_policies(texts: Iterable[str]) -> tuple[PolicyConfig, ...]:
    """Parses texts `filename=PATH,reset=…,disabled=…,strict=…,log-level=…`. Raises UsageError."""
    return tuple(_config(text) for text in texts)


def combined(configs: Sequence[PolicyConfig], default: str) -> tuple[Policy, ...]:
    """Returns the policies of a build; each has to allow a source.

    `default` is the file beside the Dockerfile, empty if there is none. Raises InvalidBuild.
    """
    if any(config.disabled for config in configs):
        if len(configs) > 1 or configs[0] != PolicyConfig(disabled=True):
            raise InvalidBuild(_TOGETHER, flag="--policy")
        return ()
    found = [Policy((default,))] if default else []
    pending = PolicyConfig()
    for config in configs:
        if config.reset:
            found = []
        if config.files:
            strict = config.strict if config.strict is not None else bool(pending.strict)
            found.append(Policy(config.files, strict, config.log_level or pending.log_level))
        elif found:
            last = found[-1]
            strict = last.strict if config.strict is None else config.strict
            found[-1] = last._replace(strict=strict, log_level=config.log_level or last.log_level)
        else:
            pending = config
    return tuple(found)


def _switch(key: str, value: bool) -> dict[str, Any]:
    return {key: value}


def _config(text: str) -> PolicyConfig:
    try:
        fields = csv_fields(text)
    except CsvError as error:
        raise UsageError(str(error)) from None
    config = PolicyConfig()
    for field in fields:
        key, equals, value = field.partition("=")
        key = key.lower().strip()
        if not equals or key not in ("filename", "reset", "disabled", "strict", "log-level"):
            raise UsageError(f"invalid value {field}")
        if key == "filename":
            if not value:
                raise UsageError(f"invalid value {field}")
            config = config._replace(files=(*config.files, value))
        elif key == "log-level":
            if value.lower() not in _LEVELS:
                raise UsageError(f"invalid value {field}: not a valid logrus Level: {go_quoted(value)}")
            config = config._replace(log_level=value.lower())
        else:
            if not is_bool(value):
                problem = f"strconv.ParseBool: parsing {go_quoted(value)}: invalid syntax"
                raise UsageError(f"invalid value {field}: {problem}")
            config = config._replace(**_switch(key, parse_bool(value)))
    return config
