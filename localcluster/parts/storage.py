"""Volumes on demand: Rancher's local-path-provisioner, a process beside the control plane, and its StorageClass.

A volume is a folder on the disk of the node that its first pod comes to. The provisioner makes and removes it by a pod
on that node.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from localcluster import tools
from localcluster.images import BASE_IMAGE
from localcluster.instance import NODES, Instance
from localcluster.parts.control import Part, write_if_new

__all__ = ["STORAGE_CLASS", "storage_objects", "storage_part"]

STORAGE_CLASS = "local-path"
_NAMESPACE = "local-path-storage"
_SCRIPTS = "local-path-config"
_NAME = "storage"
_PROVISIONER = "rancher.io/local-path"
_STARTING, _STARTED = b"Starting provisioner controller", b"Started provisioner controller"
_TAIL = 64 * 1024
"""Bytes of the log that are looked at."""


def storage_part(instance: Instance) -> Part:
    """The provisioner. It has no port to be asked on; its log tells when it serves."""

    def make_command() -> tuple[str, ...]:
        return _command(instance)

    def serves() -> bool:
        return _has_started(instance.logs / f"{_NAME}.log")

    return Part(_NAME, make_command, instance.control_namespace, serves, ("apiserver",))


def storage_objects() -> tuple[tuple[str, dict[str, object]], ...]:
    """What the provisioner needs, and the cluster's default StorageClass: (API path, object) each."""
    scripts = {"setup": 'mkdir -m 0777 -p "$VOL_DIR"\n', "teardown": 'rm -rf "$VOL_DIR"\n'}
    named: dict[str, object] = {"name": _SCRIPTS, "namespace": _NAMESPACE}
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    storage_class: dict[str, object] = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": default},
        "provisioner": _PROVISIONER,
        # Which node's disk it is, is known once a pod is scheduled.
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }
    return (
        (
            f"/api/v1/namespaces/{_NAMESPACE}",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}},
        ),
        (
            f"/api/v1/namespaces/{_NAMESPACE}/configmaps/{_SCRIPTS}",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": scripts},
        ),
        (f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}", storage_class),
    )


def _command(instance: Instance) -> tuple[str, ...]:
    folder = instance.state / "storage"
    image = f"{instance.registry}/{BASE_IMAGE}"
    paths = [{"node": node.name, "paths": [str(instance.node_folder(node) / "volumes")]} for node in NODES]
    container = {"name": "helper-pod", "image": image, "imagePullPolicy": "IfNotPresent"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "volume"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    write_if_new(folder / "config.json", json.dumps({"nodePathMap": paths}, indent=1))
    write_if_new(folder / "pod.yaml", json.dumps(pod, indent=1))
    return (
        str(tools.ensure("local-path-provisioner")), "start", "--config", str(folder / "config.json"),
        "--helper-pod-file", str(folder / "pod.yaml"), "--helper-image", image, "--namespace", _NAMESPACE,
        "--configmap-name", _SCRIPTS, "--service-account-name", "default", "--provisioner-name", _PROVISIONER,
        "--kubeconfig", str(instance.kubeconfig),
    )  # fmt: skip


def _has_started(log: Path) -> bool:
    """Whether the log's last word on the controller's start is that it has started."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read(_TAIL)
    except OSError:
        return False
    starting, started = tail.rfind(_STARTING), tail.rfind(_STARTED)
    # A controller that has worked for long has written more than the tail since.
    return started > starting or (starting < 0 and size > _TAIL)
