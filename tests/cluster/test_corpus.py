"""docker buildx and buildclient run the same command lines on the same pods and leave the same things."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.client_builder import hand_made
from tests.cluster.corpus import ROWS
from tests.cluster.corpus.peers import Peers
from tests.cluster.corpus.row import Row
from tests.engines import Engine
from tests.unit.cli.flag_table import FLAGS

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def peers(
    cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory, docker_engine: Callable[[], Engine]
) -> Iterator[Peers]:
    """A builder of two nodes that both clients use."""
    with hand_made(cluster, tmp_path_factory.mktemp("corpus"), "corpus") as builder:
        yield Peers(builder, docker_engine)


_NOT_OF_A_BUILD = ("--builder", "--debug", "--help")
_EXPORTERS = ("image", "registry", "local", "tar", "oci", "docker", "cacheonly")
_SERVED = {
    "secrets": "--secret",
    "ssh": "--ssh",
    "a context": "CONTEXT",
    "a context from standard input": "-",
    "a cache or layout": r"type=local,(dest|src)|oci-layout://|tar=false",
    "credentials of a registry": "registry",
}


def test_each_flag_exporter_and_session_service_has_two_rows() -> None:
    """The corpus shows nothing of what it does not use."""
    lines = [" ".join(row.argv) for row in ROWS]
    assert len(ROWS) >= 80
    few = []
    for flag, held in FLAGS.items():
        short = rf"|(^| ){held.short}\S*" if held.short else ""
        few += [flag] * (flag not in _NOT_OF_A_BUILD and _count(rf"(^| ){flag}(=| |$){short}", lines) < 2)
    few += [
        kind for kind in _EXPORTERS if _count(rf"type={kind}\b" if kind != "local" else "-o OUT|type=local", lines) < 2
    ]
    few += [name for name, pattern in _SERVED.items() if _count(pattern, lines) < 2]
    assert not few


def _count(pattern: str, lines: list[str]) -> int:
    return sum(bool(re.search(pattern, line)) for line in lines)


def test_every_row_has_a_name_of_its_own() -> None:
    """No row hides another."""
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_both_clients_leave_the_same(peers: Peers, row: Row) -> None:
    """Exit status, standard output, a failure's last line, files, image and metadata are docker buildx's."""
    (theirs, left_by_buildx), (ours, left_by_us) = peers.run(row).values()
    assert bool(theirs.status) == row.fails, theirs.err[-3000:]
    assert "Traceback" not in ours.err
    told = f"buildx:\n{theirs.err[-2000:]}\n\nours:\n{ours.err[-2000:]}"
    assert flat(left_by_us._asdict()) == flat(left_by_buildx._asdict()), told


def flat(value: Any, at: str = "") -> dict[str, Any]:
    """A nested value as one mapping, so that a failure shows what differs and nothing else."""
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(inner, dict):
        return {at: value}
    return {path: one for key, below in inner.items() for path, one in flat(below, f"{at}/{key}").items()}
