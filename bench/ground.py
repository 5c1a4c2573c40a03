"""What is measured on: two nodes that Pulumi provisioned in a namespace of their own, and both clients attached."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bench.link import Link, running
from bench.measure import BenchError, Ran, timed, timed_at_once
from localcluster import tools

__all__ = ["ARCHITECTURES", "ROOT", "Ground", "cluster_environment", "own_ground"]

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
        self.name = ""
        """The builder's name, once both clients are attached."""
        self._kubeconfig = ""
        self.environment = {
            **environment,
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "BUILDX_CONFIG": str(folder / "buildx"),
            "DOCKER_CONFIG": str(folder / "docker"),
        }
        # An installed program has its byte code; a clone gets it with the first run, unless it is told not to.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment.pop("XDG_RUNTIME_DIR", None)
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

    def configure(self, *nodes: Mapping[str, object]) -> None:
        """Makes it a stack of these nodes, as stack config has them."""
        file = self.project / "stacks" / "Pulumi.local.yaml"
        # Pulumi's own keys stay: the state's secrets need the salt.
        stored = yaml.safe_load(file.read_text())
        config = {"builder:namespace": self.namespace, "builder:nodes": [dict(node) for node in nodes]}
        file.write_text(yaml.safe_dump({**stored, "config": config}, sort_keys=False))

    def up(self) -> Ran:
        """`pulumi up` of the stack, from nothing to ready pods."""
        return self.run("pulumi", "up", "--yes", "--skip-preview", "--non-interactive")

    def destroy(self) -> None:
        """Removes all that `up` made. Also after a failed one."""
        self.run("pulumi", "destroy", "--yes", "--skip-preview", "--non-interactive")

    def attach(self, *registries: str, kubeconfig: str = "") -> None:
        """Two builders for each client: `both` with the two nodes, `one` with the first alone.

        `registries` speak plain HTTP too, besides the cluster's. docker buildx notes the path of a `kubeconfig`.
        """
        # docker buildx learns from it alone that the registry speaks plain HTTP, which it merges in by itself.
        settings = self.folder / "buildkitd.toml"
        plain = (f'[registry."{registry}"]\nhttp = true\n' for registry in (self.registry, *registries))
        settings.write_text("".join(plain))
        environment = {**self.environment, **({"KUBECONFIG": kubeconfig} if kubeconfig else {})}
        whole = self.output()
        self.name = whole["name"]
        nodes = [node["name"] for node in whole["nodes"]]
        for builder, count in (("both", len(nodes)), ("one", 1)):
            output = {**whole, "nodes": whole["nodes"][:count]}
            self.output_file(builder).write_text(json.dumps(output))
            for number, node in enumerate(nodes[:count]):
                append = ["--append"] if number else []
                timed((
                    self.buildx, "create", *append, "--name", builder, "--driver", "kubernetes", "--node", node,
                    "--platform", f"linux/{ARCHITECTURES[number]}", "--driver-opt", f"namespace={self.namespace}",
                    "--buildkitd-config", str(settings),
                ), environment, self.project)  # fmt: skip

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

    def client(
        self,
        client: str,
        builder: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        at_once: int = 1,
    ) -> Ran:
        """Runs a client's command (such as `build …`) with one of the builders of `attach`, or several times at once.

        `environment` is added to; where the command names the builder itself, no variable does.
        """
        program = self.buildx if client == "buildx" else str(ROOT / ".venv/bin/buildclient")
        given = self.for_client(client, "" if "--from-cluster" in command else builder)
        return timed_at_once([[program, *command]] * at_once, {**given, **(environment or {})}, self.project)

    def for_client(self, client: str, builder: str) -> dict[str, str]:
        """The environment of a client's command; the name of the builder may be empty."""
        if client == "buildx":
            return {**self.environment, "BUILDX_BUILDER": builder}
        named = {"BUILDCLIENT_BUILDER": str(self.output_file(builder))} if builder else {}
        return {**self.environment, **named, "XDG_CACHE_HOME": str(self.folder / "cache")}

    def by_link(self) -> str:
        """Makes a kubeconfig of its own that `over` changes, for both clients; its path, for `attach`."""
        own = self.folder / "kubeconfig"
        if not self._kubeconfig:
            # As kubectl writes it: the cluster's own is JSON, which is sooner read.
            known = yaml.safe_load(Path(self.environment["KUBECONFIG"]).read_text())
            self._kubeconfig = yaml.safe_dump(known)
            own.write_text(self._kubeconfig)
            self.environment["KUBECONFIG"] = str(own)
        return str(own)

    @contextlib.contextmanager
    def over(self, rtt: float, rate: float) -> Iterator[Link | None]:
        """Both clients reach the API server over a link, after `by_link`; with neither time nor rate, directly."""
        if not rtt and not rate:
            yield None
            return
        own = Path(self.by_link())
        server = re.search(r"https://[^\"'\s]+", self._kubeconfig)
        assert server
        url = urlsplit(server[0])
        assert url.hostname
        assert url.port
        with running(url.hostname, url.port, rtt=rtt, rate=rate) as link:
            own.write_text(self._kubeconfig.replace(server[0], f"https://127.0.0.1:{link.port}"))
            try:
                yield link
            finally:
                own.write_text(self._kubeconfig)

    def prune(self) -> None:
        """Empties the caches of all daemons."""
        for architecture in ARCHITECTURES:
            self.run(
                "kubectl", "-n", self.namespace, "exec", f"deployment/builder-{architecture}", "--",
                "buildctl", "prune", "--all",
            )  # fmt: skip


@contextlib.contextmanager
def own_ground(name: str) -> Iterator[Ground]:
    """A ground with an empty namespace, whose name begins with `name`; the namespace is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ground = Ground(Path(folder), f"{name}-{secrets.token_hex(4)}", cluster_environment())
        ground.prepare()
        ground.run("kubectl", "create", "namespace", ground.namespace)
        try:
            yield ground
        finally:
            ground.run("kubectl", "delete", "namespace", ground.namespace, "--wait=false")


def cluster_environment() -> dict[str, str]:
    """The environment of the local cluster, which has to be up. Raises BenchError."""
    command = [sys.executable, "-m", "localcluster", "env", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise BenchError(f"the local cluster is not up: {done.stderr.strip()}\nstart it: python -m localcluster up")
    return {**os.environ, **json.loads(done.stdout)}
