"""Which node a byte stream goes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from buildclient.contract.output import NodeOutput
from buildclient.contract.platform import Platform, parse_platform
from buildclient.daemon.worker import Worker
from buildclient.nodes.placement import choose_node

AMD, ARM, S390 = (parse_platform(f"linux/{name}") for name in ("amd64", "arm64", "s390x"))


class _Control:
    def __init__(self, platforms: Sequence[Platform]) -> None:
        self.platforms = tuple(platforms)
        self.closed = False

    async def workers(self, deadline: float) -> Sequence[Worker]:
        return (Worker("w", {}, self.platforms),)

    async def close(self) -> None:
        self.closed = True


class _Node:
    def __init__(self, name: str, declared: Sequence[Platform], reported: Sequence[Platform] = ()) -> None:
        self.node = NodeOutput(name, platforms=tuple(declared))
        self.control = _Control(reported)
        self.opened = False

    async def open(self, key: str, deadline: float) -> Any:
        self.opened = True
        return self.control

    async def dial(self, key: str, deadline: float) -> Any:
        raise AssertionError


@pytest.mark.parametrize(("platforms", "chosen"), [((), "a"), ((AMD,), "a"), ((ARM,), "b")])
async def test_the_node_that_declares_the_platform_is_not_asked(platforms: tuple[Platform, ...], chosen: str) -> None:
    """Without a platform it is the first node."""
    nodes: list[Any] = [_Node("a", [AMD]), _Node("b", [ARM])]
    assert (await choose_node(nodes, platforms, "key", 0)).node.name == chosen
    assert not any(node.opened for node in nodes)


async def test_a_platform_that_is_only_reported_is_found_by_asking() -> None:
    """The connections for that are closed again."""
    nodes: list[Any] = [_Node("a", [AMD], [AMD]), _Node("b", [ARM], [ARM, S390])]
    assert (await choose_node(nodes, (S390,), "key", 0)).node.name == "b"
    assert all(node.control.closed for node in nodes)
