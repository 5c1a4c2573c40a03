"""What a claim's stack registers beside the builder's own objects."""

from __future__ import annotations

from pathlib import Path

import pytest
from buildkit_builders.claims import resolve
from buildkit_builders.fleet.program import claim_program

from tests.preview.mocked import KUBECONFIG, run
from tests.unit.builders.claims.files import read


def test_a_builders_config_map_names_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Team, owner, contact and expiry are in the ConfigMap, which is read without access to the state."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG.replace('"team"', '"prod-eu"'))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    claim = {"name": "main", "owner": "ada", "contact": "#pay", "expires": "2099-06-30"}
    claims = read(tmp_path, payments=claim, search={"name": "main", "owner": "bo"})
    told = {}
    for one in claims.claims:
        registered, _ = run(claim_program(resolve(one, claims.platform)))
        maps = [found.inputs["metadata"] for found in registered if found.type.endswith(":ConfigMap")]
        # Another one has BuildKit's configuration, and no owner.
        (told[one.team],) = [metadata for metadata in maps if "annotations" in metadata]
    assert told["payments"]["annotations"] == {
        "buildkit-builders/team": "payments",
        "buildkit-builders/owner": "ada",
        "buildkit-builders/contact": "#pay",
        "buildkit-builders/expires": "2099-06-30",
    }
    assert told["search"]["annotations"] == {"buildkit-builders/team": "search", "buildkit-builders/owner": "bo"}
