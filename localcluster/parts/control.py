"""The control plane and the registry: what each process is started with, and how one sees that it serves."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from localcluster import tools
from localcluster.instance import API_PORT, REGISTRY_PORT, Instance
from localcluster.machine.files import write_text
from localcluster.parts.probe import answers

__all__ = ["Part", "control_parts", "write_if_new"]

_Command = Callable[[Instance], tuple[str, ...]]
_ETCD_HEALTH, _MANAGER_PORT, _SCHEDULER_PORT = 2381, 10257, 10259


class Part(NamedTuple):
    """One long-running process of the cluster."""

    name: str
    make_command: Callable[[], tuple[str, ...]]
    """Gives what it is started with, and writes the files that this names; makes tools, so only a starter asks."""
    namespace: str
    """Network namespace in which it runs."""
    serves: Callable[[], bool]
    """Whether it answers as it should, asked over its own port."""
    after: tuple[str, ...] = ()
    """Parts that must serve before this one is started."""


def control_parts(instance: Instance) -> tuple[Part, ...]:
    """Registry, etcd, apiserver, controller-manager, scheduler, in the order in which they are started."""
    address = instance.control_address

    def part(name: str, command: _Command, port: int, path: str, *, tls: bool = True, after: str = "") -> Part:
        def serves() -> bool:
            return answers(instance, address, port, path, tls=tls)

        make_command = functools.partial(command, instance)
        return Part(name, make_command, instance.control_namespace, serves, (after,) if after else ())

    return (
        part("registry", _registry, REGISTRY_PORT, "/v2/", tls=False),
        part("etcd", _etcd, _ETCD_HEALTH, "/health", tls=False),
        part("apiserver", _apiserver, API_PORT, "/readyz"),
        part("controller-manager", _manager, _MANAGER_PORT, "/healthz", after="apiserver"),
        part("scheduler", _scheduler, _SCHEDULER_PORT, "/healthz", after="apiserver"),
    )


def _registry(instance: Instance) -> tuple[str, ...]:
    path = instance.state / "registry.yml"
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(instance.state / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": instance.registry},
    }
    write_if_new(path, json.dumps(config, indent=1))
    return _tool("docker-registry"), "serve", str(path)


def write_if_new(path: Path, text: str) -> None:
    """Write a file unless it holds that text already."""
    if not path.exists() or path.read_text() != text:
        write_text(path, text)


def _tool(name: str) -> str:
    return str(tools.ensure(name))


def _etcd(instance: Instance) -> tuple[str, ...]:
    # Without fsync: killing the process loses nothing, and after a crash of the machine the data is thrown away.
    return (
        _tool("etcd"), "--data-dir", str(instance.state / "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
        "--listen-peer-urls", "http://127.0.0.1:2380",
        "--listen-metrics-urls", f"http://{instance.control_address}:{_ETCD_HEALTH}",
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


def _manager(instance: Instance) -> tuple[str, ...]:
    pki = instance.pki
    return (
        _tool("kube-controller-manager"), "--kubeconfig", f"{pki}/controller-manager.kubeconfig",
        "--leader-elect=false", "--service-account-private-key-file", f"{pki}/sa.key",
        "--root-ca-file", f"{pki}/ca.crt", "--bind-address", instance.control_address,
    )  # fmt: skip


def _scheduler(instance: Instance) -> tuple[str, ...]:
    return (
        _tool("kube-scheduler"), "--kubeconfig", f"{instance.pki}/scheduler.kubeconfig",
        "--leader-elect=false", "--bind-address", instance.control_address,
    )  # fmt: skip
