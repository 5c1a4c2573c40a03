"""Connections that are kept for the next command, on the real cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.client_builder import HandMadeBuilder, hand_made
from tests.cluster.kept import Kept, until, user_of
from tests.load import busy

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """Two nodes by hand."""
    with hand_made(cluster, tmp_path_factory.mktemp("k"), "trips") as one:
        yield one


@pytest.fixture
def kept(builder: HandMadeBuilder) -> Iterator[Kept]:
    """A user with no keeper yet."""
    with user_of(builder) as one:
        yield one


def test_the_next_command_finds_the_connections(kept: Kept) -> None:
    """Whoever asks for none, by the variable or in CI, has none."""
    assert not kept.build(keep="")
    assert kept.keepers == 0
    assert not kept.build()
    kept.settled(1)
    assert kept.build()
    assert kept.build("--from-cluster", f"{kept.builder.namespace}/{kept.builder.name}")
    assert not kept.build(keep="")


def test_they_are_kept_as_long_as_was_asked_for(kept: Kept) -> None:
    """And a build that takes longer than that keeps them while it runs."""
    short = f"{round(busy(2))}s"
    assert not kept.build("--keep", short, keep="")
    kept.settled(1)
    kept.settled(0)
    assert not kept.build(keep=short)


def test_another_kubeconfig_ends_them(kept: Kept) -> None:
    """Also if only its time has changed."""
    assert not kept.build()
    kept.settled(1)
    kept.config.touch()
    kept.settled(0)
    assert not kept.build()


def test_a_pod_that_is_replaced_is_no_obstacle(kept: Kept) -> None:
    """The next command builds on the new one, and one that follows finds its connections kept."""
    assert not kept.build()
    kept.settled(1)
    kept.builder.kubectl("delete", "pod", "-l", "app=builder-amd64", "--wait=true")
    kept.builder.kubectl("rollout", "status", "deployment/builder-amd64", "--timeout=60s", timeout=70)
    # A keeper that is about to end with the old pod may take part in the first: then the next begins another.
    until(kept.build)


def test_stop_ends_them(kept: Kept) -> None:
    """With the pods."""
    assert not kept.build()
    kept.settled(1)
    ran = kept.builder.run("stop", "--node", "builder-amd64", KUBECONFIG=str(kept.config))
    assert ran.status == 0, ran.err
    kept.settled(0)
