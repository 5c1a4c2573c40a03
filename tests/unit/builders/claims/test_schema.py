"""The JSON Schemas and the page of claims follow the keys that the readers know."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from buildkit_builders.claims.docs import render
from buildkit_builders.claims.schema import FOLDER, claim_schema, platform_schema, text_of, write_schemas
from jsonschema import Draft7Validator

from tests.conftest import ROOT
from tests.unit.builders.claims.files import PLATFORM, lines, read

_MAIN = {"name": "main", "owner": "ada"}


def test_the_published_schemas_are_current(tmp_path: Path) -> None:
    """The files in the package are what the keys make of them, and what a user's copy would be."""
    write_schemas(tmp_path)
    for name, schema in (("platform", platform_schema()), ("claim", claim_schema())):
        assert (FOLDER / f"{name}.json").read_text() == text_of(schema), "make them anew: make options"
        assert (tmp_path / f"{name}.json").read_text() == text_of(schema)
        Draft7Validator.check_schema(schema)


def test_the_page_of_claims_is_current() -> None:
    """docs/claims.md is what the keys make of it."""
    assert (ROOT / "docs" / "claims.md").read_text() == render(), "make it anew: make options"


def test_the_examples_of_the_page_are_right(tmp_path: Path) -> None:
    """A team that copies the page's claim, and a platform team that copies its file, have no problem."""
    claim, platform = re.findall(r"^```yaml\n(.*?)^```", render(), re.DOTALL | re.MULTILINE)[:2]
    found = read(tmp_path, platform, payments=claim)
    assert lines(found, tmp_path) == []
    assert [one.id for one in found.claims] == ["payments/main"]
    assert _refused(claim_schema(), yaml.safe_load(claim.replace("2027-06-30", '"2027-06-30"'))) == []
    assert _refused(platform_schema(), yaml.safe_load(platform)) == []


@pytest.mark.parametrize(
    "claim",
    [
        {**_MAIN, "onwer": "x"},
        {"name": "main"},
        {**_MAIN, "size": ["small"]},
        {**_MAIN, "architectures": ["amd46"]},
        {**_MAIN, "scaling": {"max": "many"}},
        {**_MAIN, "scaling": {"most": 1}},
        {**_MAIN, "scaling": {"to-zero-after": "30"}},
        {**_MAIN, "cache": "10 gigabytes"},
        {**_MAIN, "privileged": 3},
        {**_MAIN, "labels": ["a"]},
        {**_MAIN, "name": "Main"},
        "main",
    ],
)
def test_what_an_editor_marks_in_a_claim_is_refused(claim: Any, tmp_path: Path) -> None:
    """The schema and the reader refuse the same."""
    assert _refused(claim_schema(), claim)
    assert _refused(claim_schema(), [claim])
    assert read(tmp_path, payments=[claim]).errors


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clusters", {"main": {}}),
        ("clusters", None),
        ("sizes", {"small": {"request": {}}}),
        ("sizes", {"small": {"requests": {"cpu": "1 core"}}}),
        ("limits", {"team": {"cpus": 4}}),
        ("namespaces", "builders"),
        ("policies", {"image-digests": "off"}),
        ("policies", {"image-digest": "loud"}),
        ("expiry", {"most-days": 0}),
        ("colour", "red"),
    ],
)
def test_what_an_editor_marks_in_the_platforms_file_is_refused(key: str, value: Any, tmp_path: Path) -> None:
    """The schema and the reader refuse the same."""
    platform = {name: one for name, one in {**PLATFORM, key: value}.items() if one is not None}
    assert _refused(platform_schema(), platform)
    assert read(tmp_path, platform).errors


def _refused(schema: dict[str, Any], value: Any) -> list[str]:
    return [error.message for error in Draft7Validator(schema).iter_errors(json.loads(json.dumps(value)))]
