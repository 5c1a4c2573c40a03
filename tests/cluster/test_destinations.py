"""Where a Builder goes, on two clusters with a stranger's objects of the same names in both."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.infra_project import PulumiProject
from tests.cluster.two_clusters import TwoClusters, forwarded, second_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

# What a Builder named kube, of one node, has in its namespace.
OWN = {"deployment.apps/kube0", "configmap/kube-builder"}
PROGRAM = """
import pulumi
import pulumi_kubernetes as k8s
from buildkit_builders import Builder
from buildkit_builders.config import builder_args

class Platform(pulumi.ComponentResource):
    def __init__(self, name, opts):
        super().__init__("test:index:Platform", name, {{}}, opts)
        Builder("kube", builder_args(), pulumi.ResourceOptions(parent=self))

b = lambda: k8s.Provider("b", context="b", kubeconfig={kubeconfig!r})
how = {how!r}
if how == "explicit":
    Builder("kube", builder_args(), pulumi.ResourceOptions(provider=b()))
elif how == "explicit list":
    Builder("kube", builder_args(), pulumi.ResourceOptions(providers=[b()]))
elif how == "inherited":
    Platform("platform", pulumi.ResourceOptions(providers=[b()]))
else:
    Builder("kube", builder_args())
"""


@pytest.fixture(scope="module")
def clusters(cluster: dict[str, str]) -> Iterator[TwoClusters]:
    """The local cluster as `a`, and another as `b`."""
    with second_cluster(cluster) as two:
        yield two


class Ground:
    """A project, a namespace in both clusters, and a kubeconfig with contexts a and b; a is the current one."""

    def __init__(self, folder: Path, two: TwoClusters) -> None:
        self.two = two
        self.folder = folder
        self.namespace = f"test-{uuid.uuid4().hex[:8]}"
        self.project = PulumiProject(folder / "project", dict(two.environment))
        self.use("a", a=two.a, b=two.b)
        self.all = two.kubeconfig(folder / "all", "a", a=two.a, b=two.b)
        for context in ("a", "b"):
            self.kubectl(context, "create", "namespace", self.namespace)
            self.kubectl(context, "create", "configmap", "stranger", "-n", self.namespace)
        self.project.configure(**self.config())

    def config(self, **more: Any) -> dict[str, Any]:
        """A builder that needs no pod, in the namespace."""
        return {"name": "kube", "namespace": self.namespace, "driver-opts": {"replicas": 0}, **more}

    def use(self, current: str, **contexts: dict[str, Any]) -> None:
        """What the environment's kubeconfig says from here on."""
        path = self.two.kubeconfig(self.folder / "config", current, **contexts)
        self.project.environment["KUBECONFIG"] = str(path)

    def kubectl(self, context: str, *arguments: str) -> str:
        """Standard output of kubectl in a cluster. Fails the test if it does."""
        command = ["kubectl", "--kubeconfig", str(self.all), "--context", context, *arguments]
        done = subprocess.run(command, env=self.two.environment, timeout=60, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, context: str) -> set[str]:
        """What is in the namespace of a cluster, but for what Kubernetes and the stranger put there."""
        names = self.kubectl(context, "-n", self.namespace, "get", "deploy,cm", "-o", "name").split()
        assert "configmap/stranger" in names
        return {*names} - {"configmap/stranger", "configmap/kube-root-ca.crt"}

    def builders(self, *arguments: str) -> tuple[int, str]:
        """Status and output of `builders`."""
        return self.project.run(sys.executable, "-m", "buildkit_builders.cli.main", *arguments, "--stack", "test")

    def stranger(self, context: str) -> None:
        """Puts objects of a builder's names into a cluster, which are somebody else's."""
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "kube0", "namespace": self.namespace},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "theirs"}},
                "template": {
                    "metadata": {"labels": {"app": "theirs"}},
                    "spec": {"containers": [{"name": "one", "image": "theirs"}]},
                },
            },
        }
        path = self.folder / "theirs.json"
        path.write_text(json.dumps(manifest))
        self.kubectl(context, "apply", "-f", str(path))
        self.kubectl(context, "create", "configmap", "kube-builder", "-n", self.namespace)


@pytest.fixture
def ground(tmp_path: Path, clusters: TwoClusters) -> Iterator[Ground]:
    """A fresh ground, taken away afterwards."""
    made = Ground(tmp_path, clusters)
    yield made
    for context in ("a", "b"):
        made.kubectl(context, "delete", "namespace", made.namespace, "--wait=false")


