"""The namespaces that several claims of a team share: no single stack may own them, so they are made beside the stacks.

One that is there is left as it is. One that was made here says so by a label, and is deleted once it is empty.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import ApiError, KubeApi
from buildkit_builders.claims import Resolved
from buildkit_builders.claims.platform import Limits
from buildkit_builders.claims.resolving import TEAM_LABEL
from buildkit_builders.command import pause
from buildkit_builders.kubeconfig import access_to
from buildkit_builders.manifests.podsecurity import ENFORCE, namespace_level
from buildkit_builders.results import StackError

__all__ = ["MADE_BY", "TeamNamespace", "await_end", "make_missing", "missing", "remove_empty", "team_namespaces"]

MADE_BY = {"app.kubernetes.io/managed-by": "builders-claims"}
"""The label of a namespace that was made here."""
_QUOTA = "builders-claims"
_HELD = ("configmaps", "persistentvolumeclaims", "pods", "services", "secrets")
"""What a namespace that is deleted must not hold; every builder has a ConfigMap, also one without pods."""
_KUBERNETES = "kube-root-ca.crt"
"""The ConfigMap that Kubernetes puts into each."""
_END_TIMEOUT = 300.0
"""Seconds in which a namespace that is being deleted should be gone; the pods of builders may let builds end."""
_LOOK_EVERY = 1.0
"""Seconds."""


class TeamNamespace(NamedTuple):
    """A namespace of a team in a cluster."""

    context: str
    name: str
    team: str
    level: str
    """The Pod Security level that lets in the pods of all its builders."""
    storage: str = ""
    """The team's limit of volumes; empty for none."""

    def manifest(self) -> dict[str, Any]:
        """The namespace."""
        labels = {**MADE_BY, TEAM_LABEL: self.team, **({ENFORCE: self.level} if self.level else {})}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}

    def quota(self) -> dict[str, Any] | None:
        """The team's limit of volumes as the cluster's own.

        Requests and pods are held to the limits by the check of claims alone: a roll needs room for pods beside them.
        """
        if not self.storage:
            return None
        metadata = {"name": _QUOTA, "namespace": self.name, "labels": dict(MADE_BY)}
        spec = {"hard": {"requests.storage": self.storage}}
        return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec}


def team_namespaces(resolved: Iterable[Resolved], limits: Mapping[str, Limits]) -> list[TeamNamespace]:
    """The namespaces that the claims' builders are in and that no stack makes. `limits` are by team."""
    nodes: dict[tuple[str, str, str], list[Any]] = {}
    for one in resolved:
        if not one.makes_namespace:
            nodes.setdefault((one.context, one.namespace, one.claim.team), []).extend(one.spec().nodes)
    return [
        TeamNamespace(context, name, team, namespace_level(found), str(limits.get(team, Limits()).storage or ""))
        for (context, name, team), found in nodes.items()
    ]


def missing(namespaces: Iterable[TeamNamespace]) -> Iterator[TeamNamespace]:
    """Those that are not there, or are being deleted, as far as that can be asked."""
    for one in namespaces:
        with contextlib.suppress(UnreachableError):
            there = _read(_api(one), _path(one))
            if there is None or _is_ending(there):
                yield one


def await_end(one: TeamNamespace, told: Callable[[str], object], *, timeout: float = _END_TIMEOUT) -> bool:
    """Wait while a namespace is being deleted; returns whether it is there then. `told` gets a line if it waits.

    Raises StackError if it is not gone in time, KeyboardInterrupt if the wait is interrupted.
    """
    until, waits = time.monotonic() + timeout, False
    try:
        api = _api(one)
        while (there := _read(api, _path(one))) is not None and _is_ending(there):
            if time.monotonic() >= until:
                raise StackError(_not_gone(one, there, timeout))
            if not waits:
                told(f"namespace {one.name} is being deleted: waits for its end, at most {timeout:.0f} s")
            waits = True
            pause(_LOOK_EVERY)
    except UnreachableError:
        return True  # Pulumi says what is wrong; who may not read namespaces has them made
    return there is not None


