"""Every option can be taken back: what an update adds, the next one removes, on a real apiserver."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders import manifests
from buildkit_builders.options.claim import CLAIM, STORAGE
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.table import TABLE
from buildkit_builders.options.text import as_text
from buildkit_builders.spec import check_node

from tests.cluster.infra_project import PulumiProject

pytestmark = pytest.mark.cluster

_NO_PODS = "replicas=0", "nodeselector=example.test/none=here"
NEEDED = {
    "buildkit-root-volume-memory": ["rootless=true"],
    "seccomp": ["rootless=true"],
    "apparmor": ["rootless=true"],
    "volumemounts": ['"volumes=[{""name"":""certs"",""emptyDir"":{}}]"'],
    **{row.name: [f"{STORAGE}=1Gi"] for row in TABLE.rows if row.name.startswith(CLAIM) and row.name != STORAGE},
}
"""What an option needs beside it."""
_IMMUTABLE = ("requests.storage", "storage-class", "access-mode")
_ROWS = [row for row in TABLE.rows if row.name not in ("namespace", *(CLAIM + name for name in _IMMUTABLE))]
"""Another namespace or kind is another object, and claims of a StatefulSet cannot change."""


def _workload(name: str, namespace: str, *options: str) -> dict[str, Any]:
    problems = Problems()
    opts: Any = [*_NO_PODS, *options]
    node = check_node(name, {"namespace": namespace, "driver-opts": opts}, problems)
    problems.raise_any()
    return dict(manifests.node_objects(node)[-1].manifest)


def _apply(environment: dict[str, str], workloads: list[dict[str, Any]]) -> None:
    """Server-side apply by one manager, as every update of Pulumi's provider does it."""
    done = subprocess.run(
        ["kubectl", "apply", "--server-side", "--field-manager=pulumi-kubernetes-test", "-f", "-"],
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": workloads}),
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _live(project: dict[str, str], namespace: str) -> dict[str, Any]:
    """What the program can set of each workload, by name; revision and time are the cluster's own."""
    done = subprocess.run(
        ["kubectl", "-n", namespace, "get", "deployments,statefulsets", "-o", "json"],
        env=project, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = {}
    for one in json.loads(done.stdout)["items"]:
        noted = {k: v for k, v in one["metadata"].get("annotations", {}).items() if "deployment.kubernetes" not in k}
        found[one["metadata"]["name"]] = {"spec": one["spec"], "labels": one["metadata"]["labels"], "noted": noted}
    return found


def _stored(wanted: Any, live: Any) -> bool:
    """Whether the apiserver has stored every field as it was sent; it adds others."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(key in live and _stored(one, live[key]) for key, one in wanted.items())
    if isinstance(wanted, list):
        return len(wanted) == len(live) and all(map(_stored, wanted, live))
    return bool(wanted == live)


def test_every_option_is_added_by_an_update_and_removed_by_the_next(cluster: dict[str, str], namespace: str) -> None:
    """Afterwards the live workload is as one that never had the option, row by row of the option table."""
    names = {row.name: f"n{number}" for number, row in enumerate(_ROWS)}
    without = [
        _workload(name, namespace, *(NEEDED.get(option, []) if option.startswith(CLAIM) else []))
        for option, name in names.items()
    ]
    having = []
    for row in _ROWS:
        also = NEEDED.get(row.name, [])
        having.append(_workload(names[row.name], namespace, as_text(row.sample), *also))
    _apply(cluster, without)
    fresh = _live(cluster, namespace)
    _apply(cluster, having)
    added = _live(cluster, namespace)
    _apply(cluster, without)
    removed = _live(cluster, namespace)
    told = {"default-load", "timeout", "loadbalance", "qemu.image"}
    for row, wanted in zip(_ROWS, having, strict=True):
        assert _stored(wanted["spec"], added[names[row.name]]["spec"]), f"{row.name}: a preview would show a change"
    unchanged = {option for option, name in names.items() if added[name] == fresh[name]}
    assert unchanged <= told, "these alone are not in the workload"
    assert {option for option, name in names.items() if removed[name] != fresh[name]} == set()


def test_a_service_account_is_taken_back_by_the_stack(cluster: dict[str, str], tmp_path: Path, namespace: str) -> None:
    """`up` with the option, `up` without: the Deployment names no account, and a look at the cluster agrees."""
    project = PulumiProject(tmp_path / "project", cluster)
    project.run("pulumi", "stack", "init", "test", "--non-interactive")

    def accounts(options: str) -> list[str]:
        project.configure(namespace=namespace, **{"driver-opts": f"replicas=0{options}"})
        project.up()
        spec = json.loads(project.kubectl("-n", namespace, "get", "deploy", "kube0", "-o", "json"))["spec"]
        return [spec["template"]["spec"].get(key, "") for key in ("serviceAccountName", "serviceAccount")]

    try:
        assert accounts("") == ["", ""]
        assert accounts(",serviceaccount=team") == ["team", "team"]
        assert accounts("") == ["", ""]
        done = project.pulumi("preview", "--refresh", "--expect-no-changes")
        assert done.status == 0, done.output
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview")
