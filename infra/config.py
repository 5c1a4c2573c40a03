"""A stack's config `builder:…` as the component's args, just as it was given: checking is the component's work."""

from __future__ import annotations

import json
from typing import Any, cast

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from infra.args import BuilderArgs

__all__ = ["builder_args"]

_TEXTS = ("name", "namespace", "context", "kubeconfig")


def builder_args() -> BuilderArgs:
    """All keys of the stack's config that are in the project's namespace, known or not.

    Pulumi hands every value over as text; those that read as JSON objects, lists, numbers or booleans become that.
    """
    project = pulumi.get_project()
    given = {**get_config_env(), **CONFIG.get()}
    keys = {key.partition(":")[2]: value for key, value in given.items() if key.startswith(f"{project}:")}
    return cast(BuilderArgs, {key: _value(key, text) for key, text in keys.items() if text != ""})


def _value(key: str, text: str) -> Any:
    if key in _TEXTS:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