def _not_gone(one: TeamNamespace, there: Mapping[str, Any], timeout: float) -> str:
    conditions = (there.get("status") or {}).get("conditions") or ()
    kept = [
        str(condition.get("message") or "")
        for condition in conditions
        if str(condition.get("type")).endswith("Remaining") and condition.get("status") == "True"
    ]
    why = f" ({'; '.join(kept)})" if kept else ""
    return (
        f"namespace {one.name} is being deleted, and was not gone after {timeout:.0f} s{why}; "
        f"see what holds it: kubectl --context {shlex.quote(one.context)} get namespace {one.name} -o yaml"
    )


def make_missing(namespaces: Iterable[TeamNamespace]) -> Iterator[str]:
    """Make those that are not there, and bring the quota and level of those made here up to date.

    A line for each that was made or changed, and for each that could not be.
    """
    for one in namespaces:
        try:
            api = _api(one)
            there = _read(api, _path(one))
        except UnreachableError:
            continue  # Pulumi says what is wrong; who may not read namespaces has them made
        try:
            if there is None:
                api.create("/api/v1/namespaces", {}, one.manifest(), f"cannot make namespace {one.name}")
                yield f"namespace {one.name}: made for team {one.team}"
            elif _is_ending(there) or not _is_ours(there):
                continue  # each of its builders waits for the end, see `await_end`
            elif one.level and there["metadata"]["labels"].get(ENFORCE) != one.level:
                api.patch(_path(one), {"metadata": {"labels": {ENFORCE: one.level}}}, "cannot set the level")
                yield f"namespace {one.name}: lets in pods of level {one.level}"
            yield from _settle_quota(api, one)
        except UnreachableError as error:
            if not (isinstance(error, ApiError) and error.status == 409):
                yield f"WARNING: {error}; let it be made: kubectl create namespace {one.name}"


def _settle_quota(api: KubeApi, one: TeamNamespace) -> Iterator[str]:
    """Make the team's quota as it should be, or delete it; a line if it was changed."""
    collection, wanted = f"{_path(one)}/resourcequotas", one.quota()
    path, what = f"{collection}/{_QUOTA}", f"cannot set the quota of namespace {one.name}"
    there = _read(api, path)
    if there is None and wanted:
        api.create(collection, {}, wanted, what)
    elif there is not None and not wanted:
        api.delete(path, {}, what)
        yield f"namespace {one.name}: no limit of volumes any more"
    elif there is not None and wanted and there["spec"].get("hard") != wanted["spec"]["hard"]:
        api.patch(path, {"spec": wanted["spec"]}, what)
        yield f"namespace {one.name}: volumes of {one.storage} at most"


def _read(api: KubeApi, path: str) -> dict[str, Any] | None:
    try:
        return api.read(path, {}, "cannot read the namespace")
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _names(api: KubeApi, path: str) -> list[str]:
    items = api.read(path, {"limit": "2"}, "cannot list what the namespace holds").get("items") or ()
    return [one["metadata"]["name"] for one in items if one["metadata"]["name"] != _KUBERNETES]


def _is_ours(namespace: Mapping[str, Any]) -> bool:
    return bool(MADE_BY.items() <= (namespace["metadata"].get("labels") or {}).items())


def _is_ending(namespace: Mapping[str, Any]) -> bool:
    return bool(namespace["metadata"].get("deletionTimestamp"))


def remove_empty(namespaces: Iterable[TeamNamespace]) -> Iterator[str]:
    """Delete those that were made here and hold nothing any more; a line for each."""
    for one in namespaces:
        try:
            api = _api(one)
            there = _read(api, _path(one))
            if there is None or _is_ending(there) or not _is_ours(there):
                continue
            held = [kind for kind in _HELD if _names(api, f"{_path(one)}/{kind}")]
            if held:
                yield f"namespace {one.name} is left: it holds {', '.join(held)}"
                continue
            api.delete(_path(one), {}, f"cannot delete namespace {one.name}")
            yield f"namespace {one.name}: deleted, it was empty"
        except UnreachableError as error:
            yield f"WARNING: {error}"


def _path(one: TeamNamespace) -> str:
    return f"/api/v1/namespaces/{quote(one.name, safe='')}"


def _api(one: TeamNamespace) -> KubeApi:
    """Raises UnreachableError, also where the kubeconfig has no such context: of that each stack has its own error."""
    access = access_to("", one.context, os.environ)
    if access is None:
        raise UnreachableError(f"there is no context {one.context!r} in the kubeconfig, or it leads to no cluster")
    return KubeApi(access, os.environ)
