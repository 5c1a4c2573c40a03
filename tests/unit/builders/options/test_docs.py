"""The reference of options and the typed args follow the table."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import ForwardRef

import pytest
import yaml
from buildkit_builders.args import (
    BuilderArgs,
    BuilderArgsDict,
    DriverOptsArgs,
    DriverOptsArgsDict,
    NodeArgs,
    NodeArgsDict,
    snake_case,
)
from buildkit_builders.options.docs import render
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.table import TABLE
from buildkit_builders.options.typed import render as render_typed
from buildkit_builders.spec import BUILDER_KEYS, NODE_KEYS, check_builder

from tests.conftest import ROOT


def test_the_page_of_options_is_current() -> None:
    """docs/options.md is what the table makes of it."""
    assert (ROOT / "docs" / "options.md").read_text() == render(), "make it anew: make options"


def test_the_typed_options_are_current() -> None:
    """The module with the classes of options is what the table makes of it."""
    module = ROOT / "infra" / "buildkit_builders" / "driveropts.py"
    assert module.read_text() == render_typed(), "make it anew: make options"


def test_the_typed_args_have_the_keys_that_the_check_knows() -> None:
    """What type checkers allow and what the check accepts are the same keys."""
    assert tuple(DriverOptsArgsDict.__annotations__) == tuple(name.removesuffix(".*") for name in TABLE.names)
    assert {"namespace", "loadbalance", "default-load"} == {key for key in NODE_KEYS if TABLE.row(key)}
    assert set(NODE_KEYS) == set(NodeArgsDict.__annotations__)
    assert set(BUILDER_KEYS) == set(BuilderArgsDict.__annotations__)


@pytest.mark.parametrize(
    ("kind", "spelled"),
    [(BuilderArgs, BuilderArgsDict), (NodeArgs, NodeArgsDict), (DriverOptsArgs, DriverOptsArgsDict)],
)
def test_the_classes_have_the_fields_of_the_mappings(kind: type, spelled: type) -> None:
    """Each key of the mapping is a field in snake_case of the same type, or None, and has a docstring."""
    optional = {
        snake_case(key): str(one.__forward_arg__ if isinstance(one, ForwardRef) else one.__name__)
        for key, one in spelled.__annotations__.items()
    }
    assert {name: f"{one} | None" for name, one in optional.items()} == kind.__annotations__
    assert inspect.getsource(kind).count('    """') > len(optional)


@pytest.mark.parametrize("page", ["driver-walkthrough", "stacks", "options", "buildkitd", "access", "scaling"])
def test_every_config_on_a_page_is_right(page: str) -> None:
    """What is copied from the docs passes the check."""
    blocks = re.findall(
        r"^( *)```yaml\n(.*?)^\1```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE
    )
    configs = [yaml.safe_load(textwrap.dedent(text))["config"] for _, text in blocks]
    assert bool(configs) == (page != "stacks")
    for config in configs:
        problems = Problems()
        check_builder(
            {"name": "kube", **{key.removeprefix("builder:"): v for key, v in config.items()}}, "default", problems
        )
        assert not problems.found


def test_every_example_of_the_drivers_page_has_its_option_on_ours() -> None:
    """The option texts of the Kubernetes driver's page stand in the walk through it."""
    page = (ROOT / "docs" / "driver-walkthrough.md").read_text()
    for text in (
        "namespace=buildkit,replicas=4", "kubernetes.io/arch=arm64", "key=foo,value=bar;key=foo2,operator=exists",
        '"nodeselector=label1=value1,label2=value2","tolerations=key=key1,value=value1"',
        "namespace=buildkit,qemu.install=true", "builder-amd64", "builder-arm64", "--append", "rootless=true",
        "kubectl create namespace buildkit", "get deployments", "get pods", "--platform=linux/amd64,linux/arm64",
    ):  # fmt: skip
        assert text in page


def test_every_config_key_is_declared_and_described() -> None:
    """`pulumi config` and the docs know each key; none has a type, which would stop Pulumi at the first error."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert set(declared) == set(BUILDER_KEYS)
    page = (ROOT / "docs" / "stacks.md").read_text()
    for key, entry in declared.items():
        assert entry["description"]
        assert "type" not in entry
        assert f"`builder:{key}`" in page
