"""What the manifests say is what a real apiserver takes and stores."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from buildkit_builders import manifests
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.quantity import parse_quantity
from buildkit_builders.options.table import TABLE
from buildkit_builders.options.text import as_text
from buildkit_builders.spec import BuilderSpec, check_builder

from buildclient.contract.output import Cluster
from tests.cluster.infra_project import ROOT, PulumiProject
from tests.needs import NEEDED

pytestmark = pytest.mark.cluster
NAMESPACE = "default"  # there always; nothing is made in it


def _spec(**config: Any) -> BuilderSpec:
    problems = Problems()
    found = check_builder({"name": "kube", "namespace": NAMESPACE, **config}, "default", problems)
    problems.raise_any()
    return found


def _dry_run(environment: dict[str, str], *objects: dict[str, Any]) -> list[dict[str, Any]]:
    """What the apiserver would store. Fails the test with its words if it refuses."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    done = subprocess.run(
        ["kubectl", "apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-"],
        input=json.dumps(listed), env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return list(found["items"]) if found["kind"] == "List" else [found]


def _holds(stored: Any, wanted: Any, where: str = "") -> None:
    """Everything wanted is stored as it was wanted; the apiserver may add to it."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            assert key in stored, f"{where}.{key}"
            _holds(stored[key], value, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(stored) == len(wanted), where
        for index, value in enumerate(wanted):
            _holds(stored[index], value, f"{where}[{index}]")
    else:
        assert stored == wanted, where


@pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: row.name)
def test_each_option_is_stored_as_it_is_written(row: Any, cluster: dict[str, str]) -> None:
    """No option's field is unknown to the apiserver, refused by it or changed: a second update has nothing to do."""
    text = as_text({"namespace": NAMESPACE} if row.name == "namespace" else {**NEEDED.get(row.name, {}), **row.sample})
    (node,) = _spec(**{"driver-opts": text}).nodes
    # The tests' cluster has no cert-manager.
    wanted = [child.manifest for child in manifests.node_objects(node) if child.manifest["kind"] != "Certificate"]
    for stored, one in zip(_dry_run(cluster, *wanted), wanted, strict=True):
        _holds(stored, one)


def test_access_and_output_are_stored_as_they_are_written(cluster: dict[str, str]) -> None:
    """Roles, bindings, ServiceAccount and ConfigMap come back unchanged."""
    spec = _spec(clientServiceAccount="ci")
    children = [*manifests.client_access(spec), manifests.output_config_map(spec.output(Cluster("", "https://x")))]
    wanted = [child.manifest for child in children]
    for stored, one in zip(_dry_run(cluster, *wanted), wanted, strict=True):
        _holds(stored, one)


def test_quantities_are_canonical_as_the_apiserver_has_it(cluster: dict[str, str]) -> None:
    """Every text of the table of quantities is stored as our canonical form of it."""
    from tests.unit.builders.options.test_quantity import CANONICAL

    texts = list(CANONICAL)
    containers = [
        {"name": f"c{n}", "image": "x", "resources": {"limits": {"memory": text}}} for n, text in enumerate(texts)
    ]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": NAMESPACE}}
    (stored,) = _dry_run(cluster, {**pod, "spec": {"containers": containers}})
    found = {t: c["resources"]["limits"]["memory"] for t, c in zip(texts, stored["spec"]["containers"], strict=True)}
    assert found == {text: parse_quantity(text).text for text in texts}


@pytest.mark.parametrize(("stack", "created"), [("local", 11), ("dev", 7), ("staging", 10), ("prod", 16)])
def test_the_worked_examples_preview_cleanly(
    stack: str, created: int, cluster: dict[str, str], tmp_path: Path, namespace: str
) -> None:
    """`builders preview` of each stack as it stands, but for the namespace: nothing is refused, nothing is made."""
    project = PulumiProject(tmp_path / "project", cluster)
    # without the salt that Pulumi adds to a stack that was used
    folder = ROOT / ("localcluster" if stack == "local" else "stacks")
    stored = yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text())["config"]
    text = yaml.safe_dump({"config": stored})
    wanted = f"{namespace}-own" if stack == "local" else namespace  # that stack makes it itself
    text = re.sub(r"(namespace[:=] ?)buildkit\b", rf"\g<1>{wanted}", text)
    assert wanted in text
    (project.folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(text)
    before = project.objects(namespace)
    done = project.run(str(ROOT / ".venv" / "bin" / "builders"), "preview", "--stack", stack)
    assert done.status == 0, done.output
    assert "error" not in done.output.lower(), done.output
    assert done.output.count("would create ") == created
    assert project.objects(namespace) == before
    assert project.run("kubectl", "get", "namespace", f"{namespace}-own").status != 0
