"""The page on a real cluster, read in a real browser, with the rights that its documentation names."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, expect

from buildclient.kube.lease import new_lease
from tests.browser.browser import browser
from tests.cluster.client_builder import BIN, HandMadeBuilder
from tests.cluster.infra_project import ROOT
from tests.conftest import kubectl
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """A browser."""
    with browser() as started:
        yield started


@contextlib.contextmanager
def serving(environment: dict[str, str], folder: Path, *arguments: str) -> Iterator[str]:
    """`builders serve`, started in a folder; gives its URL, and ends it as a service manager does."""
    command = [str(BIN / "builders"), "serve", "--address", "127.0.0.1:0", *arguments]
    with (folder / "serve.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=log)
        try:
            deadline = time.monotonic() + busy(30)
            while not (found := re.search(r"http://\S+", Path(log.name).read_text())):
                assert process.poll() is None, Path(log.name).read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield found[0]
            process.terminate()
            assert process.wait(busy(20)) == 0, Path(log.name).read_text()
        finally:
            process.kill()
            process.wait()


def account(environment: dict[str, str], namespace: str, folder: Path) -> dict[str, str]:
    """The environment of a ServiceAccount with the rights in docs/page.md, and in one namespace alone."""
    role = next(
        value
        for text in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "page.md").read_text(), re.DOTALL)
        if (value := yaml.safe_load(text))["kind"] == "ClusterRole"
    )
    about = {"name": "page", "namespace": namespace}
    who = {"kind": "ServiceAccount", **about}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "page"}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about},
        {**role, "kind": "Role", "metadata": about},
        {
            "apiVersion": role["apiVersion"],
            "kind": "RoleBinding",
            "metadata": about,
            "roleRef": reference,
            "subjects": [who],
        },
    ]
    (folder / "rights.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    kubectl(environment, "apply", "-f", str(folder / "rights.json"))
    config = yaml.safe_load(Path(environment["KUBECONFIG"]).read_text())
    config["users"] = [
        {"name": "page", "user": {"token": kubectl(environment, "-n", namespace, "create", "token", "page").strip()}}
    ]
    for context in config["contexts"]:
        context["context"]["user"] = "page"
    (folder / "page.kubeconfig").write_text(yaml.safe_dump(config))
    return {**environment, "KUBECONFIG": str(folder / "page.kubeconfig")}


class Claimed:
    """A claim of team `payments` for one builder, in a namespace of its own."""

    def __init__(self, folder: Path, cluster: dict[str, str]) -> None:
        self.folder, self.namespace = folder, f"page-{uuid.uuid4().hex[:6]}-payments"
        for name in ("claims", "state"):
            (folder / name).mkdir()
        self.environment = {
            **cluster,
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "DOCKER_CONFIG": f"{folder}/docker",
        }
        platform = {
            "clusters": {"main": {"context": kubectl(cluster, "config", "current-context").strip()}},
            "namespaces": self.namespace.replace("payments", "{team}"),
            "sizes": {"small": {"requests": {"cpu": "10m", "memory": "32Mi"}}},
            "privileged": [self.namespace],
            "defaults": {"privileged": True},
            "policies": {"image-digest": "off"},
        }
        claim = {
            "name": "main",
            "owner": "Ada <b>",
            "contact": "#pay",
            "expires": "2099-06-30",
        }
        (folder / "platform.yaml").write_text(yaml.safe_dump(platform))
        (folder / "claims" / "payments.yaml").write_text(yaml.safe_dump(claim))

    def run(self, *command: str) -> str:
        """Standard output of a command of `builders claims`."""
        done = subprocess.run(
            [str(BIN / "builders"), "claims", *command],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def claimed(cluster: dict[str, str], tmp_path: Path) -> Iterator[Claimed]:
    """The team's builder, applied; afterwards its namespace is deleted, with all that is in it."""
    made = Claimed(tmp_path, cluster)
    try:
        made.run("apply", "--yes")
        yield made
    finally:
        kubectl(cluster, "delete", "namespace", made.namespace, "--ignore-not-found", "--wait=false")


