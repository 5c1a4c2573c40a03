"""Stacks driven from Python: the example that provisions and then builds, and what scripts do besides."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from buildkit_builders import Builder
from buildkit_builders.automation import Project, Stack, StackError, each

from tests.cluster.infra_project import ROOT, PulumiProject
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

EXAMPLE = ROOT / "examples" / "automation" / "provision_and_build.py"
ACCEPT = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def project(cluster: dict[str, str], tmp_path: Path) -> PulumiProject:
    """A project of one's own, with no stack yet."""
    return PulumiProject(tmp_path / "project", cluster)


def _local(project: PulumiProject, namespace: str) -> None:
    """Write the config of stack `local`, in another namespace."""
    stored = yaml.safe_load((ROOT / "localcluster" / "Pulumi.local.yaml").read_text())["config"]
    config = {key.partition(":")[2]: value for key, value in stored.items()}
    project.configure(**{**config, "namespace": namespace})


def _index(registry: str, repository: str, reference: str) -> dict[str, Any]:
    url = f"http://{registry}/v2/{repository}/manifests/{reference}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": ACCEPT}), timeout=20) as answer:
        return dict(json.load(answer))


def test_the_example_provisions_builds_and_destroys(cluster: dict[str, str], project: PulumiProject) -> None:
    """As a user runs it: the index in the registry has both platforms, built by this builder, and nothing is left."""
    namespace, repository = f"infra-{uuid.uuid4().hex[:6]}", f"automation/{uuid.uuid4().hex[:8]}"
    _local(project, namespace)
    command = [sys.executable, str(EXAMPLE), "--tag", f"{cluster['REGISTRY']}/{repository}:1", "--stack", "test"]
    try:
        done = subprocess.run(
            [*command, "--project", str(project.folder), "--destroy"],
            cwd=project.folder, env=project.environment, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
    finally:
        project.run("kubectl", "delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
    assert done.returncode == 0, done.stderr
    for architecture, machine in (("amd64", "x86_64"), ("arm64", "aarch64")):
        assert f"building for linux/{architecture} on {machine}" in done.stderr
    digest = done.stdout.strip()
    index = _index(cluster["REGISTRY"], repository, digest)
    platforms = {f"{m['platform']['os']}/{m['platform']['architecture']}" for m in index["manifests"]}
    assert platforms - {"unknown/unknown"} == {"linux/amd64", "linux/arm64"}
    assert _index(cluster["REGISTRY"], repository, "1") == index
    state = json.loads(project.pulumi("stack", "export").output)
    assert "resources" not in state["deployment"]


def test_the_example_says_in_a_line_what_is_wrong(project: PulumiProject) -> None:
    """No stack, bad config: status 1, no traceback, nothing made."""
    command = [sys.executable, str(EXAMPLE), "--tag", "x/y:1", "--project", str(project.folder), "--stack", "test"]
    missing = project.run(*command)
    assert (missing.status, missing.output) == (1, "ERROR: there is no stack test; there are: none\n")
    project.configure(name="kube", nodes=[{"driver-opts": "replicas=x"}, {"driver-opts": "timeout=120"}])
    bad = project.run(*command)
    assert bad.status == 1
    assert "builder:nodes[0].driver-opts.replicas" in bad.output
    assert "builder:nodes[1].driver-opts.timeout" in bad.output
    assert "Traceback" not in bad.output


@pytest.fixture
def inline(
    cluster: dict[str, str], tmp_path: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Project, dict[str, Any], str]]:
    """A project whose program runs in this process, the args of its builder to be changed, and its namespace."""
    folder = PulumiProject(tmp_path / "project", cluster)
    for name, value in folder.environment.items():
        monkeypatch.setenv(name, value)
    args: dict[str, Any] = {"namespace": namespace, "driver-opts": {"replicas": 1}}

    def program() -> None:
        import pulumi

        pulumi.export("builder", Builder("kube", args).output)  # type: ignore[arg-type]

    project = Project(folder.folder, program=program)
    yield project, args, namespace
    for name in project.stacks():
        project.stack(name).destroy(remove=True)


def test_a_stack_from_a_function_goes_through_its_life(
    inline: tuple[Project, dict[str, Any], str], cluster: dict[str, str]
) -> None:
    """Preview, up, drift, refresh, outputs and destroy of a program that needs no language host."""
    project, args, namespace = inline
    stack = project.stack("one", create=True)
    assert stack.drift().steps == ()
    preview = stack.preview()
    assert preview.changes["create"] == 7
    assert "kube-kube0-deployment" in {step.name for step in preview.steps}
    with pytest.raises(StackError, match="bring it up first"):
        stack.builder()
    assert "replicas" in json.dumps(stack.up().outputs)
    assert stack.builder() == project.stack("one").up().builder
    assert dict(stack.preview(refresh=True).changes) == {}
    args["driver-opts"]["replicas"] = 2
    (step, *_) = [step for step in stack.preview().steps if step.name == "kube-kube0-deployment"]
    assert (step.operation, step.paths) == ("update", ("spec.replicas",))
    assert asyncio.run(asyncio.to_thread(stack.up)).builder.nodes[0].replicas == 2
    subprocess.run(
        ["kubectl", "-n", namespace, "delete", "configmap", "kube-builder"], env=cluster, check=True, timeout=60
    )
    drift = stack.drift()
    assert [(step.operation, step.name) for step in drift.steps] == [("delete", "kube-output")]
    assert dict(stack.refresh().changes) == {"delete": 1}
    assert not stack.drift()
    stack.up()
    assert {step.name for step in stack.preview_destroy().steps} >= {"kube-kube0-deployment", "kube-output"}
    assert stack.destroy().changes["delete"] == 7
    assert stack.outputs() == {}


def test_bad_args_end_a_preview_with_every_problem(
    inline: tuple[Project, dict[str, Any], str], cluster: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A StackError lists them all, on lines of their own; no traceback is printed and nothing is made."""
    project, args, namespace = inline
    args.update({"name": "Kube", "driver-opts": "replicas=x,timeout=120"})
    stack = project.stack("one", create=True)
    for act in (Stack.preview, Stack.up):
        with pytest.raises(StackError) as caught:
            act(stack)
        first, *problems = str(caught.value).splitlines()
        assert "3 problems in the builder's config; nothing was changed" in first
        assert [line.split(":")[0].strip() for line in problems] == [
            "name",
            "driver-opts.replicas",
            "driver-opts.timeout",
        ]
    assert "Traceback" not in "".join(capfd.readouterr())
    left = subprocess.run(
        ["kubectl", "-n", namespace, "get", "deploy,configmap", "-o", "name"],
        env=cluster, capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    assert left == ["configmap/kube-root-ca.crt"]


def test_one_stack_that_fails_hides_no_other(inline: tuple[Project, dict[str, Any], str]) -> None:
    """Many stacks at once: results by name, and the error in its place."""
    project, _, _ = inline
    stacks = [project.stack(name, create=True) for name in ("one", "two")]
    fate = {"one": lambda stack: stack.preview().changes["create"], "two": Stack.builder}
    found = each(stacks, lambda stack: fate[stack.name](stack))
    assert found["one"] == 7
    assert isinstance(found["two"], StackError)


def test_builders_makes_a_stack_that_has_a_config_file(project: PulumiProject, namespace: str) -> None:
    """The first preview makes the stack; a second stack without a file is refused by name; destroy leaves neither."""
    builders = str(ROOT / ".venv" / "bin" / "builders")
    project.configure(namespace=namespace)
    assert project.run(builders, "drift", "--stack", "test").status == 1, "drift makes no stack"
    first = project.run(builders, "preview", "--stack", "test")
    assert first.status == 0, first.output
    assert "would create kube-kube0-deployment" in first.output
    unknown = project.run(builders, "preview", "--stack", "tets")
    assert unknown.status == 1
    assert "there is no stack tets; there are: test; make it with --create" in unknown.output
    up = project.run(builders, "up", "--stack", "test", "--yes")
    assert up.status == 0, up.output
    listed = json.loads(project.run(builders, "ls", "-o", "json").output)
    assert [(stack["name"], stack["builder"]["namespace"]) for stack in listed["stacks"]] == [("test", namespace)]
    asked = project.run(builders, "destroy", "--stack", "test")
    assert asked.status == 2
    assert "--yes" in asked.output
    done = project.run(builders, "destroy", "--stack", "test", "--yes", "--remove")
    assert done.status == 0, done.output
    assert project.objects(namespace) == set()
    assert json.loads(project.run(builders, "ls", "-o", "json").output)["stacks"] == []
    assert (project.folder / "stacks" / "Pulumi.test.yaml").exists()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
def test_an_interrupted_update_leaves_no_lock(project: PulumiProject, namespace: str, sent: signal.Signals) -> None:
    """Ctrl-C, or a runner's SIGTERM, ends `builders up` in order: status 130, the state whole, the stack free."""
    builders = str(ROOT / ".venv" / "bin" / "builders")
    project.configure(namespace=namespace, **{"driver-opts": "nodeselector=no-such-label=x"})
    process = subprocess.Popen(
        [builders, "up", "--stack", "test", "--yes"],
        cwd=project.folder, env=project.environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr
        seen = next(line for line in process.stderr if "Waiting for app ReplicaSet" in line)
        os.killpg(process.pid, sent)
        _, rest = process.communicate(timeout=busy(30))
    finally:
        if process.poll() is None:
            # Pulumi is in a group of its own: it ends, and gives back its lock, only if it is told to
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=busy(30))
            process.kill()
    assert (process.returncode, rest.splitlines()[-1]) == (130, "ERROR: interrupted"), seen + rest
    assert "Traceback" not in rest
    assert [path for path in (project.folder / "state" / ".pulumi" / "locks").rglob("*") if path.is_file()] == []
    assert "kube-kube0-deployment" in project.pulumi("stack", "export").output, "the state knows what was made"
    done = project.run(builders, "destroy", "--stack", "test", "--yes")
    assert done.status == 0, done.output
    assert project.objects(namespace) == set()
