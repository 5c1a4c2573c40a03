"""The demo on a bare machine: the local cluster, stack `local`, a push into the local registry."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from localcluster.demo.image import Image, print_index, run_image
from localcluster.demo.stack import recover, select
from localcluster.demo.steps import ROOT, DemoError, Shell, Step

__all__ = ["steps"]

REPOSITORY = "hello"
TAG = "latest"
PLATFORMS = "linux/amd64,linux/arm64"
_BIN = ROOT / ".venv" / "bin"
_UP_TIMEOUT = 3600
"""Seconds for `localcluster up`: cold, it builds Kubernetes, BuildKit and Pulumi from source."""


def steps(shell: Shell) -> list[Step]:
    """The steps of `make demo`; each is safe to run again after an interruption."""
    demo = _Local(shell)
    return [
        Step("Looking whether this machine has what is needed", demo.preflight),
        Step("Python environment with the project in it (.venv)", demo.environment),
        Step("Tools, and a Kubernetes of two nodes: one amd64, one arm64", demo.cluster),
        Step("What Pulumi would do (pulumi preview)", demo.preview),
        Step("Two BuildKit builders, one a node (pulumi up)", demo.up),
        Step("What the build client sees (buildclient ls)", demo.ls),
        Step("One build for two platforms, each on its own node", demo.build),
        Step("What the registry holds", demo.show),
        Step("Each image, run on its own architecture", demo.prove),
        Step("Three things to try next", demo.next),
    ]


class _Local:
    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.registry = ""
        self.base_image = ""
        self.images: list[Image] = []

    def preflight(self) -> None:
        from localcluster import bootstrap

        if lacking := bootstrap.missing():
            raise DemoError(lacking)
        # Only now: the rest is written for the Python that was just asked for.
        from localcluster import tools
        from localcluster.machine.preflight import problems

        if found := problems():
            raise DemoError(found[0])
        if built := tools.missing_sources():
            print(f"  nothing is in the way; {', '.join(built)} will be built in step 3, once, for every clone:")
            print("  10 to 15 minutes on two cores")

    def environment(self) -> None:
        from localcluster import bootstrap

        try:
            bootstrap.ensure()
        except bootstrap.BootstrapError as error:
            raise DemoError(str(error)) from None

    def cluster(self) -> None:
        self.shell.run(str(_BIN / "python"), "-m", "localcluster", "up", timeout=_UP_TIMEOUT)
        from localcluster.environment import stand_ins_notice

        found = json.loads(self.shell.read(str(_BIN / "python"), "-m", "localcluster", "env", "--json"))
        if notice := stand_ins_notice(found, self.shell.environment):
            print(f"  {notice}")
        self.shell.environment.update(found)
        self.registry, self.base_image = found["REGISTRY"], found["BASE_IMAGE"]

    def preview(self) -> None:
        select(self.shell, "local")
        recover(self.shell, "local")
        # What it will give comes with the next step; here only what it would do.
        self.shell.run("pulumi", "preview", "--stack", "local", "--non-interactive", "--suppress-outputs", timeout=180)

    def up(self) -> None:
        self.shell.run("pulumi", "up", "--stack", "local", "--yes", "--skip-preview", "--non-interactive", timeout=300)

    def ls(self) -> None:
        self.shell.run("buildclient", "ls", "--stack", "local", timeout=60)

    def build(self) -> None:
        self.shell.run(
            "buildclient", "build", "--stack", "local", "--platform", PLATFORMS, "--push",
            "--build-arg", f"BASE_IMAGE={self.base_image}", "-t", f"{self.registry}/{REPOSITORY}:{TAG}",
            "examples/hello", timeout=600,
        )  # fmt: skip

    def show(self) -> None:
        self.images = print_index(self.registry, REPOSITORY, TAG, set(PLATFORMS.split(",")))

    def prove(self) -> None:
        kubectl = shutil.which("kubectl", path=self.shell.environment["PATH"]) or "kubectl"
        for image in self.images:
            print(f"  {image.platform}:")
            run_image(self.shell, kubectl, f"{self.registry}/{REPOSITORY}@{image.digest}", image.architecture)

    def next(self) -> None:
        python = Path(".venv") / "bin" / "python"
        print(f'  eval "$({python} -m localcluster env)"   # PATH, KUBECONFIG and Pulumi for work by hand; then:')
        print("  1. scale a node: add `replicas: 2` to its driver-opts in stacks/Pulumi.local.yaml, then: pulumi up")
        print(f"  2. build your own: buildclient build --platform {PLATFORMS} --push -t $REGISTRY/mine <folder>")
        print("  3. take it all away: pulumi destroy --yes --stack local; make down")
