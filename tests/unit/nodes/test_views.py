"""What `ls` and `inspect` show: tables and JSON."""

from __future__ import annotations

import json

import pytest

from buildclient.contract.output import BuilderOutput
from buildclient.contract.platform import parse_platform
from buildclient.daemon.worker import Worker
from buildclient.kube.pod import Pod
from buildclient.kube.reasons import STOPPED
from buildclient.nodes.views import BuilderView, NodeView, PodView, inspect_lines, ls_lines, status_of, to_json

OUTPUT = BuilderOutput.loads(
    json.dumps(
        {
            "version": 1,
            "name": "kube",
            "namespace": "buildkit",
            "loadbalance": "sticky",
            "defaultLoad": False,
            "kubernetes": {"context": "c", "server": "https://s"},
            "nodes": [
                {
                    "name": "amd",
                    "namespace": "buildkit",
                    "loadbalance": "sticky",
                    "platforms": ["linux/amd64"],
                    "workload": {"kind": "Deployment", "name": "amd"},
                    "selector": {"app": "amd"},
                    "container": "buildkitd",
                    "replicas": 2,
                    "timeoutSeconds": 120,
                    "rootless": False,
                }
            ],
        }
    )
)
WORKER = Worker(
    "w",
    {"label": "x"},
    tuple(map(parse_platform, ("linux/amd64", "linux/amd64/v2", "linux/386", "linux/arm64", "linux/s390x"))),
    "v0.34.2",
    ({"all": True, "reservedSpace": 10_000_000_000, "keepDuration": 172_800_000_000_000},),
)
READY = PodView(Pod("amd-1", "buildkit", True, False, kubernetes_node="n1"), (WORKER,))
PENDING = PodView(Pod("amd-2", "buildkit", False, False, "Pending", reason="0/2 nodes are available"))
GOING = PodView(Pod("amd-3", "buildkit", False, True, "Failed", reason="Error: exit code 1"))
VIEW = BuilderView(OUTPUT, "c", (NodeView(OUTPUT.nodes[0], (READY, PENDING)),))


def test_ls_shows_what_docker_buildx_ls_shows_and_the_pods() -> None:
    """Names, endpoint, status, version, platforms with a star where declared; ready pods and where they run."""
    header, builder, node, *rest = ls_lines([VIEW])
    assert header.split() == ["NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "PLATFORMS", "PODS"]
    assert builder.split() == ["kube", "kubernetes"]
    assert node.lstrip().startswith(r"\_ amd")
    for cell in ("kubernetes:///buildkit?deployment=amd", "running", "v0.34.2", "linux/amd64*", "1/2 ready on n1"):
        assert cell in node
    assert "(+1)" in node
    assert any("amd-2: 0/2 nodes are available" in line for line in rest)


def test_ls_names_a_few_of_many_machines() -> None:
    """The line of a node stays a line."""
    pods = tuple(PodView(Pod(f"p{n}", "ns", True, False, kubernetes_node=f"n{n}"), (WORKER,)) for n in range(9))
    _, _, node = ls_lines([VIEW._replace(nodes=(NodeView(OUTPUT.nodes[0], pods),))])
    assert node.endswith("9/2 ready on n0, n1, n2, (+6)")


def test_inspect_shows_each_pod_and_what_buildkit_reports() -> None:
    """Pods with state and Kubernetes node, the daemon's platforms, labels and policy."""
    text = "\n".join(inspect_lines(VIEW))
    for part in (
        "Driver:       kubernetes",
        'Driver Options: loadbalance="sticky" namespace="buildkit" replicas="2" timeout="120s"',
        "Platforms:      linux/amd64*",
        "amd-1",
        "Kubernetes node: n1",
        "linux/s390x",
        "Reserved Space: 9.313GiB",
        "Keep Duration:  48h0m0s",
        "0/2 nodes are available",
    ):
        assert part in text


def test_json_is_for_programs() -> None:
    """The same facts, readable back."""
    value = json.loads(json.dumps(to_json(VIEW)))
    assert value["nodes"][0]["status"] == "running"
    assert value["nodes"][0]["pods"][0]["workers"][0]["buildkit"] == "v0.34.2"
    assert value["nodes"][0]["pods"][1]["ready"] is False


@pytest.mark.parametrize(
    ("view", "status"),
    [
        (NodeView(OUTPUT.nodes[0]), "inactive"),
        (NodeView(OUTPUT.nodes[0]._replace(min_replicas=0), (), STOPPED), "at rest"),
        (NodeView(OUTPUT.nodes[0]._replace(min_replicas=0), (), "quota exceeded"), "error"),
        (NodeView(OUTPUT.nodes[0], (), "no way"), "error"),
        (NodeView(OUTPUT.nodes[0], (PENDING,)), "starting"),
        (NodeView(OUTPUT.nodes[0], (GOING,)), "inactive"),
        (NodeView(OUTPUT.nodes[0]._replace(min_replicas=0), (GOING,)), "at rest"),
        (NodeView(OUTPUT.nodes[0], (READY, PENDING)), "running"),
    ],
)
def test_a_node_s_status_follows_its_pods(view: NodeView, status: str) -> None:
    """One word for each."""
    assert status_of(view) == status


@pytest.mark.parametrize("last", [(), (GOING,)])
def test_a_node_at_rest_is_no_problem(last: tuple[PodView, ...]) -> None:
    """It has no line below the table, nor have its last pods; the bounds of its pods are shown."""
    node = OUTPUT.nodes[0]._replace(min_replicas=0, max_replicas=4)
    view = BuilderView(OUTPUT._replace(nodes=(node,)), nodes=(NodeView(node, last, STOPPED),))
    lines = ls_lines([view])
    assert "at rest" in lines[-1]
    assert lines[-1].endswith("0/0-4 ready")
