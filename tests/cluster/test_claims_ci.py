"""The jobs of examples/ci/claims-github.yaml with real claims, the local cluster, and a GitHub on the loopback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.client_builder import BIN
from tests.cluster.test_claims import ClaimsFolder
from tests.conftest import kubectl
from tests.unit.builders.review.code_hosts import CodeHost, code_host
from tests.unit.builders.review.test_comment import scripts, variables

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def host() -> Iterator[CodeHost]:
    """A code host."""
    with code_host() as found:
        yield found


@pytest.fixture
def claims(cluster: dict[str, str], tmp_path: Path) -> Iterator[ClaimsFolder]:
    """A repository of claims, whose builders and namespaces are deleted in the end."""
    folder = ClaimsFolder(tmp_path, cluster)
    yield folder
    folder.builders("destroy", "--yes", "--prune")
    names = kubectl(cluster, "get", "namespaces", "-o", "name").split()
    for name in (one for one in names if one.startswith(f"namespace/{folder.prefix}")):
        kubectl(cluster, "delete", name, "--wait=false", "--ignore-not-found")


def run_job(claims: ClaimsFolder, host: CodeHost, job: str) -> int:
    """A job's last step as a runner's shell runs it: its status."""
    environment = {**claims.environment, **variables(host, "github", claims.folder)}
    environment["KUBECONFIG_TEXT"] = Path(claims.cluster["KUBECONFIG"]).read_text()
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    script = scripts("claims-github.yaml", job)
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    return subprocess.run(command, cwd=claims.folder, env=environment, timeout=240, check=False).returncode


def test_from_a_pull_request_to_a_night_with_drift(claims: ClaimsFolder, host: CodeHost) -> None:
    """Refusals in the comment; a merge makes the builders; what is changed by hand is told at night and made good."""
    assert run_job(claims, host, "plan") == 1
    text = host.comments[5][0]["body"]
    assert "1 to change, **2 refused**" in text
    assert "` claims/green.yaml:3 ` ` green/main `" in text
    assert 'did you mean "small"?' in text
    assert "` grey/main `" in text
    assert "| ` red ` |" in text
    assert "<summary>red/main</summary>" in text
    for team in ("green", "grey"):
        (claims.folder / "claims" / f"{team}.yaml").unlink()
    assert run_job(claims, host, "apply") == 0
    namespace = f"{claims.prefix}-red"
    scaled = [namespace, "scale", kubectl(claims.cluster, "-n", namespace, "get", "deploy", "-o", "name").strip()]
    kubectl(claims.cluster, "-n", *scaled, "--replicas=2")
    assert run_job(claims, host, "nightly") == 0
    assert "1 to change" in host.issues[0]["body"]
    assert "` spec.replicas `" in host.issues[0]["body"]
    replicas = kubectl(claims.cluster, "-n", namespace, "get", "deploy", "-o", "jsonpath={..spec.replicas}")
    assert replicas == "1"
