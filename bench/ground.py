"""What is measured on: two nodes that Pulumi provisioned in a namespace of their own, and both clients attached."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.measure import BenchError, Ran, timed
from localcluster import tools

__all__ = ["ARCHITECTURES", "ROOT", "Ground", "cluster_environment"]

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURES = ("amd64", "arm64")
_PASSPHRASE = "bench"


class Ground:
    """A folder, a namespace, a Pulumi project with stack `local` in it, and what both clients need to know of them."""

    def __init__(self, folder: Path, namespace: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.namespace = namespace
        self.buildx = str(tools.ensure("buildx"))
        self.project = folder / "project"
        self.environment = {
            **environment,
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "BUILDX_CONFIG": str(folder / "buildx"),
            "DOCKER_CONFIG": str(folder / "docker"),
        }
        # An installed program has its byte code; a clone gets it with the first run, unless it is told not to.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.registry = self.environment["REGISTRY"]
        self.base = self.environment["BASE_IMAGE"]

    def prepare(self) -> None:
        """Copies the project with its stack `local`, but for the namespace."""
        (self.folder / "state").mkdir(parents=True)
        (self.project / "stacks").mkdir(parents=True)
        (self.project / ".venv").symlink_to(ROOT / ".venv")
        shutil.copy(ROOT / "Pulumi.yaml", self.project)
        shutil.copy(ROOT / "stacks" / "__main__.py", self.project / "stacks")
        stored = yaml.safe_load((ROOT / "localcluster" / "Pulumi.local.yaml").read_text())["config"]
        config = {**stored, "builder:namespace": self.namespace}
        (self.project / "stacks" / "Pulumi.local.yaml").write_text(yaml.safe_dump({"config": config}))
        self.run("pulumi", "stack", "init", "local", "--non-interactive")

    def up(self) -> Ran:
        """`pulumi up` of the stack, from nothing to ready pods."""
        return self.run("pulumi", "up", "--yes", "--skip-preview", "--non-interactive")

    def destroy(self) -> None:
        """Removes all that `up` made. Also after a failed one."""
        self.run("pulumi", "destroy", "--yes", "--skip-preview", "--non-interactive")

    def attach(self) -> None:
        """Two builders for each client: `both` with the two nodes, `one` with the first alone."""
        # docker buildx learns from it alone that the registry speaks plain HTTP, which it merges in by itself.
        settings = self.folder / "buildkitd.toml"
        settings.write_text(f'[registry."{self.registry}"]\nhttp = true\n')
        whole = self.output()
        nodes = [node["name"] for node in whole["nodes"]]
        for builder, count in (("both", len(nodes)), ("one", 1)):
            output = {**whole, "nodes": whole["nodes"][:count]}
            self.output_file(builder).write_text(json.dumps(output))
            for number, node in enumerate(nodes[:count]):
                append = ["--append"] if number else []
                self.run(
                    self.buildx, "create", *append, "--name", builder, "--driver", "kubernetes", "--node", node,
                    "--platform", f"linux/{ARCHITECTURES[number]}", "--driver-opt", f"namespace={self.namespace}",
                    "--buildkitd-config", str(settings),
                )  # fmt: skip

    def output(self) -> Any:
        """The stack's output `builder`."""
        command = ["pulumi", "stack", "output", "builder", "--json", "--non-interactive"]
        done = subprocess.run(
            command, cwd=self.project, env=self.environment, stdout=subprocess.PIPE, check=True, timeout=60
        )
        return json.loads(done.stdout)

    def output_file(self, builder: str) -> Path:
        """Where a builder's output is kept, for our client."""
        return self.folder / f"{builder}.json"

    def run(self, *command: str) -> Ran:
        """Runs a command in the project's folder. Raises BenchError."""
        return timed(command, self.environment, self.project)

    def client(self, client: str, builder: str, command: Sequence[str]) -> Ran:
        """Runs a client's command (such as `build …`) with one of the builders of `attach`."""
        own = {"BUILDX_BUILDER": builder} if client == "buildx" else {}
        if client == "ours":
            own["BUILDCLIENT_BUILDER"] = str(self.output_file(builder))
        program = self.buildx if client == "buildx" else str(ROOT / ".venv/bin/buildclient")
        return timed([program, *command], {**self.environment, **own}, self.project)

    def prune(self) -> None:
        """Empties the caches of all daemons."""
        for architecture in ARCHITECTURES:
            self.run(
                "kubectl", "-n", self.namespace, "exec", f"deployment/builder-{architecture}", "--",
                "buildctl", "prune", "--all",
            )  # fmt: skip


def cluster_environment() -> dict[str, str]:
    """The environment of the local cluster, which has to be up. Raises BenchError."""
    command = [sys.executable, "-m", "localcluster", "env", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise BenchError(f"the local cluster is not up: {done.stderr.strip()}\nstart it: python -m localcluster up")
    return {**os.environ, **json.loads(done.stdout)}