@pytest.mark.parametrize(
    ("how", "config", "goes_to"),
    [
        ("nothing named", {}, "a"),
        ("config of the builder", {"builder:context": "b"}, "b"),
        ("config of Pulumi's provider", {"kubernetes:context": "b"}, "b"),
        ("the builder's config before the provider's", {"kubernetes:context": "b", "builder:context": "a"}, "a"),
        ("explicit", {}, "b"),
        ("explicit list", {}, "b"),
        ("inherited", {}, "b"),
    ],
)
def test_a_builder_goes_where_it_is_told_to(ground: Ground, how: str, config: dict[str, str], goes_to: str) -> None:
    """The first way that applies leads it, and the other cluster stays as it is."""
    path = ground.project.environment["KUBECONFIG"]
    (ground.project.folder / "stacks" / "__main__.py").write_text(PROGRAM.format(kubeconfig=path, how=how))
    import yaml

    values = {f"builder:{key}": value for key, value in ground.config().items()}
    (ground.project.folder / "stacks" / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": {**values, **config}}))
    other = {"a": "b", "b": "a"}[goes_to]
    ground.stranger(other)
    status, said = ground.builders("up", "--yes")
    assert status == 0, said
    assert ground.objects(goes_to) == OWN
    status, said = ground.builders("destroy", "--yes")
    assert status == 0, said
    assert ground.objects(goes_to) == set()
    assert ground.objects(other) == OWN, "they are the stranger's"


def test_a_stack_whose_cluster_is_not_the_one_at_hand_stops(ground: Ground) -> None:
    """Both clusters are named, nothing changes in either; a destroy goes to the stack's own cluster or nowhere."""
    assert ground.builders("up", "--yes")[0] == 0
    ground.stranger("b")
    theirs = ground.kubectl("b", "-n", ground.namespace, "get", "deploy,cm", "-o", "json")
    ground.use("b", a=ground.two.a, b=ground.two.b)
    for command in (["up", "--yes"], ["preview"]):
        status, said = ground.builders(*command)
        assert status == 1
        for cluster in (ground.two.a, ground.two.b):
            assert cluster["clusters"][0]["cluster"]["server"] in said
        assert "nothing was changed" in said
        assert "builders move" in said
    # A machine that knows the other cluster alone, and one where it even has the name of the stack's own.
    for contexts in ({"b": ground.two.b}, {"a": ground.two.b}):
        ground.use(next(iter(contexts)), **contexts)
        for command in (["destroy", "--yes"], ["refresh", "--yes"], ["drift"], ["up", "--yes"]):
            status, said = ground.builders(*command)
            assert status == 1, said
            assert "nothing was changed" in said
    assert ground.kubectl("b", "-n", ground.namespace, "get", "deploy,cm", "-o", "json") == theirs
    assert ground.objects("a") == OWN
    ground.use("b", a=ground.two.a, b=ground.two.b)
    status, said = ground.builders("destroy", "--yes")
    assert status == 0, said
    assert ground.objects("a") == set()
    assert ground.kubectl("b", "-n", ground.namespace, "get", "deploy,cm", "-o", "json") == theirs


def test_a_builder_is_moved_when_it_is_asked_for(ground: Ground) -> None:
    """Made in the cluster at hand, deleted in the one that it was in."""
    assert ground.builders("up", "--yes")[0] == 0
    ground.use("b", a=ground.two.a, b=ground.two.b)
    status, said = ground.builders("move", "--yes")
    assert status == 0, said
    assert ground.objects("a") == set()
    assert ground.objects("b") == OWN
    assert "no changes" in ground.builders("preview")[1]


def test_one_cluster_by_another_address_is_the_same(ground: Ground) -> None:
    """Through a tunnel, by another context's name, nothing is replaced, and clients find the builder."""
    assert ground.builders("up", "--yes")[0] == 0
    with forwarded(ground.two.a) as tunnel:
        ground.use("tunnel", tunnel=tunnel)
        status, said = ground.builders("preview")
        assert status == 0, said
        assert "replace" not in said
        status, said = ground.builders("up", "--yes")
        assert status == 0, said
        client = [sys.executable, "-m", "buildclient.cli.main", "ls", "--from-cluster", f"{ground.namespace}/kube"]
        status, said = ground.project.run(*client)
        assert status == 0, said
        assert "kubernetes:///" in said
        assert "no context" not in said
        status, said = ground.builders("destroy", "--yes")
        assert status == 0, said
    assert ground.objects("a") == set()
