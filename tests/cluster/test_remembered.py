"""What is remembered of a container from one build to the next, on the real cluster."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.cluster.client_builder import HandMadeBuilder, hand_made
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_REMEMBERED = re.compile(r"nodes: builder-(\w+): BuildKit v\S+, as its container said before")


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """Two nodes by hand."""
    with hand_made(cluster, tmp_path_factory.mktemp("remembered"), "remembered") as one:
        yield one


def _remembered(builder: HandMadeBuilder) -> list[str]:
    """Builds one image on both nodes; returns of which the version was remembered."""
    context = builder.context("app", "FROM BASE\n")
    tag = f"{builder.registry}/remembered-{builder.namespace}:1"
    platforms = "linux/amd64,linux/arm64"
    ran = builder.run("-D", "build", "--progress=plain", "--platform", platforms, "-t", tag, "--push", context)
    assert ran.status == 0, ran.err
    return sorted(_REMEMBERED.findall(ran.err))


def _container(builder: HandMadeBuilder) -> str:
    """The id of the first node's container, once it is ready."""
    path = "jsonpath={.items[*].status.containerStatuses[?(@.ready)].containerID}"
    return builder.kubectl("get", "pods", "-l", "app=builder-amd64", "-o", path).strip()


def test_a_container_that_was_restarted_is_asked_for_its_version(builder: HandMadeBuilder) -> None:
    """The pod is the same, and its image may be another."""
    assert _remembered(builder) == []
    assert _remembered(builder) == ["amd64", "arm64"]
    before, pods = _container(builder), builder.pods()
    builder.kubectl("exec", "deploy/builder-amd64", "--", "kill", "1")
    deadline = time.monotonic() + busy(60)
    while _container(builder) in ("", before):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert builder.pods() == pods
    assert _remembered(builder) == ["arm64"]
    assert _remembered(builder) == ["amd64", "arm64"]
