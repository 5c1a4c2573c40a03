"""Fixtures that tests of several areas share: the local cluster's environment and a namespace of one's own."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.engines import Engine

# How long an example takes depends on what else runs on the machine.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

ROOT = Path(__file__).resolve().parent.parent

# Commands under test inherit a signal that is ignored, as under nohup or in a script's background, and hear none.
for _signal, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _usual)


@pytest.fixture(scope="session")
def cluster() -> dict[str, str]:
    """The environment of the local cluster (started if need be): PATH, KUBECONFIG, Pulumi's variables, REGISTRY…"""
    up = subprocess.run(
        [sys.executable, "-m", "localcluster", "up"], cwd=ROOT, timeout=3000, capture_output=True, text=True
    )
    assert up.returncode == 0, up.stderr[-2000:]
    found = subprocess.run(
        [sys.executable, "-m", "localcluster", "env", "--json"],
        cwd=ROOT,
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    environment = {**os.environ, **json.loads(found.stdout)}
    # what a run that was killed has left on the node, where other tests' pods would wait in vain
    for left in (["taint", "node", "arm64", "key1-"], ["label", "node", "arm64", "label1-", "label2-"]):
        subprocess.run(["kubectl", *left], env=environment, timeout=60, capture_output=True, check=False)
    return environment


@pytest.fixture(scope="session")
def docker_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Engine]]:
    """Starts a Docker Engine at the first call; the same one for all tests that ask."""
    from tests import engines

    with contextlib.ExitStack() as stack:

        @functools.cache
        def start() -> Engine:
            net = stack.enter_context(engines.network())
            return stack.enter_context(engines.dockerd(tmp_path_factory.mktemp("docker"), net))

        yield start


@pytest.fixture
def namespace(cluster: dict[str, str]) -> Iterator[str]:
    """A Kubernetes namespace of one's own, deleted afterwards."""
    with own_namespace(cluster, "test") as name:
        yield name


@contextlib.contextmanager
def own_namespace(environment: dict[str, str], prefix: str) -> Iterator[str]:
    """A Kubernetes namespace whose name begins with a prefix, deleted afterwards."""
    name = f"{prefix}-{uuid.uuid4().hex[:8]}"
    kubectl(environment, "create", "namespace", name)
    try:
        yield name
    finally:
        kubectl(environment, "delete", "namespace", name, "--wait=false")


def kubectl(environment: dict[str, str], *arguments: str, timeout: float = 60) -> str:
    """Standard output of kubectl; fails the test with its message."""
    done = subprocess.run(
        ["kubectl", *arguments], env=environment, timeout=timeout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout
