"""The provider's connection: settings, the client or the reason why there is none, the log, the cancellation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from standins.provider import kubeconfig, settings
from standins.provider.await_.loop import Canceller
from standins.provider.client import Client
from standins.provider.engine_log import Log
from standins.provider.errors import NoMatch, StatusError, Unreachable
from standins.provider.kubeconfig import KubeconfigError
from standins.provider.objects import Object

__all__ = ["Cluster", "connect"]

# For when the cluster can't be asked. Whatever is not listed is taken for namespaced.
_CLUSTER_WIDE: Final = frozenset(
    (
        "APIService",
        "ClusterRole",
        "ClusterRoleBinding",
        "CSIDriver",
        "CSINode",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    )
)


@dataclass
class Cluster:
    """What the operations work with."""

    settings: settings.Settings
    log: Log
    namespace: str = "default"
    """Where objects go that name none."""
    connected: Client | None = None
    unreachable: str = ""
    """Why there is no client."""
    canceller: Canceller = field(default_factory=Canceller)

    @property
    def client(self) -> Client:
        """The client. Raises Unreachable."""
        if self.connected is None:
            raise Unreachable(f"configured Kubernetes cluster is unreachable: {self.unreachable}")
        return self.connected

    def knows(self, target: Object) -> bool:
        """Whether the cluster can be asked, and serves the object's kind."""
        if self.connected is None:
            return False
        try:
            self.connected.resource(target.get("apiVersion", ""), target.get("kind", ""))
        except (NoMatch, StatusError, Unreachable):
            return False
        return True

    def namespaced(self, target: Object) -> bool:
        """Whether the object's kind lives in namespaces; a kind that is not known (yet) is taken to."""
        if self.connected is not None:
            try:
                return self.connected.resource(target.get("apiVersion", ""), target.get("kind", "")).namespaced
            except (NoMatch, StatusError, Unreachable):
                return target.get("kind") not in _CLUSTER_WIDE
        return target.get("kind") not in _CLUSTER_WIDE


def connect(variables: Mapping[str, str], log: Log) -> Cluster:
    """The cluster of Configure's variables. One that can't be reached is no error yet: previews go on without."""
    found = settings.read(variables)
    cluster = Cluster(found, log)
    try:
        config = kubeconfig.load(found.kubeconfig)
    except KubeconfigError as error:
        cluster.unreachable = f"failed to parse kubeconfig data in `kubernetes:config:kubeconfig`- {error}"
        return cluster
    try:
        access = kubeconfig.resolve(config, found.context, found.cluster)
    except KubeconfigError as error:
        cluster.unreachable = f"unable to load Kubernetes client configuration from kubeconfig file: {error}"
        return cluster
    cluster.namespace = found.namespace or access.namespace or "default"
    try:
        client = Client(access)
        client.request("GET", "/version")
    except (Unreachable, StatusError, ValueError, OSError) as error:
        cluster.unreachable = f"unable to load schema information from the API server: {error}"
        return cluster
    cluster.connected = client
    return cluster
