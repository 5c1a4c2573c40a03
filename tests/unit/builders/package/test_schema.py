"""The schema of the Pulumi package: current, complete, and with names that lead back to options."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders.args import BuilderArgs, NodeArgs, keys_of
from buildkit_builders.options.table import TABLE
from buildkit_builders.package.names import BUILDER_KEYS, NODE_KEYS, OPTION_KEYS, camel, property_path
from buildkit_builders.package.schema import render, schema

FILE = Path(__file__).resolve().parents[4] / "infra" / "plugin" / "schema.json"


def objects() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every set of properties, by where it is."""
    whole = schema()
    for name, one in whole["types"].items():
        yield name, one.get("properties", {})
    for name, one in whole["resources"].items():
        yield f"{name} inputs", one["inputProperties"]
        yield f"{name} outputs", one["properties"]


def test_the_schema_in_the_repository_is_current() -> None:
    """infra/plugin/schema.json is what `make options` would write."""
    assert FILE.read_text() == render(), "run: make options"


def test_every_option_is_a_property_with_a_description() -> None:
    """One property an option; all properties say what they are, without links that lead nowhere from an editor."""
    options = schema()["types"]["builder:index:DriverOpts"]["properties"]
    assert list(options) == [camel(row.field) for row in TABLE.rows]
    for place, properties in objects():
        for name, one in properties.items():
            assert one.get("description"), f"{place}.{name}"
            assert "](" not in one["description"], f"{place}.{name}"


def test_every_argument_of_the_components_is_an_input() -> None:
    """The fields of BuilderArgs and NodeArgs, in their order."""
    resources = schema()["resources"]
    for name, kind in (("Builder", BuilderArgs), ("BuilderNode", NodeArgs)):
        inputs = resources[f"builder:index:{name}"]["inputProperties"]
        assert list(inputs) == [camel(field) for field in keys_of(kind)]


def test_names_are_such_as_every_language_takes() -> None:
    """camelCase alone, no two the same, and each leads to one key."""
    for place, properties in objects():
        for name in properties:
            assert re.fullmatch(r"[a-z][a-zA-Z0-9]*", name), f"{place}.{name}"
    for keys in (BUILDER_KEYS, NODE_KEYS, OPTION_KEYS):
        assert len(set(keys.values())) == len(keys)
    assert len(OPTION_KEYS) == len(TABLE.rows)


def test_every_type_that_is_named_is_there_and_used() -> None:
    """No reference into the void, no type that nothing has."""
    text = json.dumps(schema())
    named = set(re.findall(r'"#/types/([^"]+)"', text))
    assert named == set(schema()["types"])


def test_values_that_are_few_are_enums() -> None:
    """With docker buildx's spelling as the value."""
    types = schema()["types"]
    assert {one["value"] for one in types["builder:index:Loadbalance"]["enum"]} >= {"sticky", "random"}
    for name, one in types.items():
        for value in one.get("enum", ()):
            assert re.fullmatch(r"[A-Z][a-zA-Z0-9]*", value["name"]), f"{name}: {value}"
    options = types["builder:index:DriverOpts"]["properties"]
    assert options["persistentVolumeClaimWhenScaled"]["$ref"].endswith(":Retention")
    assert options["buildkitdLogLevel"]["$ref"].endswith(":LogLevel")


def test_a_kubeconfig_is_secret_and_names_are_plain() -> None:
    """What decides the resources of a preview takes no Output; a kubeconfig's contents are encrypted."""
    inputs = schema()["resources"]["builder:index:Builder"]["inputProperties"]
    assert inputs["kubeconfig"]["secret"] is True
    assert {name for name, one in inputs.items() if one.get("plain")} == {"name", "context", "createNamespace"}


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("nodes[0].driver-opts.requests.cpu", "nodes[0].driverOpts.requestsCpu"),
        ("driver-opts.env.HTTP_PROXY", "driverOpts.env.HTTP_PROXY"),
        ("driver-opts.replica", "driverOpts.replica"),
        ("nodes[1].default-load", "nodes[1].defaultLoad"),
        ("nodes[1]", "nodes[1]"),
        ("clients[0].subject", "clients[0].subject"),
        ("createNamespace", "createNamespace"),
        ("driver-opts", "driverOpts"),
        ("", ""),
    ],
)
def test_a_problems_place_is_the_property_that_was_written(place: str, path: str) -> None:
    """In the names of the other language."""
    assert property_path(place) == path
