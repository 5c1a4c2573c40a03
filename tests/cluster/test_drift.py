"""What people change by hand in a cluster: `builders drift` shows each, and one `builders up` makes it good."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster.infra_project import ROOT, PulumiProject

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

BUILDERS = str(ROOT / ".venv" / "bin" / "builders")
OPTIONS: dict[str, Any] = {
    "requests.cpu": "20m",
    "labels": "team=a",
    "annotations": "note=ours",
    "nodeselector": "kubernetes.io/os=linux",
    "tolerations": "key=builds,operator=Exists",
    "env.ONE": "1",
    "buildkitd.flags": ["--debug"],
}
REPLICAS = "spec.replicas"
CONTAINER = "spec.template.spec.containers[buildkitd]"


class Hand(NamedTuple):
    """A change by hand, and the line of the drift that it gives."""

    name: str
    command: tuple[str, ...]
    object: str
    path: str
    manager: str = ""
    change: str = "changed"


def _patch(kind: str, name: str, patch: Any, how: str = "json") -> tuple[str, ...]:
    return ("patch", kind, name, "--type", how, "-p", json.dumps(patch))


HANDS = (
    Hand("scale", ("scale", "deploy/a", "--replicas=2"), "Deployment a", REPLICAS, "kubectl"),
    Hand(
        "image",
        ("set", "image", "deploy/a", "buildkitd=moby/buildkit:x"),
        "Deployment a",
        f"{CONTAINER}.image",
        "kubectl-set",
    ),
    Hand("env", ("set", "env", "deploy/a", "TWO=2"), "Deployment a", f"{CONTAINER}.env[TWO]", "kubectl-set", "added"),
    Hand(
        "resources",
        ("set", "resources", "deploy/a", "--requests=cpu=30m"),
        "Deployment a",
        f"{CONTAINER}.resources.requests.cpu",
        "kubectl-set",
    ),
    Hand(
        "args",
        _patch("deploy", "a", [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--trace"}]),
        "Deployment a",
        f"{CONTAINER}.args",
        "kubectl-patch",
    ),
    Hand("label removed", ("label", "deploy/a", "team-"), "Deployment a", "metadata.labels.team", "", "removed"),
    Hand(
        "annotation",
        ("annotate", "--overwrite", "sts/b", "note=theirs"),
        "StatefulSet b",
        "metadata.annotations.note",
        "kubectl-annotate",
    ),
    Hand(
        "label added",
        ("label", "sts/b", "hand=made"),
        "StatefulSet b",
        "metadata.labels.hand",
        "kubectl-label",
        "added",
    ),
    Hand(
        "node selector",
        _patch("sts", "b", {"spec": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}}, "merge"),
        "StatefulSet b",
        "spec.template.spec.nodeSelector.disk",
        "kubectl-patch",
        "added",
    ),
    Hand(
        "toleration",
        _patch("sts", "b", {"spec": {"template": {"spec": {"tolerations": None}}}}, "merge"),
        "StatefulSet b",
        "spec.template.spec.tolerations",
        "",
        "removed",
    ),
    Hand(
        "retention",
        _patch("sts", "b", {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}}, "merge"),
        "StatefulSet b",
        "spec.persistentVolumeClaimRetentionPolicy.whenScaled",
        "kubectl-patch",
    ),
    Hand(
        "output",
        _patch("cm", "kube-builder", {"data": {"more": "x"}}, "merge"),
        "ConfigMap kube-builder",
        "data.more",
        "kubectl-patch",
        "added",
    ),
    Hand(
        "role",
        _patch("role", "kube-client", [{"op": "add", "path": "/rules/0/verbs/-", "value": "delete"}]),
        "Role kube-client",
        "rules[0].verbs",
        "kubectl-patch",
    ),
    Hand(
        "namespace label",
        ("label", "ns", "{namespace}", "pod-security.kubernetes.io/enforce-"),
        "Namespace {namespace}",
        'metadata.labels["pod-security.kubernetes.io/enforce"]',
        "",
        "removed",
    ),
    Hand("binding", ("delete", "rolebinding", "kube-client"), "RoleBinding kube-client", "", "", "deleted"),
    Hand("account", ("delete", "sa", "ci"), "ServiceAccount ci", "", "", "deleted"),
    Hand("workload", ("delete", "deploy", "c"), "Deployment c", "", "", "deleted"),
)


class Running:
    """A stack with a builder of four nodes, in a namespace that it made."""

    def __init__(self, folder: Path, cluster: dict[str, str]) -> None:
        self.project = PulumiProject(folder, cluster)
        self.namespace = f"drift-{uuid.uuid4().hex[:6]}"
        claim = {"persistent-volume-claim.requests.storage": "64Mi", "persistent-volume-claim.when-scaled": "Retain"}
        self.project.configure(
            namespace=self.namespace,
            createNamespace=True,
            clientServiceAccount="ci",
            nodes=[
                {"name": "a", "driver-opts": {**OPTIONS, "buildkitd.log-format": "json"}},
                {"name": "b", "driver-opts": {**OPTIONS, **claim, "replicas": 0}},
                {"name": "c", "driver-opts": {"replicas": 0}},
                {"name": "d", "driver-opts": {"replicas": 0}},
            ],
        )

    def builders(self, *arguments: str) -> tuple[int, str]:
        """Status and output of `builders … --stack test`."""
        done = self.project.run(BUILDERS, *arguments, "--stack", "test")
        return done.status, done.output

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints, in the stack's namespace."""
        return self.project.kubectl("-n", self.namespace, *arguments)

    def drift(self) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, Any]]:
        """The drift by object and path, and all that is told."""
        done = self.project.run("sh", "-c", f"{BUILDERS} drift --stack test -o json 2>/dev/null")
        told = json.loads(done.output)
        assert done.status == (3 if told["fields"] else 0)
        return {(f"{f['object']['kind']} {f['object']['name']}", f["path"]): f for f in told["fields"]}, told

    def named(self, text: str) -> str:
        """A text with the namespace in its place."""
        return text.replace("{namespace}", self.namespace)

    def make(self, hands: tuple[Hand, ...]) -> None:
        """Do as people do, all at once."""
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(lambda hand: self.kubectl(*(self.named(word) for word in hand.command)), hands):
                pass

    def autoscale(self, node: str, replicas: int) -> None:
        """Have an autoscaler, which cannot measure anything here, set the replicas of a node."""
        self.kubectl("autoscale", f"deploy/{node}", "--min=1", "--max=3", "--cpu=80%")
        patch = ("--subresource=scale", "--type=merge", "-p", json.dumps({"spec": {"replicas": replicas}}))
        self.kubectl("patch", f"deploy/{node}", *patch, "--field-manager=kube-controller-manager")

    def replicas(self, node: str) -> int:
        """How many replicas a node is to have."""
        return int(self.kubectl("get", f"deploy/{node}", "-o", "jsonpath={.spec.replicas}"))

    def specs(self) -> Any:
        """All that the stack declares, without what the API server notes."""
        kinds = "deploy,sts,cm,role,rolebinding,sa"
        listed = json.loads(self.kubectl("get", kinds, "-o", "json"))["items"]
        listed.append(json.loads(self.project.kubectl("get", "namespace", self.namespace, "-o", "json")))
        noted = ("creationTimestamp", "generation", "resourceVersion", "uid", "managedFields")
        for one in listed:
            del one["metadata"][noted[0]]
            one.pop("status", None)
            one["metadata"] = {key: value for key, value in one["metadata"].items() if key not in noted}
            one["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
        return {(one["kind"], one["metadata"]["name"]): one for one in listed}


@pytest.fixture(scope="module")
def running(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The stack, up."""
    found = Running(tmp_path_factory.mktemp("drift") / "project", cluster)
    try:
        status, said = found.builders("up", "--yes", "--create")
        assert status == 0, said
        yield found
    finally:
        found.builders("destroy", "--yes", "--remove")
        found.project.run("kubectl", "delete", "namespace", found.namespace, "--ignore-not-found", "--wait=false")


def _expect(running: Running, found: dict[tuple[str, str], dict[str, Any]], hands: tuple[Hand, ...]) -> None:
    assert set(found) == {(running.named(hand.object), hand.path) for hand in hands}
    for hand in hands:
        field = found[running.named(hand.object), hand.path]
        assert (hand.name, field["change"], field["manager"]) == (hand.name, hand.change, hand.manager)
        assert bool(field["since"]) == (bool(hand.manager) and hand.name != "scale"), hand.name


def test_many_changes_by_hand_are_seen_and_made_good_by_one_update(running: Running) -> None:
    """Each is a field with who and when; after one `up` all is as before, and an autoscaler's replicas are its own."""
    assert running.drift()[0] == {}
    running.autoscale("d", 1)
    before = running.specs()
    running.make(HANDS)
    found, told = running.drift()
    _expect(running, found, HANDS)
    assert [(f["object"]["name"], f["path"], f["ours"], f["there"]) for f in told["others"]] == [("d", REPLICAS, 0, 1)]
    status, said = running.builders("up", "--yes")
    assert status == 0, said
    assert "d: an autoscaler sets its replicas, and they are left to it" in said
    assert running.specs() == before
    status, said = running.builders("preview", "--expect-no-changes")
    assert status == 0, said


@pytest.mark.faults
@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: hand.name)
def test_a_change_by_hand_is_seen_and_made_good(running: Running, hand: Hand) -> None:
    """As above, one at a time."""
    before = running.specs()
    running.make((hand,))
    _expect(running, running.drift()[0], (hand,))
    status, said = running.builders("up", "--yes")
    assert status == 0, said
    assert running.specs() == before
    assert running.drift()[1] == {"version": 1, "stack": "test", "steps": [], "fields": [], "others": []}


@pytest.mark.faults
def test_pulumi_itself_makes_good_what_is_declared(running: Running) -> None:
    """`pulumi up --refresh` alone: no conflict with `kubectl scale`, and what kubectl added to the object goes too."""
    before = running.specs()
    running.make(tuple(hand for hand in HANDS if hand.name in ("scale", "env")))
    running.project.up("--refresh")
    assert running.specs() == before
    assert running.drift()[0] == {}


@pytest.mark.faults
def test_replicas_are_made_good_once_their_autoscaler_is_gone(running: Running) -> None:
    """The workload's record of it stays, and counts no more."""
    running.autoscale("a", 2)
    for replicas in (2, 1):
        running.kubectl("set", "env", "deploy/a", "TWO=2")
        status, said = running.builders("up", "--yes")
        assert status == 0, said
        assert running.replicas("a") == replicas
        running.kubectl("delete", "hpa", "a", "--ignore-not-found")


@pytest.mark.faults
def test_objects_made_anew_by_hand_become_the_stacks(running: Running) -> None:
    """One of the same name and contents, and one with others, some of which cannot be changed in place."""
    before = running.specs()
    (config,) = (name for kind, name in before if kind == "ConfigMap" and name.startswith("a-buildkitd-"))
    anew = [before["Deployment", "c"], {**before["ConfigMap", config], "data": {"buildkitd.toml": "debug = true"}}]
    for manifest in anew:
        manifest = json.loads(json.dumps(manifest))
        running.kubectl("delete", manifest["kind"], manifest["metadata"]["name"])
        file = running.project.folder / "anew.json"
        file.write_text(json.dumps(manifest))
        running.kubectl("create", "-f", str(file))
    found, _ = running.drift()
    assert {key: field["change"] for key, field in found.items()} == {
        ("Deployment c", ""): "replaced",
        (f"ConfigMap {config}", ""): "replaced",
        (f"ConfigMap {config}", 'data["buildkitd.toml"]'): "changed",
    }
    status, said = running.builders("up", "--yes")
    assert status == 0, said
    assert running.specs() == before
    assert running.drift()[0] == {}
