"""A stack whose nodes are scaled by the cluster, and a client of it that may build and no more."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.client_builder import BIN, Ran
from tests.cluster.infra_project import PulumiProject
from tests.conftest import own_namespace
from tests.load import busy

__all__ = ["ScalingBuilder", "scaled_object_kind", "scaling_builder"]

_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {
        "group": "keda.sh",
        "scope": "Namespaced",
        "names": {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                },
            }
        ],
    },
}
"""KEDA's kind, without its schema and its operator."""


class ScalingBuilder:
    """Its node `resting` goes to no pods; whoever makes it gives its nodes."""

    def __init__(self, folder: Path, cluster: dict[str, str], namespace: str) -> None:
        self.namespace, self.folder, self.cluster = namespace, folder, cluster
        self.project = PulumiProject(folder / "project", cluster)
        self.project.run("pulumi", "stack", "init", "test", "--non-interactive")
        self.client_environment = dict(cluster)
        """That of the ServiceAccount which may build, on node `resting`."""

    def up(self, nodes: dict[str, dict[str, Any]]) -> str:
        """Brings the stack up with these nodes, options by name; returns what Pulumi printed."""
        listed = [{"name": name, "driver-opts": options} for name, options in nodes.items()]
        self.project.configure(name="kube", namespace=self.namespace, clientServiceAccount="ci", nodes=listed)
        done = self.project.up()
        output = self.project.output()
        output["nodes"] = [node for node in output["nodes"] if node["name"] == "resting"]
        (self.folder / "builder.json").write_text(json.dumps(output))
        config = yaml.safe_load(Path(self.cluster["KUBECONFIG"]).read_text())
        config["users"][0]["user"] = {"token": self.kubectl("create", "token", "ci").strip()}
        (self.folder / "ci.yaml").write_text(yaml.safe_dump(config))
        own = {"KUBECONFIG": str(self.folder / "ci.yaml"), "BUILDCLIENT_BUILDER": str(self.folder / "builder.json")}
        self.client_environment = {**self.cluster, **own}
        return done.output

    def kubectl(self, *arguments: str) -> str:
        """Standard output of kubectl in the namespace."""
        return self.project.kubectl("-n", self.namespace, *arguments)

    def get(self, kind: str, name: str) -> Any:
        """A live object."""
        return json.loads(self.kubectl("get", kind, name, "-o", "json"))

    def rights(self, account: str) -> set[tuple[str, str]]:
        """Resources and verbs that a ServiceAccount has beyond those of everyone."""
        user = f"--as=system:serviceaccount:{self.namespace}:{account}"
        lines = self.kubectl("auth", "can-i", "--list", "--no-headers", user).splitlines()
        found = {(line.split()[0], line.rsplit("[", 1)[1].rstrip("]")) for line in lines if "[" in line}
        return {(what, verbs) for what, verbs in found if not what.startswith(("self", "["))}

    def look(self, name: str) -> str:
        """Runs a job of the CronJob of node `resting`; returns what it printed."""
        cron_job = "--from=cronjob/resting-to-zero"
        job = json.loads(self.kubectl("create", "job", name, cron_job, "--dry-run=client", "-o", "json"))
        # The local cluster routes no Service addresses: the pod is given the API server's own.
        server = yaml.safe_load(Path(self.cluster["KUBECONFIG"]).read_text())["clusters"][0]["cluster"]["server"]
        address = dict(zip(("HOST", "PORT"), server.removeprefix("https://").split(":"), strict=True))
        variables = [{"name": f"KUBERNETES_SERVICE_{key}", "value": value} for key, value in address.items()]
        job["spec"]["template"]["spec"]["containers"][0]["env"] = variables
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(job))
        self.kubectl("create", "-f", str(file))
        deadline = time.monotonic() + busy(40)
        while time.monotonic() < deadline:
            status = self.get("job", name)["status"]
            if status.get("succeeded") or status.get("failed"):
                return self.kubectl("logs", f"job/{name}").strip()
            time.sleep(0.3)
        raise AssertionError(self.kubectl("describe", "pods", "-l", f"job-name={name}"))

    def start(self, dockerfile: str) -> subprocess.Popen[str]:
        """Begins a build as the client."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        (folder / "Dockerfile").write_text(dockerfile.replace("BASE", self.cluster["BASE_IMAGE"]))
        command = [str(BIN / "buildclient"), "build", "--progress=plain", "--no-cache", str(folder)]
        return subprocess.Popen(
            command, env=self.client_environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )

    def client(self, *arguments: str) -> Ran:
        """Runs `buildclient` as the client."""
        done = subprocess.run(
            [str(BIN / "buildclient"), *arguments],
            env=self.client_environment, timeout=60, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)


@contextmanager
def scaling_builder(folder: Path, cluster: dict[str, str]) -> Iterator[ScalingBuilder]:
    """A builder in a namespace of its own, both taken away at the end."""
    with own_namespace(cluster, "scaling") as namespace:
        builder = ScalingBuilder(folder, cluster, namespace)
        try:
            yield builder
        finally:
            builder.project.pulumi("destroy", "--yes", "--skip-preview")


@contextmanager
def scaled_object_kind(builder: ScalingBuilder) -> Iterator[None]:
    """The cluster knows KEDA's kind while the block runs."""
    file = builder.folder / "crd.json"
    file.write_text(json.dumps(_CRD))
    builder.kubectl("apply", "-f", str(file))
    try:
        builder.kubectl("wait", "--for=condition=Established", "crd/scaledobjects.keda.sh", "--timeout=30s")
        yield
    finally:
        builder.kubectl("delete", "crd", "scaledobjects.keda.sh", "--timeout=30s")
