"""How many round trips to the cluster a build makes one after the other: over a link, that is what a user waits for."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.trips import Relay, counting
from tests.cluster.client_builder import HandMadeBuilder, hand_made

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

_STEPS = "FROM BASE\nCOPY . /src/\nRUN uname -m >/machine\n"
_BUILD = ("build", "--provenance=false", "--progress=plain")
_ONE = ("--platform", "linux/amd64")
_BOTH = ("--platform", "linux/amd64,linux/arm64")


class _Measured:
    """A builder behind a counter of round trips."""

    def __init__(self, builder: HandMadeBuilder, relay: Relay, kubeconfig: str) -> None:
        self._builder, self._relay, self._kubeconfig = builder, relay, kubeconfig
        self._context = builder.context("app", _STEPS, one="1\n", two="2\n")

    def within(self, most: int, *arguments: str, **environment: str) -> bool:
        """Whether a build whose like has been done before makes at most so many round trips: the least of five."""
        counts: list[int] = []
        while len(counts) < 2 or (min(counts[1:]) > most and len(counts) < 6):
            if "BUILDCLIENT_KEEP" in environment:
                # The keeper opens what the next command takes.
                time.sleep(1.5)
            counts.append(self._counted(*arguments, **environment))
        print(f"{' '.join(arguments)}: the first {counts[0]}, then {counts[1:]}")
        return min(counts[1:]) <= most

    def first(self, most: int, *arguments: str) -> bool:
        """Whether a build that knows of no other makes at most so many round trips: the least of three."""
        counts: list[int] = []
        while not counts or (min(counts) > most and len(counts) < 3):
            cache = str(self._builder.folder / f"cache-{uuid.uuid4().hex}")
            counts.append(self._counted(*arguments, XDG_CACHE_HOME=cache))
        print(f"{' '.join(arguments)}: a first one {counts}")
        return min(counts) <= most

    def _counted(self, *arguments: str, **environment: str) -> int:
        self._relay.reset()
        ran = self._builder.run(*_BUILD, *arguments, self._context, KUBECONFIG=self._kubeconfig, **environment)
        assert ran.status == 0, ran.err
        return self._relay.trips.count

    def tag(self, name: str) -> str:
        """An image's name in the registry."""
        return f"{self._builder.registry}/trips-{self._builder.namespace}-{name}:1"

    def with_limit(self) -> str:
        """A file with the builder's output, in which pods have a limit."""
        file = self._builder.folder / "limited.json"
        output = self._builder.output
        nodes = tuple(node._replace(max_parallel_builds=4) for node in output.nodes)
        file.write_text(output._replace(nodes=nodes).dumps())
        return str(file)

    @property
    def name(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self._builder.namespace}/{self._builder.name}"


@pytest.fixture(scope="module")
def measured(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Measured]:
    """Two nodes by hand; the client reaches the API server through the counter."""
    folder = tmp_path_factory.mktemp("trips")
    with hand_made(cluster, folder, "trips") as builder:
        config = Path(cluster["KUBECONFIG"]).read_text()
        server = re.search(r"https://[^\"'\s]+", config)
        assert server
        url = urlsplit(server[0])
        assert url.hostname
        assert url.port
        with counting(url.hostname, url.port, rtt=0.1) as relay:
            kubeconfig = folder / "kubeconfig"
            kubeconfig.write_text(config.replace(server[0], f"https://127.0.0.1:{relay.port}"))
            yield _Measured(builder, relay, str(kubeconfig))


def test_a_cached_rebuild(measured: _Measured) -> None:
    """With the builder's output in a file."""
    assert measured.within(6, *_ONE)


def test_a_pod_below_its_limit(measured: _Measured) -> None:
    """To find out that there is room costs none more."""
    assert measured.within(6, *_ONE, BUILDCLIENT_BUILDER=measured.with_limit())


def test_a_cached_rebuild_with_the_builder_in_the_cluster(measured: _Measured) -> None:
    """The ConfigMap has the builder's output."""
    assert measured.within(6, *_ONE, "--from-cluster", measured.name)


def test_a_cached_rebuild_by_a_client_that_remembers_nothing(measured: _Measured) -> None:
    """In a fresh CI job the connections are opened at once, and the pod is known a round trip later."""
    assert measured.within(6, *_ONE)
    assert measured.first(7, *_ONE)
    assert measured.first(8, *_ONE, "--from-cluster", measured.name)


def test_a_cached_rebuild_that_is_pushed(measured: _Measured) -> None:
    """The daemon's requests to the registry go another way."""
    assert measured.within(6, *_ONE, "-t", measured.tag("one"), "--push")


def test_two_platforms_that_are_pushed(measured: _Measured) -> None:
    """Two nodes at once take as many as one, since their versions are remembered; the push may outlast one more."""
    assert measured.within(7, *_BOTH, "-t", measured.tag("both"), "--push")


def test_a_cached_rebuild_over_kept_connections(measured: _Measured) -> None:
    """What the daemon asks; the keeper watches the pods, and reads the ConfigMap of `--from-cluster` anew."""
    assert measured.within(3, *_ONE, BUILDCLIENT_KEEP="20s", CI="")
    assert measured.within(4, *_ONE, "--from-cluster", measured.name, BUILDCLIENT_KEEP="20s", CI="")
