"""A stack's config `builder:…` as the component's args, just as given: the component checks it."""

from __future__ import annotations

from typing import Any, cast

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

from buildclient.contract.jsontext import read_json
from buildkit_builders.args import TEXT_KEYS, BuilderArgsDict
from buildkit_builders.options.problems import nearest
from buildkit_builders.spec import BUILDER_KEYS

__all__ = ["builder_args", "has_secret_options"]

_OPTION_KEYS = ("driver-opts", "nodes")
"""Keys whose values hold options, in which texts such as variables of the environment may be secrets."""


def builder_args() -> BuilderArgsDict:
    """All keys of the stack's config that are in the project's namespace or one spelt much like it, known or not.

    Pulumi hands every value over as text; those that read as JSON objects, lists, numbers or booleans become that.
    """
    project = pulumi.get_project()
    args: dict[str, Any] = {}
    for key, text in {**get_config_env(), **CONFIG.get()}.items():
        namespace, _, name = key.partition(":")
        if namespace == project and text != "":
            args[name] = _value(name, text)
        elif namespace != project and name in BUILDER_KEYS and nearest(namespace, [project]):
            # `builders:nodes` would be nobody's config, and pass in silence
            args[key] = text
    return cast(BuilderArgsDict, args)


def has_secret_options() -> bool:
    """Whether the stack's config keeps options, or a part of them, as a secret."""
    project = pulumi.get_project()
    return any(is_config_secret(f"{project}:{key}") for key in _OPTION_KEYS)


def _value(key: str, text: str) -> Any:
    if key in TEXT_KEYS:
        return text
    try:
        return read_json(text)
    except ValueError:
        return text
