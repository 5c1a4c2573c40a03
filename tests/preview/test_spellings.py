"""Both spellings of the args make the same objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from buildkit_builders import Builder, BuilderArgs, BuilderNode, DriverOptsArgs, NodeArgs
from buildkit_builders.options.table import TABLE, OptionRow

from tests.needs import NEEDED
from tests.preview.mocked import KUBECONFIG, run


def spelled(row: OptionRow) -> dict[str, Any]:
    """The option's example as a mapping with docker buildx's names, and what it needs beside it."""
    ((name, value),) = row.sample.items()
    own = {row.name.rstrip("."): {name.removeprefix(row.name): value}} if row.is_family else {name: value}
    return {**NEEDED.get(row.name, {}), **own}


def classes(row: OptionRow) -> DriverOptsArgs:
    """The same as a class."""
    fields = {one.name.rstrip("."): one.field for one in TABLE.rows}
    return DriverOptsArgs(**{fields[name]: value for name, value in spelled(row).items()})


def _inputs(program: Callable[[], Any]) -> list[tuple[str, str, Any]]:
    registered, _ = run(program)
    return sorted(((one.type, one.name, one.inputs) for one in registered), key=lambda one: one[:2])


@pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: row.name)
def test_each_option_makes_the_same_in_both_spellings(row: OptionRow) -> None:
    """A class in snake_case and a mapping with docker buildx's names register equal objects."""
    by_name: Any = {"kubeconfig": KUBECONFIG, "driver-opts": spelled(row)}
    by_class = BuilderArgs(kubeconfig=KUBECONFIG, driver_opts=classes(row))
    assert _inputs(lambda: Builder("kube", by_class)) == _inputs(lambda: Builder("kube", by_name))


def test_builders_and_nodes_make_the_same_in_both_spellings() -> None:
    """The keys of a builder and a node, and a class within a mapping."""
    by_name: Any = {
        "name": "other", "namespace": "a", "loadbalance": "random", "default-load": True, "context": "team",
        "kubeconfig": KUBECONFIG, "createNamespace": True, "clientServiceAccount": "ci", "clients": ["user:x"],
        "nodes": [
            {"name": "b", "platforms": "linux/arm64", "namespace": "c", "loadbalance": "sticky", "default-load": False},
            {"driver-opts": {"replicas": 2}},
        ],
    }  # fmt: skip
    first = NodeArgs(name="b", platforms="linux/arm64", namespace="c", loadbalance="sticky", default_load=False)
    second: Any = {"driver-opts": DriverOptsArgs(replicas=2)}
    by_class = BuilderArgs(
        name="other", namespace="a", loadbalance="random", default_load=True, context="team", kubeconfig=KUBECONFIG,
        create_namespace=True, client_service_account="ci", clients=["user:x"], nodes=[first, second],
    )  # fmt: skip
    made = _inputs(lambda: Builder("kube", by_name))
    assert len(made) == 16
    assert _inputs(lambda: Builder("kube", by_class)) == made
    assert _inputs(lambda: BuilderNode("x", first)) == _inputs(lambda: BuilderNode("x", by_name["nodes"][0]))


def test_a_kubeconfig_is_not_printed() -> None:
    """The contents may be credentials."""
    assert KUBECONFIG not in repr(BuilderArgs(kubeconfig=KUBECONFIG))
