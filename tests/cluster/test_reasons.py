"""What the cluster says of pods that do not come is told, by `builders up`, and by a client that waits or looks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.infra_project import PulumiProject
from tests.conftest import kubectl
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "small"},
    "spec": {"hard": {"pods": "0"}},
}
LIMITS = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "small"},
    "spec": {"limits": [{"type": "Container", "max": {"cpu": "10m"}}]},
}
CASES: dict[str, tuple[dict[str, Any] | None, dict[str, str], dict[str, Any], str]] = {
    "quota": (QUOTA, {}, {}, "exceeded quota: small"),
    "limit range": (LIMITS, {}, {"requests.cpu": "1"}, "must be less than or equal to cpu limit of 10m"),
    "pod security": (None, {"pod-security.kubernetes.io/enforce": "restricted"}, {}, "violates PodSecurity"),
    "node selector": (None, {}, {"nodeselector": "no=where"}, "didn't match Pod's node affinity/selector"),
    "service account": (None, {}, {"serviceaccount": "nobody"}, 'serviceaccount "nobody" not found'),
    "image": (None, {}, {"image": "127.0.0.1:1/none:1"}, "127.0.0.1:1"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_cluster_s_reason_is_told(cluster: dict[str, str], namespace: str, tmp_path: Path, case: str) -> None:
    """A quota, a limit, a policy, a selector, an account, an image: in `up`, `ls` and `inspect --bootstrap`."""
    manifest, labels, options, reason = CASES[case]
    if manifest:
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps(manifest))
        kubectl(cluster, "-n", namespace, "apply", "-f", str(path))
    if labels:
        kubectl(cluster, "label", "namespace", namespace, *(f"{key}={value}" for key, value in labels.items()))
    project = PulumiProject(tmp_path / "project", cluster)
    seconds = round(busy(4))  # in which the cluster comes to say it
    project.configure(name="kube", namespace=namespace, **{"driver-opts": {"timeout": f"{seconds}s", **options}})
    done = project.run(sys.executable, "-m", "buildkit_builders.cli.main", "up", "--yes", "--stack", "test")
    assert done.status == 1, done.output
    assert reason in done.output.rpartition("ERROR:")[2], done.output
    output = {
        "version": 1,
        "name": "kube",
        "namespace": namespace,
        "nodes": [
            {
                "name": "kube0",
                "workload": {"kind": "Deployment", "name": "kube0"},
                "selector": {"app": "kube0"},
                "timeoutSeconds": 3,
            }
        ],
    }
    file = tmp_path / "builder.json"
    file.write_text(json.dumps(output))
    for command in (["ls"], ["inspect", "--bootstrap"]):
        shown = project.run(sys.executable, "-m", "buildclient", *command, "--builder-file", str(file))
        assert reason in shown.output, (command, shown.output)