def test_a_team_finds_its_builder_copies_its_lines_builds_and_sees_it(claimed: Claimed, chromium: Browser) -> None:
    """With the team's own credentials the copied lines build, which the page shows; a change by hand is marked."""
    folder, namespace, cluster = claimed.folder, claimed.namespace, claimed.environment
    (folder / "app").mkdir()
    (folder / "app" / "Dockerfile").write_text(f"FROM {cluster['BASE_IMAGE']}\nRUN echo {namespace}\n")
    context = chromium.new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    pace = ("--every", "1s", "--drift-every", "3s", "--namespace", namespace, "--claims")
    with serving(cluster, folder, *pace) as url:
        tab.goto(url)
        tab.get_by_role("searchbox").fill("payments #pay")
        row = tab.locator("#rows > tr:visible")
        expect(row).to_contain_text("Ada <b>")
        expect(row.locator(".mark")).to_have_text(["running"])
        row.get_by_role("link").click()
        expect(tab.locator("#state")).to_contain_text("2099-06-30")
        expect(tab.locator("#drift")).to_contain_text("None from stack payments-main")
        tab.get_by_role("button", name="Copy").click()
        lines = tab.evaluate("navigator.clipboard.readText()")
        script = lines.replace("REGISTRY/IMAGE:TAG", f"{cluster['REGISTRY']}/{namespace}:1")
        assert script != lines
        claimed.run("access", "payments", "--output", "team.kubeconfig")
        team = {**cluster, "KUBECONFIG": str(folder / "team.kubeconfig")}
        for _ in range(2):  # the second one is cached
            built = subprocess.run(
                ["bash", "-ec", script], cwd=folder / "app", env=team, capture_output=True, timeout=120
            )
            assert built.returncode == 0, built.stderr
        expect(tab.locator("#builds tbody tr")).to_have_count(2)
        # Steps that read what the build is given are counted too, and never cached.
        share = tab.locator("#builds tbody tr td:nth-child(6)")
        expect(share.first).to_have_text(re.compile(r"[1-9]\d?%"))
        expect(share.last).to_have_text("0%")
        (deployment,) = kubectl(cluster, "-n", namespace, "get", "deploy", "-o", "name").split()
        kubectl(cluster, "-n", namespace, "scale", deployment, "--replicas=2")
        expect(tab.locator("#drift")).to_contain_text("spec.replicas: 1 -> 2 (by kubectl scale")
        tab.get_by_role("link", name="BuildKit builders").click()
        expect(tab.locator("#rows .mark.warn")).to_have_text("drifted")


def test_many_builders_answer_with_the_documented_rights_and_one_that_does_not_is_named(
    cluster: dict[str, str], namespace: str, tmp_path: Path
) -> None:
    """Thirty builders on one daemon: one without pods, one that names pods elsewhere, one with a queue."""
    count, builder = 30, HandMadeBuilder(cluster, namespace, tmp_path)
    builder.apply([builder._deployment("amd64")])
    builder.kubectl("rollout", "status", "deployment/builder-amd64", "--timeout=120s", timeout=130)
    outputs = []
    for number in range(count):
        output = builder.output.to_json()
        output["name"], output["nodes"] = f"kube-{number:03}", output["nodes"][:1]
        outputs.append(output)
    outputs[3]["nodes"][0]["selector"] = {"app": "nobody"}
    outputs[4]["nodes"][0]["namespace"] = "kube-system"
    outputs[5]["nodes"][0]["maxParallelBuilds"] = 2
    now = time.time()
    waiting = [
        new_lease("waits", "builder-amd64", "ada", None, now),
        new_lease("died", "builder-amd64", "ada", None, now - 7200),
    ]
    builder.apply([*waiting, *(published(namespace, output) for output in outputs)])
    environment = account(builder.environment, namespace, tmp_path)
    done = subprocess.run(
        [BIN / "builders", "serve", "--namespace", namespace, "--export", "out"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == f"{count} builders in out/index.html\n", done.stderr
    index = (tmp_path / "out" / "index.html").read_text()
    assert index.count(">running</span>") == count - 2
    assert index.count("<td>v0.") == count - 2
    pages = {page.name[: -len("-00000000.html")]: page.read_text() for page in (tmp_path / "out" / "builder").iterdir()}
    assert "not asked" in pages[f"{namespace}-kube-004"]
    assert "another namespace" in pages[f"{namespace}-kube-004"]
    assert ">running</span>" not in pages[f"{namespace}-kube-003"]
    assert "2 builds a pod · 1 waiting" in pages[f"{namespace}-kube-005"]
    assert "waiting" not in pages[f"{namespace}-kube-006"]
    assert len(pages) == count


def published(namespace: str, output: Any) -> dict[str, Any]:
    """The ConfigMap of a builder's output."""
    labels = {"buildkit-builders/output": "builder"}
    metadata = {"name": f"{output['name']}-builder", "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"builder.json": json.dumps(output)}}
