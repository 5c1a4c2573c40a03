"""The reference of options and the typed args follow the table."""

from __future__ import annotations

from pathlib import Path

import yaml

from infra.args import BuilderArgs, DriverOpts, NodeArgs
from infra.options.docs import render
from infra.options.table import NAMES
from infra.spec import BUILDER_KEYS, NODE_KEYS

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_options_is_current() -> None:
    """docs/options.md is what the table makes of it."""
    again = "make it anew: python -m infra.options.docs > docs/options.md"
    assert (ROOT / "docs" / "options.md").read_text() == render(), again


def test_the_typed_args_have_the_keys_that_the_check_knows() -> None:
    """What type checkers allow and what the check accepts are the same keys."""
    assert tuple(DriverOpts.__annotations__) == NAMES
    assert set(NodeArgs.__annotations__) == set(NODE_KEYS)
    assert set(BuilderArgs.__annotations__) == set(BUILDER_KEYS)


def test_every_config_key_is_declared_and_described() -> None:
    """`pulumi config` and the docs know each key; none has a type, which would stop Pulumi at the first error."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert set(declared) == set(BUILDER_KEYS)
    page = (ROOT / "docs" / "stacks.md").read_text()
    for key, entry in declared.items():
        assert entry["description"]
        assert "type" not in entry
        assert f"`builder:{key}`" in page
