"""Every option can be taken back: what an update adds, the next one removes, on a real apiserver."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders import DriverOptsArgs, NodeArgs, manifests
from buildkit_builders.args import as_mapping
from buildkit_builders.late import take
from buildkit_builders.options.autoscale import AUTOSCALE
from buildkit_builders.options.claim import CLAIM
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.rest import REST
from buildkit_builders.options.table import TABLE, OptionRow
from buildkit_builders.options.text import as_text, read_text
from buildkit_builders.spec import check_node

from tests.cluster.infra_project import PulumiProject, is_stored
from tests.needs import NEEDED

pytestmark = pytest.mark.cluster

_NO_PODS = "replicas=0", "nodeselector=example.test/none=here"
_IMMUTABLE = ("requests.storage", "storage-class", "access-mode")
_ROWS = [
    row
    for row in TABLE.rows
    if row.name not in ("namespace", *(CLAIM + name for name in _IMMUTABLE))
    and not row.name.startswith((AUTOSCALE, REST))
]
"""Another namespace or kind is another object, claims of a StatefulSet cannot change, and what scales a node is an
object beside it (test_scaling)."""


def _beside(option: str) -> list[str]:
    return [as_text(NEEDED[option])] if option in NEEDED else []


def _workload(name: str, namespace: str, *options: str) -> dict[str, Any]:
    problems = Problems()
    opts: Any = [*_NO_PODS, *options]
    node = check_node(name, {"namespace": namespace, "driver-opts": opts}, problems)
    problems.raise_any()
    return dict(manifests.node_objects(node)[-1].manifest)


def _workload_by_class(name: str, namespace: str, row: OptionRow) -> dict[str, Any]:
    """The same from args as classes, with the option's example as structured config where it has such."""
    fields: dict[str, Any] = {}
    problems = Problems()
    for option, text in read_text([*_NO_PODS, *_beside(row.name), as_text(row.sample)], problems).items():
        found = TABLE.row(option)
        assert found is not None
        value = json.loads(str(text)) if str(text).startswith(("[", "{")) else text
        fields[found.field] = {option.removeprefix(found.name): value} if found.is_family else value
    args = NodeArgs(namespace=namespace, driver_opts=DriverOptsArgs(**fields))
    node = check_node(name, take(as_mapping(args), problems).known(), problems)
    problems.raise_any()
    return dict(manifests.node_objects(node)[-1].manifest)


def _apply(environment: dict[str, str], workloads: list[dict[str, Any]], *flags: str) -> str:
    """Server-side apply by one manager, as every update of Pulumi's provider does it."""
    done = subprocess.run(
        ["kubectl", "apply", "--server-side", "--field-manager=pulumi-kubernetes-test", "-f", "-", *flags],
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": workloads}),
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _live(project: dict[str, str], namespace: str) -> dict[str, Any]:
    """What the program can set of each workload, by name; revision and time are the cluster's own."""
    done = subprocess.run(
        ["kubectl", "-n", namespace, "get", "deployments,statefulsets", "-o", "json"],
        env=project, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return _settings(json.loads(done.stdout)["items"])


def _settings(workloads: list[Any]) -> dict[str, Any]:
    found = {}
    for one in workloads:
        noted = {k: v for k, v in one["metadata"].get("annotations", {}).items() if "deployment.kubernetes" not in k}
        found[one["metadata"]["name"]] = {"spec": one["spec"], "labels": one["metadata"]["labels"], "noted": noted}
    return found


def test_every_option_is_added_by_an_update_and_removed_by_the_next(cluster: dict[str, str], namespace: str) -> None:
    """Afterwards the live workload is as one that never had the option, row by row of the option table.

    Args as classes make the same of it.
    """
    names = {row.name: f"n{number}" for number, row in enumerate(_ROWS)}
    without = [
        _workload(name, namespace, *(_beside(option) if option.startswith(CLAIM) else []))
        for option, name in names.items()
    ]
    having = []
    for row in _ROWS:
        having.append(_workload(names[row.name], namespace, as_text(row.sample), *_beside(row.name)))
    _apply(cluster, without)
    fresh = _live(cluster, namespace)
    _apply(cluster, having)
    added = _live(cluster, namespace)
    by_class = [_workload_by_class(names[row.name], namespace, row) for row in _ROWS]
    tried = json.loads(_apply(cluster, by_class, "--dry-run=server", "-o", "json"))
    assert _settings(tried["items"]) == added
    _apply(cluster, without)
    removed = _live(cluster, namespace)
    told = {"default-load", "timeout", "loadbalance", "max-parallel-builds", "cache-fallback"}
    told |= {"qemu.image", "network-policy"}
    for row, wanted in zip(_ROWS, having, strict=True):
        assert is_stored(wanted["spec"], added[names[row.name]]["spec"]), f"{row.name}: a preview would show a change"
    # objects of their own
    told |= {option for option in names if option.startswith("disruption-budget.")}
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
