"""How long it takes until two nodes are ready, beside docker buildx, in one run on the same cluster."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.cluster.infra_project import ROOT, PulumiProject

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.alone]


def test_up_takes_at_most_a_quarter_of_docker_buildx(cluster: dict[str, str], tmp_path: Path, namespace: str) -> None:
    """`pulumi up` of stack `local` ends, pods ready, in a quarter of the time of `create --bootstrap` twice."""
    project = PulumiProject(tmp_path / "project", cluster)
    stored = yaml.safe_load((ROOT / "localcluster" / "Pulumi.local.yaml").read_text())["config"]
    config = {key.partition(":")[2]: value for key, value in stored.items()}
    project.configure(**{**config, "namespace": f"{namespace}-ours"})
    assert project.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    try:
        started = time.monotonic()
        project.up()
        ours = time.monotonic() - started
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview")

    buildx = subprocess.run(
        [sys.executable, "-m", "localcluster", "tools", "buildx"], cwd=ROOT, capture_output=True, text=True, timeout=600
    ).stdout.strip()
    started = time.monotonic()
    for index, architecture in enumerate(("amd64", "arm64")):
        done = project.run(
            buildx, "create", *(["--append"] if index else []), "--bootstrap", "--name", "peer",
            "--driver", "kubernetes", "--node", f"peer-{architecture}", "--platform", f"linux/{architecture}",
            "--driver-opt", f"namespace={namespace},nodeselector=kubernetes.io/arch={architecture}",
        )  # fmt: skip
        assert done.status == 0, done.output
    peer = time.monotonic() - started
    print(f"two nodes ready: pulumi up {ours:.1f} s, docker buildx {peer:.1f} s, ratio {ours / peer:.2f}")
    assert ours <= peer / 4
