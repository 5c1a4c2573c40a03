"""Where one local cluster lives: names, addresses, folders. Everything else is derived from an Instance."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from typing import NamedTuple

__all__ = ["NODES", "Instance", "NodeSpec", "cache_folder", "current_instance"]

REGISTRY_PORT = 5000
API_PORT = 6443


class NodeSpec(NamedTuple):
    """One node: its name and architecture, the last octet of its address, the third octet of its pods' subnet."""

    name: str
    architecture: str
    host: int
    subnet: int


NODES = (NodeSpec("amd64", "amd64", 11, 1), NodeSpec("arm64", "arm64", 12, 2))


class Instance(NamedTuple):
    """A local cluster of this machine; `lc` is the one that everybody shares."""

    name: str
    octet: int
    """Second octet of its addresses: everything is inside 10.<octet>.0.0/16."""
    state: Path
    """What lives as long as the cluster: keys, etcd, the nodes' disks, the registry, Pulumi's state."""
    run: Path
    """What lives as long as the processes: their records."""

    @property
    def control_address(self) -> str:
        return f"10.{self.octet}.0.1"

    @property
    def host_address(self) -> str:
        """This machine's own address on the cluster's bridge."""
        return f"10.{self.octet}.0.254"

    @property
    def subnet(self) -> str:
        return f"10.{self.octet}.0.0/16"

    @property
    def registry(self) -> str:
        """`host:port` of the registry, reached by the machine, the nodes and the pods."""
        return f"{self.control_address}:{REGISTRY_PORT}"

    @property
    def server(self) -> str:
        return f"https://{self.control_address}:{API_PORT}"

    @property
    def host_link(self) -> str:
        """The one network device outside of the instance's namespaces."""
        return f"{self.name}-host"

    @property
    def control_namespace(self) -> str:
        return f"{self.name}-control"

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.control_namespace, *(self.node_namespace(node) for node in NODES))

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.pki / "admin.kubeconfig"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    def node_namespace(self, node: NodeSpec) -> str:
        return f"{self.name}-{node.name}"

    def node_address(self, node: NodeSpec) -> str:
        return f"10.{self.octet}.0.{node.host}"

    def pod_subnet(self, node: NodeSpec) -> str:
        return f"10.{self.octet}.{node.subnet}.0/24"

    def node_folder(self, node: NodeSpec) -> Path:
        return self.state / "nodes" / node.name

    def node_cgroup(self, node: NodeSpec) -> str:
        return f"{self.name}-{node.name}"


def current_instance() -> Instance:
    """The instance that LOCALCLUSTER_INSTANCE names (2 to 6 lower-case letters), by default `lc`.

    Its folders are the machine's, not a clone's: one cluster, whichever clone asks. Raises ValueError.
    """
    name = os.environ.get("LOCALCLUSTER_INSTANCE") or "lc"
    if not re.fullmatch(r"[a-z]{2,6}", name):
        raise ValueError(f'LOCALCLUSTER_INSTANCE must be 2 to 6 lower-case letters, not "{name}"')
    octet = 77 if name == "lc" else 100 + zlib.crc32(name.encode()) % 120
    return Instance(name, octet, Path("/var/lib/buildkit-builders") / name, Path("/run/buildkit-builders") / name)


def cache_folder() -> Path:
    """Where built tools and image layers are kept, for every clone and instance: outside of the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "buildkit-builders"
