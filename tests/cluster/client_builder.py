"""A builder made by hand, for tests of the client alone: Deployments, ConfigMap and output as Pulumi writes them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from buildclient.contract.output import BuilderOutput
from tests.conftest import own_namespace

BIN = Path(sys.executable).parent
ARCHITECTURES = ("amd64", "arm64")
_PROBE = {"exec": {"command": ["buildctl", "debug", "workers"]}}


class Ran(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of standard error."""
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


@contextlib.contextmanager
def hand_made(environment: dict[str, str], folder: Path, prefix: str, **replicas: int) -> Iterator[HandMadeBuilder]:
    """A builder, ready, in a namespace whose name begins with a prefix; both are deleted afterwards."""
    with own_namespace(environment, prefix) as namespace:
        made = HandMadeBuilder(environment, namespace, folder)
        made.deploy(**replicas)
        yield made


class HandMadeBuilder:
    """Two nodes, amd64 and arm64, in a namespace of their own."""

    def __init__(self, environment: dict[str, str], namespace: str, folder: Path, name: str = "kube") -> None:
        self.namespace, self.folder, self.name = namespace, folder, name
        self.output = BuilderOutput.from_json(self._output())
        self.file = folder / "builder.json"
        self.file.write_text(self.output.dumps())
        self.environment = {
            **environment,
            "BUILDCLIENT_BUILDER": str(self.file),
            "DOCKER_CONFIG": str(folder / "docker"),
            "HOME": str(folder),
        }
        self.registry = environment["REGISTRY"]
        self.base = environment["BASE_IMAGE"]

    def deploy(self, **replicas: int) -> None:
        """Creates the objects and waits until both nodes are ready, with one pod or as many as are given."""
        made = [self._deployment(architecture) for architecture in ARCHITECTURES]
        for one, architecture in zip(made, ARCHITECTURES, strict=True):
            one["spec"]["replicas"] = replicas.get(architecture, 1)
        self.apply([*made, self._config_map()])
        for architecture in ARCHITECTURES:
            self.kubectl("rollout", "status", f"deployment/builder-{architecture}", "--timeout=120s", timeout=130)

    def apply(self, items: list[dict[str, Any]]) -> None:
        """Applies objects."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.kubectl("apply", "-f", "-", text=text)

    def kubectl(self, *arguments: str, text: str = "", timeout: float = 60) -> str:
        """Standard output of kubectl in the builder's namespace."""
        done = subprocess.run(
            ["kubectl", "-n", self.namespace, *arguments],
            env=self.environment,
            input=text,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def run(self, *arguments: str, timeout: float = 120, **environment: str) -> Ran:
        """Runs `buildclient`."""
        done = subprocess.run(
            [str(BIN / "buildclient"), *arguments],
            env={**self.environment, **environment},
            cwd=self.folder,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def context(self, name: str, dockerfile: str, **files: str) -> str:
        """A context's folder with a Dockerfile (`BASE` stands for the base image) and files."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for file, text in {"Dockerfile": dockerfile.replace("BASE", self.base), **files}.items():
            (folder / file).write_text(text)
        return str(folder)

    def pods(self, architecture: str = "amd64") -> list[str]:
        """Names of a node's pods."""
        return self.kubectl("get", "pods", "-l", f"app=builder-{architecture}", "-o", "name").split()

    def _output(self) -> dict[str, Any]:
        nodes = [
            {
                "name": f"builder-{architecture}",
                "platforms": [f"linux/{architecture}"],
                "workload": {"kind": "Deployment", "name": f"builder-{architecture}"},
                "selector": {"app": f"builder-{architecture}"},
                "container": "buildkitd",
                "replicas": 1,
                "timeoutSeconds": 30,
            }
            for architecture in ARCHITECTURES
        ]
        return {"version": 1, "name": self.name, "namespace": self.namespace, "nodes": nodes}

    def _config_map(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{self.name}-builder", "namespace": self.namespace},
            "data": {"builder.json": self.output.dumps()},
        }

    def _deployment(self, architecture: str) -> dict[str, Any]:
        labels = {"app": f"builder-{architecture}"}
        container = {
            "name": "buildkitd",
            "image": "moby/buildkit:buildx-stable-1",
            "securityContext": {"privileged": True},
            "startupProbe": {**_PROBE, "periodSeconds": 1, "failureThreshold": 120},
            "volumeMounts": [{"name": "state", "mountPath": "/var/lib/buildkit"}],
        }
        spec = {
            "nodeSelector": {"kubernetes.io/arch": architecture},
            "terminationGracePeriodSeconds": 2,
            "containers": [container],
            "volumes": [{"name": "state", "emptyDir": {}}],
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": f"builder-{architecture}", "namespace": self.namespace},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
