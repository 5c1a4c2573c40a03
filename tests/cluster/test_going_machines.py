"""Machines that are cordoned or under pressure, for a client that may list them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.cluster.client_builder import HandMadeBuilder, hand_made
from tests.load import busy

# Other tests' pods could not start meanwhile.
pytestmark = [pytest.mark.cluster, pytest.mark.faults]

_MACHINES = ("amd64", "arm64")


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """One node with two pods, each on a machine of its own."""
    with hand_made(cluster, tmp_path_factory.mktemp("going"), "going") as made:
        made.kubectl("label", "pods", "--all", "going=one")
        output = json.loads(made.output.dumps())
        output["nodes"] = [{**output["nodes"][0], "selector": {"going": "one"}, "platforms": []}]
        made.file.write_text(json.dumps(output))
        yield made


def _machine(builder: HandMadeBuilder, **environment: str) -> str:
    """The machine that a build of one key runs on."""
    context = builder.context("small", "FROM BASE\n")
    done = builder.run("build", "--progress=plain", "--routing-key=one", context, timeout=120, **environment)
    assert done.status == 0, done.err
    found = re.search(r"; on builder-(\w+)-", done.err)
    assert found, done.err
    return found[1]


def _with_machines(builder: HandMadeBuilder) -> str:
    return _machine(builder, BUILDCLIENT_READ_NODES="1")


def test_a_cordoned_machine_gets_no_new_build_of_a_client_that_may_list_machines(builder: HandMadeBuilder) -> None:
    """The key's pod is used again as soon as its machine is; where all are cordoned, as if none were."""
    usual = _machine(builder)
    other = next(name for name in _MACHINES if name != usual)
    try:
        builder.kubectl("cordon", usual)
        assert _machine(builder) == usual
        assert _with_machines(builder) == other
        builder.kubectl("cordon", other)
        assert _with_machines(builder) == usual
    finally:
        builder.kubectl("uncordon", *_MACHINES)
    assert _with_machines(builder) == usual


def test_a_machine_under_pressure_gets_no_new_build(builder: HandMadeBuilder) -> None:
    """By the condition that a kubelet reports; here it is set by hand."""
    usual = _machine(builder)
    other = next(name for name in _MACHINES if name != usual)
    pressure = {"type": "DiskPressure", "status": "True", "reason": "Test"}
    patch = json.dumps({"status": {"conditions": [pressure]}})
    end = time.monotonic() + busy(30)
    while True:
        # The kubelet writes its own finding within seconds.
        builder.kubectl("patch", "node", usual, "--subresource=status", "--type=strategic", "-p", patch)
        found = _with_machines(builder)
        if found == other:
            break
        assert time.monotonic() < end, found
    relieved = json.dumps({"status": {"conditions": [{**pressure, "status": "False"}]}})
    builder.kubectl("patch", "node", usual, "--subresource=status", "--type=strategic", "-p", relieved)
    assert _with_machines(builder) == usual


def test_a_client_that_may_not_list_machines_builds_all_the_same(builder: HandMadeBuilder) -> None:
    """Its command says so with -D alone."""
    context = builder.context("small", "FROM BASE\n")
    builder.kubectl("create", "serviceaccount", "plain")
    builder.kubectl("create", "role", "plain", "--verb=get,list,watch,create", "--resource=pods,pods/exec")
    builder.kubectl("create", "rolebinding", "plain", "--role=plain", f"--serviceaccount={builder.namespace}:plain")
    token = builder.kubectl("create", "token", "plain").strip()
    config = builder.folder / "plain.kubeconfig"
    config.write_text(builder.kubectl("config", "view", "--raw", "--flatten"))
    subprocess.run(
        ["kubectl", "--kubeconfig", config, "config", "set-credentials", "plain", f"--token={token}"],
        env=builder.environment, check=True, timeout=30, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        ["kubectl", "--kubeconfig", config, "config", "set-context", "--current", "--user=plain"],
        env=builder.environment, check=True, timeout=30, capture_output=True,
    )  # fmt: skip
    environment = {"KUBECONFIG": str(config), "BUILDCLIENT_READ_NODES": "1"}
    done = builder.run("-D", "build", "--progress=plain", context, timeout=120, **environment)
    assert done.status == 0, done.err
    assert "the nodes are not read: " in done.err
    quiet = builder.run("build", "--progress=plain", context, timeout=120, **environment)
    assert quiet.status == 0, quiet.err
    assert "nodes are not read" not in quiet.err
