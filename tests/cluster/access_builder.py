"""A builder that is closed to all but its clients, made by Pulumi, and what can be done with it from outside."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.certificates import Authority
from tests.cluster.client_builder import BIN, Ran
from tests.cluster.infra_project import PulumiProject
from tests.load import busy

PLANTED = {"variable": "planted-variable-5ca1ab1e", "secret": "planted-secret-0ddba11"}
"""Secrets of a pod's environment and of a build."""


class AccessBuilder:
    """A builder in a namespace that the stack makes: node `ready` with a pod, node `idle` with none."""

    def __init__(self, folder: Path, cluster: dict[str, str]) -> None:
        self.namespace, self.folder, self.cluster = f"access-{uuid.uuid4().hex[:8]}", folder, cluster
        self.project = PulumiProject(folder / "project", cluster)
        self.project.run("pulumi", "stack", "init", "test", "--non-interactive")
        self.port = _free_port()
        """Of this machine, by which clients come to the Service."""
        self.authority, self.foreign = Authority(folder), Authority(folder, "foreign-ca")
        self.host = f"ready.{self.namespace}.svc"
        """The Service's name in the cluster."""

    def up(self, **config: Any) -> None:
        """Brings the stack up with this config besides its own."""
        own = {
            "name": "kube", "namespace": self.namespace, "createNamespace": True, "clientServiceAccount": "ci",
            "nodes": [
                {
                    "name": "ready",
                    "driver-opts": {
                        "termination-grace-period": "1s", "endpoint.secret": "server", "endpoint.client-ca": "clients",
                        "endpoint.address": f"127.0.0.1:{self.port}",
                    },
                },
                {"name": "idle", "driver-opts": {"replicas": 0, "persistent-volume-claim.requests.storage": "1Gi"}},
            ],
            "driver-opts": {"nodeselector": "kubernetes.io/arch=amd64", "network-policy": True},
        }  # fmt: skip
        self.project.configure(**{**own, **config})
        self._keep("driver-opts.env.PLANTED", PLANTED["variable"])
        self._keep("kubeconfig", Path(self.cluster["KUBECONFIG"]).read_text())
        with ThreadPoolExecutor(1) as pool:
            secrets = pool.submit(self._make_secrets)
            self.project.up()
            secrets.result(60)

    def _keep(self, key: str, value: str) -> None:
        """Keeps a value in the stack's config as a secret; it goes by standard input."""
        subprocess.run(
            ["pulumi", "config", "set", "--secret", "--path", f"builder:{key}", "--stack", "test"],
            cwd=self.project.folder, env=self.project.environment, input=value, timeout=60, check=True, text=True,
            capture_output=True,
        )  # fmt: skip

    def _make_secrets(self) -> None:
        """The Secrets of the endpoint, once the stack has made the namespace."""
        self.project.kubectl("wait", "--for=create", f"namespace/{self.namespace}", "--timeout=60s")
        server = self.authority.issue("server", self.host, "127.0.0.1")
        pair = (f"--cert={server.cert}", f"--key={server.key}")
        self.kubectl("create", "secret", "tls", "server", *pair)
        self.kubectl("create", "secret", "generic", "clients", f"--from-file=ca.crt={self.authority.ca}")

    def tls_folder(self, name: str, authority: Authority) -> Path:
        """A folder with a client's certificate from an authority, and the authority of the server."""
        folder = self.folder / name
        folder.mkdir()
        files = authority.issue(name)
        for source, target in ((self.authority.ca, "ca.pem"), (files.cert, "cert.pem"), (files.key, "key.pem")):
            shutil.copy(source, folder / target)
        return folder

    def pod_address(self) -> str:
        """The address behind the Service, as its EndpointSlice has it."""
        slices = json.loads(
            self.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=ready", "-o", "json")
        )
        (one,) = slices["items"]
        return f"{one['endpoints'][0]['addresses'][0]}:{one['ports'][0]['port']}"

    @contextmanager
    def forwarded(self) -> Iterator[None]:
        """The Service is at the port of this machine while the block runs."""
        command = ["kubectl", "-n", self.namespace, "port-forward", "service/ready", f"{self.port}:1234"]
        with subprocess.Popen(command, env=self.cluster, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert "Forwarding from" in process.stdout.readline()
                yield
            finally:
                process.terminate()

    def kubectl(self, *arguments: str) -> str:
        """Standard output of kubectl in the namespace."""
        return self.project.kubectl("-n", self.namespace, *arguments)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """A live object."""
        return dict(json.loads(self.kubectl("get", kind, name, "-o", "json")))

    def kubeconfig(self, account: str = "ci") -> Path:
        """A kubeconfig of the ServiceAccount."""
        config = yaml.safe_load(Path(self.cluster["KUBECONFIG"]).read_text())
        config["users"][0]["user"] = {"token": self.kubectl("create", "token", account).strip()}
        path = self.folder / f"{account}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def output_file(self, name: str, node: str, **fields: Any) -> Path:
        """A file with the builder's output of one node alone, in which these fields of it are others."""
        output = self.project.output()
        nodes = [one for one in output["nodes"] if one["name"] == node]
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({**output, "nodes": [{**one, **fields} for one in nodes]}))
        return path

    def context(self, dockerfile: str = "FROM scratch\nCOPY Dockerfile /\n") -> str:
        """A context's folder with that Dockerfile; `BASE` stands for the base image."""
        folder = self.folder / "context"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile.replace("BASE", self.cluster["BASE_IMAGE"]))
        return str(folder)

    def client(self, *arguments: str, environment: Mapping[str, str]) -> Ran:
        """Runs `buildclient` outside of a project, with this environment besides PATH and HOME."""
        done = subprocess.run(
            [str(BIN / "buildclient"), *arguments],
            env={"PATH": self.cluster["PATH"], "HOME": str(self.folder), **environment},
            cwd=self.folder, timeout=60, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def without(self, role: str, resource: str, verb: str) -> Iterator[None]:
        """Takes one verb out of a Role while the block runs."""
        rules = self.get("role", role)["rules"]
        fewer = [
            {**rule, "verbs": [one for one in rule["verbs"] if one != verb]}
            if rule["resources"] == [resource]
            else rule
            for rule in rules
        ]
        self._write(role, [rule for rule in fewer if rule["verbs"]])
        try:
            yield
        finally:
            self._write(role, rules)

    def _write(self, role: str, rules: list[dict[str, Any]]) -> None:
        before, until = self._rights(), time.monotonic() + busy(20)
        self.kubectl("patch", "role", role, "--type=merge", "-p", json.dumps({"rules": rules}))
        # The authorizer reads Roles through a watch.
        while self._rights() == before:
            assert time.monotonic() < until, "the authorizer knows nothing of it"
            time.sleep(0.05)

    def _rights(self) -> list[str]:
        """What the ServiceAccount may, as the API server's authorizer knows it."""
        user = f"--as=system:serviceaccount:{self.namespace}:ci"
        return sorted(self.kubectl("auth", "can-i", "--list", "--no-headers", user).splitlines())


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
