"""Claims on the local cluster: applied, killed in the middle and applied again; and what a team may do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from buildkit_builders.fleet.namespaces import TeamNamespace, make_missing, missing, remove_empty

from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import load_kubeconfig
from tests.cluster.client_builder import BIN, Ran
from tests.cluster.infra_project import ROOT
from tests.conftest import kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


class ClaimsFolder:
    """A platform team's repository: red is good, green has a mistake, grey is over the limit."""

    def __init__(self, folder: Path, cluster: dict[str, str]) -> None:
        self.folder, self.cluster, self.prefix = folder, cluster, f"fleet-{uuid.uuid4().hex[:6]}"
        (folder / "claims").mkdir()
        (folder / "state").mkdir()
        self.environment = {
            **cluster,
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "DOCKER_CONFIG": f"{folder}/docker",
        }
        self.platform(
            clusters={"main": {"context": kubectl(cluster, "config", "current-context").strip()}},
            namespaces=f"{self.prefix}-{{team}}",
            sizes={"small": {"requests": {"cpu": "10m", "memory": "32Mi"}, "replicas": {"max": 3}}},
            privileged=[f"{self.prefix}-*"],
            defaults={"privileged": True},
            limits={"team": {"pods": 2}},
            policies={"image-digest": "off"},
        )
        self.claim("red")
        self.claim("green", size="smal")
        self.claim("grey", scaling={"max": 3})

    def platform(self, **values: Any) -> None:
        """Write platform.yaml."""
        (self.folder / "platform.yaml").write_text(yaml.safe_dump(values))

    def claim(self, team: str, **more: Any) -> None:
        """Write a team's file with one claim."""
        (self.folder / "claims" / f"{team}.yaml").write_text(
            yaml.safe_dump({"name": "main", "owner": "ada", **more}, sort_keys=False)
        )

    def builders(self, *arguments: str, timeout: float = 280) -> Ran:
        """Run `builders claims …`."""
        done = subprocess.run(
            [str(BIN / "builders"), "claims", *arguments],
            cwd=self.folder, env=self.environment, timeout=timeout, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str) -> Any:
        """What a command writes with --json."""
        done = self.builders(*arguments, "--json")
        assert done.out, done.err
        return json.loads(done.out)

    def kill_in_mid_apply(self) -> str:
        """Run an apply until a namespace's first object is made, then kill it and every Pulumi, as a machine does."""
        process = subprocess.Popen(
            [str(BIN / "builders"), "claims", "apply", "--yes"],
            cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr
        with process.stderr as lines:
            seen = next((line for line in lines if "client-role" in line), "")
            for pid in [process.pid, *_below(process.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait(30)
        return seen


def _below(pid: int) -> list[int]:
    """A process's children, theirs, and so on."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


@pytest.fixture(scope="module")
def claims(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaimsFolder]:
    """The folder, applied after an apply that was killed in the middle."""
    found = ClaimsFolder(tmp_path_factory.mktemp("claims"), cluster)
    try:
        yield found
    finally:
        for file in (found.folder / "claims").iterdir():
            file.unlink()
        done = found.builders("apply", "--yes", "--prune")
        for team in ("red", "violet"):
            kubectl(cluster, "delete", "namespace", f"{found.prefix}-{team}", "--ignore-not-found", "--wait=false")
        assert done.status == 0, done.err
        assert "namespace" in done.err, "the namespaces that were made go with the last builder"


@pytest.fixture(scope="module")
def applied(claims: ClaimsFolder) -> Ran:
    """The apply after the killed one."""
    killed = claims.kill_in_mid_apply()
    assert killed, "the apply ended before it could be killed"
    return claims.builders("apply", "--yes")


def test_a_killed_apply_is_taken_up_by_the_next(claims: ClaimsFolder, applied: Ran) -> None:
    """The good claim is up after it, the bad one and the one over the limit are named, and nothing is left to do."""
    assert applied.status == 1, "two claims are refused"
    assert "green/main: size: there is no size" in applied.err
    assert "grey/main: scaling" in applied.err
    assert "apply: 1 changed, 2 refused" in applied.out, applied.out + applied.err
    assert list((claims.folder / "state" / ".pulumi" / "locks").rglob("*.json")) == []
    there = kubectl(claims.cluster, "-n", f"{claims.prefix}-red", "get", "deploy", "-o", "jsonpath={..readyReplicas}")
    assert there == "1", applied.err
    plan = claims.json("plan")
    assert [(row["claim"], row["status"]) for row in plan["claims"]] == [("red/main", "unchanged")], plan
    assert {problem["claim"] for problem in plan["problems"]} == {"green/main", "grey/main"}
    states = {one["claim"]: one["state"] for one in claims.json("status")["claims"]}
    assert states == {"red/main": "up", "green/main": "refused", "grey/main": "refused"}


@pytest.fixture(scope="module")
def violet(claims: ClaimsFolder, applied: Ran) -> str:
    """The namespace of a builder that the portal of the examples has made for team violet."""
    refused = _portal(claims, "--team", "violet", "--size", "huge")
    assert (refused.status, 'there is no size "huge"' in refused.err) == (1, True), refused.err
    assert not (claims.folder / "claims" / "violet.yaml").exists()
    assert "is no name of a team" in _portal(claims, "--team", "../violet").err
    namespace = f"{claims.prefix}-violet"
    made = _portal(claims, "--team", "violet")
    assert (made.status, made.out) == (0, f"{namespace}/main\n"), made.err
    return namespace


def _portal(claims: ClaimsFolder, *arguments: str) -> Ran:
    command = [sys.executable, str(ROOT / "examples" / "automation" / "portal.py"), "--owner", "ada", "--name", "main"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=claims.folder, env=claims.environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr)


def test_a_portal_claims_a_builder_and_returns_when_it_is_ready(claims: ClaimsFolder, violet: str) -> None:
    """The example's function, as a command: its place when the pod is ready; a refused claim leaves no file."""
    assert kubectl(claims.cluster, "-n", violet, "get", "deploy", "-o", "jsonpath={..readyReplicas}") == "1"


def test_a_teams_credentials_build_in_its_namespace_and_end_there(claims: ClaimsFolder, violet: str) -> None:
    """Red's kubeconfig builds on red's builder; in violet's namespace every verb on every resource is refused."""
    written = claims.builders("access", "red")
    assert written.status == 0, written.err
    file = claims.folder / "red.kubeconfig"
    assert file.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(file.read_text())["users"][0]["user"].keys() == {"token"}
    environment = {**claims.environment, "KUBECONFIG": str(file)}
    export, build = written.out.splitlines()
    assert export == "export KUBECONFIG=red.kubeconfig"
    (claims.folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    line = build.replace(" --push -t REGISTRY/IMAGE:TAG", "").split()
    done = subprocess.run(
        [str(BIN / line[0]), *line[1:]],
        cwd=claims.folder, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    refused = subprocess.run(
        [str(BIN / line[0]), *[part.replace(f"{claims.prefix}-red", violet) for part in line[1:]]],
        cwd=claims.folder, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert refused.returncode, refused.stderr
    assert "forbidden" in refused.stderr
    api = KubeApi(load_kubeconfig(environment).access("red-main"))
    assert _allowed(claims, api, violet) == []
    assert ("create", "pods/exec") in _allowed(claims, api, f"{claims.prefix}-red")
    for verb, arguments in (
        ("list", ["get", "pods"]), ("get", ["get", "configmap", "main-builder"]), ("list", ["get", "secrets"]),
        ("create", ["create", "configmap", "mine"]), ("delete", ["delete", "pods", "--all"]),
        ("patch", ["label", "configmap", "main-builder", "a=b"]), ("create", ["create", "token", "main-client"]),
    ):  # fmt: skip
        tried = subprocess.run(
            ["kubectl", "-n", violet, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (tried.returncode, "forbidden" in tried.stderr.lower()) == (1, True), (verb, tried.stdout, tried.stderr)


def _allowed(claims: ClaimsFolder, api: KubeApi, namespace: str) -> list[tuple[str, str]]:
    """Every verb of every namespaced resource that the API server would allow there."""
    listed = kubectl(claims.cluster, "api-resources", "--namespaced", "--no-headers", "-o", "name").split()
    reviews = ("localsubjectaccessreviews.authorization.k8s.io",)
    resources = [*(one for one in listed if one not in reviews), "pods/exec", "pods/log", "pods/portforward"]

    def allowed(asked: tuple[str, str]) -> bool:
        verb, (resource, _, group) = asked[0], asked[1].partition(".")
        resource, _, sub = resource.partition("/")
        attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": sub}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(api.create(path, {}, review, "cannot ask")["status"]["allowed"])

    asked = [(verb, resource) for resource in resources for verb in VERBS]
    assert len(asked) > 200
    with ThreadPoolExecutor(4) as pool:
        return [one for one, yes in zip(asked, pool.map(allowed, asked), strict=True) if yes]


def test_a_teams_shared_namespace_is_made_kept_up_to_date_and_removed(
    cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With labels and the team's quota of volumes; a changed limit changes it; what holds something is left."""
    monkeypatch.setenv("KUBECONFIG", cluster["KUBECONFIG"])
    context = kubectl(cluster, "config", "current-context").strip()
    one = TeamNamespace(context, f"fleet-{uuid.uuid4().hex[:6]}-shared", "red", "baseline", "20Gi")
    quota = (
        "-n",
        one.name,
        "get",
        "resourcequota",
        "builders-claims",
        "-o",
        "jsonpath={.spec.hard.requests\\.storage}",
    )
    try:
        assert [found.name for found in missing([one])] == [one.name]
        assert list(make_missing([one])) == [f"namespace {one.name}: made for team red"]
        assert kubectl(cluster, *quota) == "20Gi"
        assert list(make_missing([one])) == [], "a second time changes nothing"
        larger = one._replace(storage="40Gi", level="privileged")
        assert len(list(make_missing([larger]))) == 2
        assert kubectl(cluster, *quota) == "40Gi"
        level = "jsonpath={.metadata.labels.pod-security\\.kubernetes\\.io/enforce}"
        assert kubectl(cluster, "get", "namespace", one.name, "-o", level) == "privileged"
        list(make_missing([one._replace(storage="")]))
        assert kubectl(cluster, "-n", one.name, "get", "resourcequota") == ""
        kubectl(cluster, "-n", one.name, "create", "secret", "generic", "kept", "--from-literal=a=b")
        assert list(remove_empty([one])) == [f"namespace {one.name} is left: it holds secrets"]
        kubectl(cluster, "-n", one.name, "delete", "secret", "kept")
        assert list(remove_empty([one])) == [f"namespace {one.name}: deleted, it was empty"]
    finally:
        kubectl(cluster, "delete", "namespace", one.name, "--ignore-not-found", "--wait=false")


def test_an_apply_waits_for_a_namespace_that_is_being_deleted(claims: ClaimsFolder, applied: Ran) -> None:
    """A finalizer keeps it until the apply says that it waits; then its builder is made in a new one."""
    namespace = f"{claims.prefix}-blue"
    kubectl(claims.cluster, "create", "namespace", namespace)
    kubectl(claims.cluster, "-n", namespace, "create", "configmap", "kept")
    held = ("-n", namespace, "patch", "configmap", "kept", "--type=merge", "-p")
    kubectl(claims.cluster, *held, '{"metadata": {"finalizers": ["example.com/kept"]}}')
    kubectl(claims.cluster, "delete", "namespace", namespace, "--wait=false")
    claims.claim("blue")
    command = [str(BIN / "builders"), "claims", "apply", "--yes", "--only", "blue"]
    try:
        process = subprocess.Popen(
            command, cwd=claims.folder, env=claims.environment, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
        assert process.stderr
        with process, process.stderr as lines:
            said = next((line for line in lines if f"namespace {namespace} is being deleted" in line), "")
            kubectl(claims.cluster, *held, '{"metadata": {"finalizers": null}}')
            rest = "".join(lines)
            assert said, rest
            assert process.wait(280) == 0, rest
        assert f"namespace {namespace}: made for team blue" in rest
        there = kubectl(claims.cluster, "-n", namespace, "get", "deploy", "-o", "jsonpath={..readyReplicas}")
        assert there == "1", rest
        destroyed = claims.builders("destroy", "--yes", "--only", "blue")
        assert destroyed.status == 0, destroyed.err
    finally:
        (claims.folder / "claims" / "blue.yaml").unlink()
        kubectl(claims.cluster, "delete", "namespace", namespace, "--ignore-not-found", "--wait=false")


def test_access_of_a_builder_that_is_not_there_says_what_to_do(cluster: dict[str, str], tmp_path: Path) -> None:
    """Before the first apply there is no ServiceAccount: one line, no file."""
    claims = ClaimsFolder(tmp_path, cluster)
    done = claims.builders("access", "red")
    assert done.status == 1
    assert "make it: builders claims apply --only red/main" in done.err
    assert not (tmp_path / "red.kubeconfig").exists()
    own = claims.builders("access", "red", "--own")
    assert "a secret that is not copied" in own.err
