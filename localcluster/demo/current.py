"""The demo on an existing cluster: the current kubectl context, the reference's public images, stack `current`.

Nothing is assumed of the cluster but that its nodes can run privileged pods and reach the images. `IMAGE` names
where to push; without it, and without `REGISTRY`, the result is an OCI archive beside the clone's README.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shlex
import shutil
from pathlib import Path

from localcluster.demo.image import print_index, run_image
from localcluster.demo.stack import select
from localcluster.demo.steps import ROOT, DemoError, Shell, Step

__all__ = ["stack_config", "steps"]

_BIN = ROOT / ".venv" / "bin"
_STACK = "current"
_CONFIG = ROOT / "stacks" / f"Pulumi.{_STACK}.yaml"
_WANTED = ("amd64", "arm64")
_PLATFORMS = tuple(f"linux/{name}" for name in _WANTED)
_OTHER_WAY = "or let this machine be the cluster: make demo"
_OPTIONS = {"image": "BUILDKIT_IMAGE", "qemu.image": "QEMU_IMAGE"}
"""Driver option -> the environment variable that gives it to every node of the demo."""


def steps(shell: Shell) -> list[Step]:
    """The steps of `make demo CLUSTER=current`; each is safe to run again after an interruption."""
    demo = _Current(shell)
    return [
        Step("Looking whether what is needed is there", demo.preflight),
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
        self.by_hand: dict[str, str] = {}
        """What this demo set besides PATH, and a shell needs for work with its stack."""

    def preflight(self) -> None:
        from localcluster import bootstrap

        if problem := bootstrap.missing() or _no_kubeconfig(self.shell.environment) or _no_pulumi():
            raise DemoError(problem)

    def environment(self) -> None:
        from localcluster import bootstrap

        try:
            bootstrap.ensure()
        except bootstrap.BootstrapError as error:
            raise DemoError(str(error)) from None
        self._prepend(_BIN)

    def cluster(self) -> None:
        try:
            context = self.shell.read("kubectl", "config", "current-context").strip()
            found = self.shell.read("kubectl", "get", "nodes", "-o", "json", "--request-timeout=20s")
        except DemoError as error:
            raise DemoError(f"no cluster by the current kubectl context: {error}; {_OTHER_WAY}") from None
        nodes = json.loads(found)["items"]
        labels = [node["metadata"].get("labels", {}) for node in nodes]
        self.architectures = {label["kubernetes.io/arch"] for label in labels if "kubernetes.io/arch" in label}
        print(f"  context {context}: {len(nodes)} nodes, {', '.join(sorted(self.architectures)) or 'no architecture'}")
        if not self.architectures:
            raise DemoError("no node of this cluster says its architecture (label kubernetes.io/arch)")

    def pulumi(self) -> None:
        from localcluster.environment import (
            ANNOUNCED,
            needs_stand_in,
            passphrase_file,
            stand_ins_folder,
            stand_ins_notice,
        )
        from localcluster.instance import cache_folder

        environment = self.shell.environment
        if not shutil.which("pulumi", path=environment["PATH"]):
            # First for its words on what it does, which may take minutes; then for its answer.
            command = (str(_BIN / "python"), "-m", "localcluster", "tools", "pulumi")
            self.shell.run(*command, timeout=1800)
            self._prepend(Path(self.shell.read(*command).strip()).parent)
        if missing := needs_stand_in(environment["PATH"]):
            announced = {ANNOUNCED: ",".join(missing)}
            if notice := stand_ins_notice(announced, environment):
                print(f"  {notice}")
            environment.update(announced)
            self._prepend(stand_ins_folder(cache_folder() / "stand-ins", missing))
        if "PULUMI_BACKEND_URL" not in environment:
            passphrase = passphrase_file()
            passphrase.parent.mkdir(parents=True, exist_ok=True)
            self.by_hand["PULUMI_BACKEND_URL"] = passphrase.parent.as_uri()
            if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & environment.keys():
                self.by_hand["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase)
                _write_once(passphrase, secrets.token_hex(16) + "\n")
        environment.update(self.by_hand)
        given = {key: os.environ[name] for key, name in _OPTIONS.items() if os.environ.get(name)}
        _write_once(_CONFIG, stack_config(self.architectures, given), mode=0o644)
        print(f"  {_CONFIG.relative_to(ROOT)}:")
        print("".join(f"    {line}\n" for line in _CONFIG.read_text().splitlines()), end="")

    def preview(self) -> None:
        select(self.shell, _STACK)
        self.shell.run("pulumi", "preview", "--stack", _STACK, "--non-interactive", "--suppress-outputs", timeout=600)

    def up(self) -> None:
        self.shell.run("pulumi", "up", "--stack", _STACK, "--yes", "--skip-preview", "--non-interactive", timeout=600)

    def ls(self) -> None:
        self.shell.run("buildclient", "ls", "--stack", _STACK, timeout=60)

    def build(self) -> None:
        command = ["buildclient", "build", "--stack", _STACK, "--platform", ",".join(_PLATFORMS)]
        if base := os.environ.get("BASE_IMAGE"):
            command += ["--build-arg", f"BASE_IMAGE={base}"]
        where = ["-t", self.image, "--push"] if self.image else ["-o", f"type=oci,dest={self.result}"]
        if self.image == _image_in(os.environ.get("REGISTRY", "")):
            where = ["-t", self.image, "-o", "type=image,push=true,registry.insecure=true"]
        self.shell.run(*command, *where, "examples/hello", timeout=1200)

    def show(self) -> None:
        if not self.image:
            size = self.result.stat().st_size / 1e6
            print(f"  {self.result.name}: {size:.1f} MB, an OCI archive with both platforms")
            print("  To push instead: make demo CLUSTER=current IMAGE=registry.example.com/you/hello:latest")
            return
        native = sorted(self.architectures & set(_WANTED))
        images = dict.fromkeys(native, self.image)
        registry, _, name = self.image.partition("/")
        if registry == os.environ.get("REGISTRY"):
            # Open to us; each image by its own digest, since a runtime picks its own platform from an index.
            repository, _, tag = name.partition(":")
            for found in print_index(registry, repository, tag or "latest", set(_PLATFORMS)):
                images[found.architecture] = f"{registry}/{repository}@{found.digest}"
        else:
            print(f"  pushed {self.image}")
        for architecture in native:
            print(f"  linux/{architecture}:")
            run_image(self.shell, "kubectl", images[architecture], architecture)

    def next(self) -> None:
        path = self.shell.environment["PATH"].removesuffix(os.environ.get("PATH", ""))
        exports = [f'PATH={shlex.quote(path)}"$PATH"', *(f"{k}={shlex.quote(v)}" for k, v in self.by_hand.items())]
        print(f"  export {' '.join(exports)}   # for work by hand; then:")
        print("  1. change stacks/Pulumi.current.yaml (replicas, requests, …), then: pulumi up")
        print(f"  2. build your own: buildclient build --stack {_STACK} --platform {','.join(_PLATFORMS)} …")
        print(f"  3. take it away: pulumi destroy --yes --remove --stack {_STACK}")

    def _prepend(self, folder: Path) -> None:
        environment = self.shell.environment
        environment["PATH"] = f"{folder}{os.pathsep}{environment.get('PATH', '')}"


def _no_kubeconfig(environment: dict[str, str]) -> str:
    named = environment.get("KUBECONFIG", "")
    files = named.split(os.pathsep) if named else [str(Path.home() / ".kube" / "config")]
    if any(Path(file).is_file() for file in files if file) or "KUBERNETES_SERVICE_HOST" in environment:
        return ""
    return f"there is no kubeconfig ({', '.join(filter(None, files))}), hence no current context; {_OTHER_WAY}"


def _no_pulumi() -> str:
    """Why the Pulumi CLI can be neither found nor built."""
    from localcluster import tools
    from localcluster.machine.preflight import no_go

    if "pulumi" not in tools.missing_sources(["pulumi"]):
        return ""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "the Pulumi CLI is not on PATH: install it (here it is built for Linux on amd64 only)"
    return no_go(["pulumi"]) and f"{no_go(['pulumi'])}; or install the Pulumi CLI"


def _write_once(path: Path, text: str, mode: int = 0o600) -> None:
    from localcluster.machine.files import write_text

    if not path.exists():
        write_text(path, text, mode)


def _image_in(registry: str) -> str:
    return f"{registry}/hello:current" if registry else ""
