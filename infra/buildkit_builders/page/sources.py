"""Where builders are found: the ConfigMaps that they publish in a cluster, and the stacks of a Pulumi project."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from buildclient.base.errors import ClientError, ConfigurationError
from buildclient.base.threads import in_thread
from buildclient.contract.cluster import same_cluster
from buildclient.contract.output import (
    CONFIG_MAP_KEY,
    CONFIG_MAP_LABEL,
    BuilderOutput,
    Cluster,
    OutputError,
    config_map_name,
)
from buildclient.discovery.cluster import in_cluster
from buildclient.discovery.pulumi_state import ProjectFolder
from buildclient.kube.api import ApiError, KubeApi
from buildclient.kube.identity import kube_system_uid
from buildclient.kube.kubeconfig import Access, load_kubeconfig
from buildclient.kube.pod import table, tables
from buildkit_builders.page.model import Found, owner_of

__all__ = ["ClusterSource", "Listed", "Source", "StackSource", "accesses", "merged"]

_FORBIDDEN = 403
_IN_CLUSTER = "in-cluster"
"""The context of a pod's own access."""


class Listed(NamedTuple):
    """What a source has."""

    found: tuple[Found, ...]
    problems: tuple[str, ...] = ()
    """What is there and cannot be read."""
    cluster: Cluster = Cluster()
    """The cluster that was asked; empty of stacks, whose outputs name theirs."""


class Source(Protocol):
    """Somewhere builders are found."""

    @property
    def name(self) -> str:
        """For messages: `context staging`."""

    async def find(self) -> Listed:
        """The builders there. Raises a subclass of ClientError."""


def accesses(environ: Mapping[str, str], contexts: Sequence[str]) -> list[Access]:
    """How the clusters are reached: by these contexts, else the current one, else as a pod of the cluster.

    Raises ConfigurationError.
    """
    config = load_kubeconfig(environ)
    if contexts:
        return [config.access(name) for name in contexts]
    if config.current:
        return [config.access(config.current)]
    inside = in_cluster(environ)
    return [inside] if inside else []


class ClusterSource:
    """The builders' ConfigMaps of a cluster: of some namespaces, or of all."""

    def __init__(self, access: Access, environ: Mapping[str, str], namespaces: Sequence[str] = ()) -> None:
        self._api = KubeApi(access, environ)
        self._environ = environ
        self._namespaces = namespaces
        # A pod's own cluster has no name that the client's `--context` would take.
        self._kube_context = "" if access.context == _IN_CLUSTER else access.context
        self._cluster: Cluster | None = None

    @property
    def name(self) -> str:
        """The cluster, for messages."""
        return self._api.where

    async def find(self) -> Listed:
        """The builders of the namespaces. Raises UnreachableError, which names the right that is missing."""
        if self._cluster is None:
            uid = await in_thread(partial(kube_system_uid, self._api.access, self._environ))
            self._cluster = Cluster(self._kube_context, self._api.access.server, uid=uid)
        answers = await asyncio.gather(*(self._listed(namespace) for namespace in self._namespaces or [""]))
        found, problems = [], []
        for item in (item for answer in answers for item in tables(answer.get("items"))):
            try:
                found.append(self._read(item))
            except OutputError as error:
                problems.append(str(error))
        return Listed(tuple(found), tuple(problems), self._cluster)

    async def _listed(self, namespace: str) -> dict[str, Any]:
        key, value = CONFIG_MAP_LABEL
        inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        where = f"in namespace {namespace}" if namespace else "in all namespaces"
        path, what = f"/api/v1{inside}/configmaps", f"cannot list the builders' ConfigMaps {where}"
        try:
            return await in_thread(partial(self._api.read, path, {"labelSelector": f"{key}={value}"}, what))
        except ApiError as error:
            if error.status == _FORBIDDEN and not namespace:
                raise ConfigurationError(str(error), hint="name the namespaces with --namespace") from None
            raise

    def _read(self, item: Mapping[str, Any]) -> Found:
        """Raises OutputError for a ConfigMap that is no builder's, or that speaks for another one's."""
        metadata = table(item.get("metadata"))
        namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
        what = f"ConfigMap {namespace}/{name}"
        text = table(item.get("data")).get(CONFIG_MAP_KEY)
        if not isinstance(text, str):
            raise OutputError(f"{what} has no {CONFIG_MAP_KEY}")
        try:
            output = BuilderOutput.loads(text)
        except OutputError as error:
            raise OutputError(f"{what}: {error}") from None
        if output.namespace != namespace or config_map_name(output.name) != name:
            raise OutputError(f"{what} holds another builder's output: {output.namespace}/{output.name}")
        owner = owner_of(table(metadata.get("labels")), table(metadata.get("annotations")))
        # What it says of its cluster could lead to any other one that this machine knows.
        return Found(output._replace(cluster=Cluster()), self._kube_context, owner=owner)


class StackSource:
    """The builders of a Pulumi project's stacks."""

    def __init__(self, folder: str, environ: Mapping[str, str]) -> None:
        """Raises ConfigurationError where there is no project."""
        project = ProjectFolder.find(folder, environ)
        if project is None:
            raise ConfigurationError(f"there is no Pulumi project in {os.path.abspath(folder or '.')} or above it")
        self._project, self._folder = project, os.path.abspath(folder or ".")

    @property
    def name(self) -> str:
        """The project, for messages."""
        return f"project {self._project.name}"

    async def find(self) -> Listed:
        """The stacks' builders; stacks without one are left out. Raises ConfigurationError, UnreachableError."""
        found, problems = [], []
        for stack in await in_thread(self._project.stacks):
            try:
                value = await in_thread(partial(self._project.output, stack))
                if value is not None:
                    found.append(Found(BuilderOutput.from_json(value), stack=stack, project=self._folder, trusted=True))
            except (OutputError, ClientError) as error:
                problems.append(f"stack {stack}: {error}")
        return Listed(tuple(found), tuple(problems))


def merged(listed: Sequence[Listed]) -> tuple[Found, ...]:
    """Every builder once, in order of namespace and name: a stack's with the context and the owner of its ConfigMap."""
    of_stacks = [found for one in listed for found in one.found if found.trusted]
    result = []
    for one in listed:
        for found in one.found:
            if found.trusted:
                continue
            same = next((stack for stack in of_stacks if _is_same(stack, found, one.cluster)), None)
            if same is None:
                result.append(found)
            else:
                of_stacks.remove(same)
                result.append(same._replace(kube_context=found.kube_context, owner=found.owner))
    result += of_stacks
    return tuple(sorted(result, key=lambda found: (found.output.namespace, found.output.name, found.id)))


def _is_same(stack: Found, found: Found, cluster: Cluster) -> bool:
    one, other = stack.output, found.output
    names = (one.namespace, one.name) == (other.namespace, other.name)
    return names and same_cluster(one.cluster, cluster) is not False
