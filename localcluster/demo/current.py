"""The demo on an existing cluster: the current kubectl context, the reference's public images, stack `current`.

Nothing is assumed of the cluster but that its nodes can run privileged pods and reach the images. `IMAGE` names
where to push; without it, and without `REGISTRY`, the result is an OCI archive beside the clone's README.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path

from localcluster.demo.image import run_image
from localcluster.demo.steps import ROOT, DemoError, Shell, Step

__all__ = ["stack_config", "steps"]

_BIN = ROOT / ".venv" / "bin"
_STACK = "current"
_CONFIG = ROOT / "stacks" / f"Pulumi.{_STACK}.yaml"
_WANTED = ("amd64", "arm64")


def steps(shell: Shell) -> list[Step]:
    """The steps of `make demo CLUSTER=current`; each is safe to run again after an interruption."""
    demo = _Current(shell)
    return [
        Step("Python environment with the project in it (.venv)", demo.environment),
        Step("The current kubectl context and its nodes", demo.cluster),
        Step("The Pulumi CLI, and a local folder for its state", demo.pulumi),
        Step("What Pulumi would do (pulumi preview)", demo.preview),
        Step("The BuildKit builders (pulumi up)", demo.up),
        Step("What the build client sees (buildclient ls)", demo.ls),
        Step("One build for two platforms", demo.build),
        Step("What came of it", demo.show),
        Step("Three things to try next", demo.next),
    ]


def stack_config(architectures: set[str], options: dict[str, str]) -> str:
    """The stack's configuration file for a cluster with nodes of these architectures.

    Each wanted architecture that the cluster has gets a node of its own; those it lacks are emulated on the
    first one (seed: `qemu.install`). `options` are driver options for every node, such as the image.
    """
    native = [name for name in _WANTED if name in architectures] or sorted(architectures)[:1]
    emulated = [name for name in _WANTED if name not in native]
    lines = [
        "# Written by `make demo CLUSTER=current` from the nodes it found; yours to change.",
        "config:",
        "  builder:name: demo",
        "  builder:namespace: buildkit-demo",
        "  builder:createNamespace: true",
        "  builder:nodes:",
    ]
    for position, architecture in enumerate(native):
        also = emulated if position == 0 else []
        platforms = ", ".join(f"linux/{name}" for name in [architecture, *also])
        driver = {"nodeselector": f"kubernetes.io/arch={architecture}", **options}
        if also:
            driver["qemu.install"] = "true"
        lines.append(f"    - name: demo-{architecture}")
        lines.append(f"      platforms: [{platforms}]")
        lines.append("      driver-opts:")
        lines.extend(f"        {key}: {json.dumps(value)}" for key, value in driver.items())
    return "\n".join(lines) + "\n"


class _Current:
    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.image = os.environ.get("IMAGE") or _image_in(os.environ.get("REGISTRY", ""))
        self.result = ROOT / "hello.oci.tar"
        self.architectures: set[str] = set()

    def environment(self) -> None:
        from localcluster import bootstrap

        try:
            bootstrap.ensure()
        except bootstrap.BootstrapError as error:
            raise DemoError(str(error)) from None
        self.shell.environment["PATH"] = f"{_BIN}{os.pathsep}{self.shell.environment.get('PATH', '')}"

    def cluster(self) -> None:
        context = self.shell.read("kubectl", "config", "current-context").strip()
        nodes = json.loads(self.shell.read("kubectl", "get", "nodes", "-o", "json", "--request-timeout=20s"))["items"]
        labels = [node["metadata"].get("labels", {}) for node in nodes]
        self.architectures = {found["kubernetes.io/arch"] for found in labels if "kubernetes.io/arch" in found}
        print(f"  context {context}: {len(nodes)} nodes, {', '.join(sorted(self.architectures)) or 'no architecture'}")
        if not self.architectures:
            raise DemoError("no node of this cluster says its architecture (label kubernetes.io/arch)")

    def pulumi(self) -> None:
        environment = self.shell.environment
        if not shutil.which("pulumi", path=environment["PATH"]):
            found = self.shell.read(str(_BIN / "python"), "-m", "localcluster", "tools", "pulumi", timeout=1800).strip()
            environment["PATH"] = f"{Path(found).parent}{os.pathsep}{environment['PATH']}"
        if "PULUMI_BACKEND_URL" not in environment:
            state = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "buildkit-builders"
            state.mkdir(parents=True, exist_ok=True)
            environment["PULUMI_BACKEND_URL"] = state.as_uri()
            passphrase = state / "passphrase"
            if not passphrase.exists():
                passphrase.touch(mode=0o600)
                passphrase.write_text(secrets.token_hex(16))
            environment.setdefault("PULUMI_CONFIG_PASSPHRASE_FILE", str(passphrase))
        if not _CONFIG.exists():
            given = {key: os.environ[name] for key, name in _OPTIONS.items() if os.environ.get(name)}
            _CONFIG.write_text(stack_config(self.architectures, given))
        print(f"  {_CONFIG.relative_to(ROOT)}:")
        print("".join(f"    {line}\n" for line in _CONFIG.read_text().splitlines()), end="")

    def preview(self) -> None:
        self.shell.run("pulumi", "stack", "select", "--create", _STACK, timeout=60)
        self.shell.run("pulumi", "preview", "--stack", _STACK, "--non-interactive", timeout=600)

    def up(self) -> None:
        self.shell.run("pulumi", "up", "--stack", _STACK, "--yes", "--skip-preview", "--non-interactive", timeout=600)

    def ls(self) -> None:
        self.shell.run("buildclient", "ls", "--stack", _STACK, timeout=60)

    def build(self) -> None:
        command = ["buildclient", "build", "--stack", _STACK, "--platform", "linux/amd64,linux/arm64"]
        if base := os.environ.get("BASE_IMAGE"):
            command += ["--build-arg", f"BASE_IMAGE={base}"]
        where = ["-t", self.image, "--push"] if self.image else ["-o", f"type=oci,dest={self.result}"]
        self.shell.run(*command, *where, "examples/hello", timeout=1200)

    def show(self) -> None:
        if not self.image:
            print(
                f"  {self.result.name}: {self.result.stat().st_size / 1e6:.1f} MB, an OCI archive with both platforms"
            )
            print("  To push instead: make demo CLUSTER=current IMAGE=registry.example.com/you/hello:latest")
            return
        print(f"  pushed {self.image}")
        for architecture in sorted(self.architectures & set(_WANTED)):
            print(
                "".join(
                    f"    {line}\n" for line in run_image(self.shell, "kubectl", self.image, architecture).splitlines()
                )
            )

    def next(self) -> None:
        print("  1. change stacks/Pulumi.current.yaml (replicas, requests, …), then pulumi preview, pulumi up")
        print("  2. build your own: buildclient build --stack current --platform linux/amd64,linux/arm64 …")
        print("  3. take it away: pulumi destroy --yes --stack current")


# Driver option -> the environment variable that gives it to every node of the demo.
_OPTIONS = {"image": "BUILDKIT_IMAGE", "qemu.image": "QEMU_IMAGE"}


def _image_in(registry: str) -> str:
    return f"{registry}/hello:current" if registry else ""
