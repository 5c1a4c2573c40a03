"""A node: a box of its own mount, process and network namespace with containerd and a kubelet inside.

One pid to record and to kill; every process and mount of the node, its pods included, ends with it.
"""

from __future__ import annotations

import functools
import json
import os
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from localcluster import tools
from localcluster.instance import Instance, NodeSpec
from localcluster.machine import process
from localcluster.machine.command import succeeds
from localcluster.machine.files import write_text
from localcluster.parts.control import Part
from localcluster.parts.probe import answers, api

__all__ = ["Ready", "node_part", "policy_objects", "prepare", "ready_nodes"]

_EMULATOR = {"arm64": "aarch64"}
"""QEMU's name of the architecture that a foreign node executes."""
_FOLDERS = ("var-lib-containerd", "var-lib-kubelet", "var-lib-cni", "var-log", "etc", "cni", "certs.d")
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_INIT = Path(__file__).with_name("init.sh").read_text()
_KUBELET_PORT = 10250
ARCH_LABEL = "kubernetes.io/arch"


def node_part(instance: Instance, node: NodeSpec) -> Part:
    """The process that is the node."""

    def serves() -> bool:
        return _serves(instance, node)

    make_command = functools.partial(_command, instance, node)
    return Part(f"node-{node.name}", make_command, instance.node_namespace(node), serves)


def _command(instance: Instance, node: NodeSpec) -> tuple[str, ...]:
    """Raises ClusterError when a tool cannot be had."""
    folder = instance.node_folder(node)
    kubelet = [
        "--config", f"{folder}/etc/kubelet.yaml", "--kubeconfig", f"{instance.pki}/node-{node.name}.kubeconfig",
        "--node-ip", instance.node_address(node), "--hostname-override", node.name,
    ]  # fmt: skip
    environment = {
        "NODE": node.name,
        "FOLDER": str(folder),
        "LOGS": str(instance.logs),
        "BINFMT": tools.emulator(_EMULATOR[node.architecture]) if node.architecture in _EMULATOR else "",
        "CONTAINERD": str(tools.ensure("containerd")),
        "KUBELET": str(tools.ensure("kubelet")),
        "KUBELET_ARGS": " ".join(kubelet),
        # containerd looks for its shim, and the shim for runc, on PATH.
        "PATH": os.pathsep.join(dict.fromkeys([*_tool_folders(), *_SYSTEM_PATH])),
    }
    return (
        "env", "-i", *(f"{name}={value}" for name, value in environment.items()),
        "unshare", "--mount", "--pid", "--fork", "--uts", "--mount-proc", "--kill-child=SIGKILL",
        # As text: the box must not depend on the clone that started it, nor restart because another asks.
        "bash", "-c", _INIT, "init",
    )  # fmt: skip


def _tool_folders() -> list[str]:
    return [str(tools.ensure(name).parent) for name in ("containerd", "containerd-shim-runc-v2", "runc")]


def _serves(instance: Instance, node: NodeSpec) -> bool:
    """Whether the kubelet answers on its port, and containerd on its socket, seen through the box's own root."""
    record = process.load(instance.run, f"node-{node.name}")
    if record is None or not answers(instance, instance.node_address(node), _KUBELET_PORT, "/healthz", tls=True):
        return False
    socket = f"/proc/{record.pid}/root/run/containerd/containerd.sock"
    return succeeds(str(tools.ensure("ctr")), "--address", socket, "version", timeout=5)


def prepare(instance: Instance, node: NodeSpec) -> None:
    """Writes the node's configuration files."""
    folder = instance.node_folder(node)
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_text(folder / "etc" / "containerd.toml", _containerd(instance, node))
    write_text(folder / "etc" / "kubelet.yaml", json.dumps(_kubelet(instance, node), indent=1))
    write_text(folder / "cni" / "10-local.conflist", json.dumps(_cni(instance, node), indent=1))
    for host in ("docker.io", instance.registry):
        write_text(folder / "certs.d" / host / "hosts.toml", _hosts(instance, node))


class Ready(NamedTuple):
    """What a Ready node says of itself."""

    architecture: str
    heard: float
    """When it last said so, in seconds since the epoch: a Ready condition may be a dead kubelet's last word."""


def ready_nodes(instance: Instance) -> dict[str, Ready]:
    """The nodes that are Ready, by name."""
    status, body = api(instance, "GET", "/api/v1/nodes")
    if status != 200:
        return {}
    found = {}
    for item in json.loads(body)["items"]:
        for condition in item["status"].get("conditions", []):
            if condition["type"] == "Ready" and condition["status"] == "True":
                heard = datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp()
                label = item["metadata"].get("labels", {}).get(ARCH_LABEL, "")
                found[item["metadata"]["name"]] = Ready(label, heard)
    return found


def policy_objects(node: NodeSpec) -> tuple[tuple[str, dict[str, object]], ...]:
    """The admission policy, and its binding, that keep a node's architecture label: (API path, object) each.

    The kubelet resets the label to its own GOARCH at every status update; neither --node-labels nor kubectl last.
    """
    name = f"{node.architecture}-node"
    path = f"'/metadata/labels/' + jsonpatch.escapeKey('{ARCH_LABEL}')"
    value = f"[JSONPatch{{op: 'add', path: {path}, value: '{node.architecture}'}}]"
    rule: dict[str, object] = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["nodes", "nodes/status"],
    }
    group = "admissionregistration.k8s.io/v1"
    policy: dict[str, object] = {
        "apiVersion": group,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "matchConditions": [{"name": "by-name", "expression": f"object.metadata.name == '{node.name}'"}],
            "reinvocationPolicy": "Never",
            "failurePolicy": "Fail",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": value}}],
        },
    }
    binding: dict[str, object] = {
        "apiVersion": group,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name},
    }
    root = f"/apis/{group}"
    return (
        (f"{root}/mutatingadmissionpolicies/{name}", policy),
        (f"{root}/mutatingadmissionpolicybindings/{name}", binding),
    )


def _containerd(instance: Instance, node: NodeSpec) -> str:
    folder = instance.node_folder(node)
    unused = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in ("aufs", "btrfs", "devmapper", "zfs"))
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [{unused}]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  # Root may lack CAP_SYS_RESOURCE, and then no sandbox could lower its OOM score.
  restrict_oom_score_adj = true
  sandbox_image = "{instance.registry}/pause:1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{tools.cni_folder()}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/certs.d"
"""


def _hosts(instance: Instance, node: NodeSpec) -> str:
    """Where a node looks for images: the registry; on a foreign node first below its architecture's own prefix.

    containerd runs as an amd64 program there and would take the amd64 half of an index.
    """
    registry = f"http://{instance.registry}"
    own = ""
    if node.architecture != "amd64":
        own = f"""\
[host."{registry}/v2/{node.architecture}"]
  capabilities = ["pull", "resolve"]
  override_path = true
"""
    return f"""\
server = "{registry}"
{own}[host."{registry}"]
  capabilities = ["pull", "resolve"]
"""


def _cni(instance: Instance, node: NodeSpec) -> dict[str, object]:
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam",
        "ranges": [[{"subnet": instance.pod_subnet(node)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    return {"cniVersion": "0.4.0", "name": "local", "plugins": [bridge]}


def _kubelet(instance: Instance, node: NodeSpec) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        # Two kubelets in one cgroup tree would end each other's pods.
        "cgroupRoot": f"/{instance.node_cgroup(node)}",
        "address": instance.node_address(node),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": f"{instance.pki}/ca.crt"},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failSwapOn": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
        "nodeStatusUpdateFrequency": "5s",
        "resolvConf": "",
        "serializeImagePulls": False,
    }
