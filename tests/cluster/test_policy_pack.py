"""The policy pack under the real Pulumi engine: a builder that breaks a guardrail is refused in its preview."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cluster.infra_project import ROOT, PulumiProject
from tests.unit.builders.claims.files import DIGEST, PLATFORM

pytestmark = pytest.mark.cluster

_PACK = str(ROOT / ".venv" / "bin" / "builders-policies")
_OPTIONS = {
    "image": f"moby/buildkit@{DIGEST}",
    "requests.cpu": "100m",
    "requests.memory": "256Mi",
    "labels": {"cost-center": "1"},
    "persistent-volume-claim.requests.storage": "2Gi",
    "buildkitd.gc.max-used-space": "1Gi",
}


def test_the_engine_refuses_what_breaks_a_policy(cluster: dict[str, str], tmp_path: Path) -> None:
    """A good builder passes; one without budget, digest, label and cache limit is refused, each policy by name."""
    project = PulumiProject(tmp_path / "project", {**cluster, "BUILDERS_PLATFORM": str(tmp_path / "platform.yaml")})
    rules = {
        **PLATFORM,
        "privileged": ["claims-*"],
        "required-labels": ["cost-center"],
        "policies": {"required-labels": "warning"},
    }
    (tmp_path / "platform.yaml").write_text(yaml.safe_dump(rules))
    assert project.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    project.configure(name="kube", namespace="claims-a", **{"driver-opts": _OPTIONS})
    good = project.pulumi("preview", "--policy-pack", _PACK)
    assert good.status == 0, good.output
    assert "[mandatory]" not in good.output
    assert "buildkit-builders" in good.output
    bad = {
        **_OPTIONS,
        "image": "moby/buildkit:v0.34.2",
        "disruption-budget.enabled": False,
        "labels": {},
        "buildkitd.gc.max-used-space": "50%",
    }
    project.configure(name="kube", namespace="other", **{"driver-opts": bad})
    refused = project.pulumi("preview", "--policy-pack", _PACK)
    assert refused.status != 0
    for name in ("image-digest", "disruption-budget", "cache-limit", "privileged"):
        assert f"[mandatory]  {name}" in refused.output, refused.output
    assert "[advisory]  required-labels" in refused.output
    assert "[mandatory]  requests" not in refused.output
