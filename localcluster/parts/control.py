"""The control plane and the registry: what each process is started with, and how one sees that it serves."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from localcluster import tools
from localcluster.instance import API_PORT, Instance
from localcluster.machine.files import write_text

__all__ = ["Part", "api", "control_parts"]

_TIMEOUT = 5


class Part(NamedTuple):
    """One long-running process of the cluster."""

    name: str
    command: tuple[str, ...]
    namespace: str
    """Network namespace in which it runs."""
    serves: Callable[[], bool]
    """Whether it answers as it should, asked over its own port."""


def control_parts(instance: Instance) -> tuple[Part, ...]:
    """Registry, etcd, apiserver, controller-manager, scheduler, in the order in which they are started.

    Raises ClusterError when a tool cannot be had.
    """
    where = instance.control_namespace
    pki = instance.pki
    config = _registry_config(instance)
    return (
        Part("registry", (_tool("docker-registry"), "serve", str(config)), where, lambda: _registry_serves(instance)),
        Part("etcd", _etcd(instance), where, lambda: True),
        Part("apiserver", _apiserver(instance), where, lambda: api(instance, "GET", "/readyz")[0] == 200),
        Part(
            "controller-manager",
            (
                _tool("kube-controller-manager"), "--kubeconfig", f"{pki}/controller-manager.kubeconfig",
                "--leader-elect=false", "--service-account-private-key-file", f"{pki}/sa.key",
                "--root-ca-file", f"{pki}/ca.crt", "--bind-address", "127.0.0.1",
            ),
            where,
            lambda: True,
        ),
        Part(
            "scheduler",
            (
                _tool("kube-scheduler"), "--kubeconfig", f"{pki}/scheduler.kubeconfig",
                "--leader-elect=false", "--bind-address", "127.0.0.1",
            ),
            where,
            lambda: True,
        ),
    )  # fmt: skip


def api(
    instance: Instance, method: str, path: str, body: object = None, kind: str = "application/json"
) -> tuple[int, bytes]:
    """One request to the apiserver as administrator; status 0 when it cannot be reached."""
    pki = instance.pki
    try:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        connection = http.client.HTTPSConnection(instance.control_address, API_PORT, context=context, timeout=_TIMEOUT)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": kind, "Accept": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return 0, b""


def _registry_config(instance: Instance) -> Path:
    path = instance.state / "registry.yml"
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(instance.state / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": instance.registry},
    }
    text = json.dumps(config, indent=1)
    if not path.exists() or path.read_text() != text:
        write_text(path, text)
    return path


def _registry_serves(instance: Instance) -> bool:
    host, port = instance.registry.split(":")
    try:
        connection = http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def _tool(name: str) -> str:
    return str(tools.ensure(name))


def _etcd(instance: Instance) -> tuple[str, ...]:
    # Without fsync: killing the process loses nothing, and after a crash of the machine the data is thrown away.
    return (
        _tool("etcd"), "--data-dir", str(instance.state / "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
        "--listen-peer-urls", "http://127.0.0.1:2380",
    )  # fmt: skip


def _apiserver(instance: Instance) -> tuple[str, ...]:
    pki = instance.pki
    return (
        _tool("kube-apiserver"),
        "--advertise-address", instance.control_address, "--bind-address", "0.0.0.0", "--secure-port", str(API_PORT),
        "--etcd-servers", "http://127.0.0.1:2379", "--service-cluster-ip-range", "10.96.0.0/16",
        "--authorization-mode", "Node,RBAC", "--allow-privileged",
        # Otherwise logs and exec would look the node's name up in a DNS that is not there.
        "--kubelet-preferred-address-types", "InternalIP",
        "--client-ca-file", f"{pki}/ca.crt",
        "--tls-cert-file", f"{pki}/apiserver.crt", "--tls-private-key-file", f"{pki}/apiserver.key",
        "--kubelet-client-certificate", f"{pki}/kubelet-client.crt",
        "--kubelet-client-key", f"{pki}/kubelet-client.key",
        "--service-account-issuer", "https://kubernetes.default.svc",
        "--service-account-key-file", f"{pki}/sa.key", "--service-account-signing-key-file", f"{pki}/sa.key",
    )  # fmt: skip
