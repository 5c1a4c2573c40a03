"""Takes over a builder that docker buildx made: its record becomes a stack's config, its objects the stack's.

The pods stay as they are: what they have and this project would make otherwise is kept by option `pod-patch`. Nothing
is written before everything has been read and checked.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from buildclient.base.errors import ClientError
from buildclient.base.files import replace_whole
from buildclient.kube.api import ApiError, KubeApi
from buildkit_builders import manifests
from buildkit_builders.buildx import (
    MAX_RECORD,
    Instance,
    InstanceNode,
    RecordError,
    read_instance,
    stack_config,
)
from buildkit_builders.kubeconfig import access_to, kubeconfig_paths
from buildkit_builders.manifests.patch import differing
from buildkit_builders.options.problems import OptionErrors, Problems
from buildkit_builders.results import StackError
from buildkit_builders.scaled import object_path
from buildkit_builders.spec import NodeSpec, check_builder

__all__ = ["Adoption", "adoption", "released", "restore_config", "write_config"]

_ORPHANED = 30.0
"""Seconds that the deletion of an object may take which leaves its pods."""
_BY_HAND = (
    "{name}: {files} stay{s} in its ConfigMap; give them to the node by buildkitd.registry before its pods are changed"
)


class Adoption(NamedTuple):
    """A builder that can be taken over."""

    config: Mapping[str, Any]
    """The keys `builder:…` of the stack's config."""
    kept: tuple[str, ...]
    """The nodes whose pods are kept by a `pod-patch`."""
    notes: tuple[str, ...]
    """What is left to do, a line each."""
    anew: tuple[Mapping[str, Any], ...]
    """Workloads as they are, of which Kubernetes lets nobody make ours: they are made anew, above the same pods."""
    api: KubeApi
    """The builder's cluster."""


def adoption(name: str, *, keep_pods: bool, environ: Mapping[str, str]) -> Adoption:
    """Reads builder `name` of docker buildx and its objects in the cluster. Raises StackError.

    With `keep_pods` the config has what keeps the pods as they are; without it the next update replaces them.
    """
    try:
        instance = read_instance(_record(name, environ), name)
    except RecordError as error:
        raise StackError(str(error)) from None
    config = stack_config(instance)
    if [config.get("builder:kubeconfig")] == kubeconfig_paths(environ):
        # A path is of one machine; kubectl's own place is on every one.
        del config["builder:kubeconfig"]
    access = access_to(instance.nodes[0].kubeconfig, "", environ)
    if access is None:
        raise StackError(f"builder {name}: its kubeconfig leads to no cluster; set KUBECONFIG to one that does")
    api = KubeApi(access, environ)
    notes, kept, anew = [], [], []
    for node, entry in zip(instance.nodes, config["builder:nodes"], strict=True):
        spec = _spec(instance, node, entry, access.namespace)
        workload = manifests.node_objects(spec)[-1].manifest
        live = _live(api, workload)
        # docker buildx's selectors have the labels too, and its StatefulSets other fields that never change.
        if workload["kind"] == "StatefulSet" or live["spec"]["selector"] != workload["spec"]["selector"]:
            anew.append(live)
        if node.files:
            notes.append(
                _BY_HAND.format(name=node.workload, files=", ".join(node.files), s="" if node.files[1:] else "s")
            )
        patch = _patch(api, workload, live) if keep_pods else {}
        if patch:
            entry.setdefault("driver-opts", {})["pod-patch"] = patch
            kept.append(node.workload)
    return Adoption(config, tuple(kept), tuple(notes), tuple(anew), api)


@contextlib.contextmanager
def released(found: Adoption) -> Iterator[None]:
    """Takes the workloads that are made anew from their pods, which go on without until their successors take them.

    Where the block fails, those that have no successor are made again. Raises StackError.
    """
    gone: list[Mapping[str, Any]] = []
    try:
        for one in found.anew:
            gone.append(one)
            _release(found.api, one)
        yield
    except BaseException as error:
        lost = [said for one in gone if (said := _restored(found.api, one))]
        if lost:
            raise StackError("\n  ".join([str(error) or type(error).__name__, *lost])) from None
        raise


def _restored(api: KubeApi, workload: Mapping[str, Any]) -> str:
    """Makes a workload again that was deleted without its pods; why it could not be, empty if it is there."""
    was, path = workload["metadata"], _path(workload)
    metadata = {key: was.get(key) or {} for key in ("name", "namespace", "labels", "annotations")}
    again = {**workload, "metadata": metadata, "status": {}}
    deadline = time.monotonic() + _ORPHANED
    while True:
        try:
            api.create(_collection(path), {}, again, "cannot make it again")
            return ""
        except ClientError as error:
            # There is a successor, or the one that was deleted is still going.
            if isinstance(error, ApiError) and error.status == 409:
                with contextlib.suppress(ClientError):
                    there = api.read(path, {}, "")["metadata"]
                    if there.get("uid") != was.get("uid") or not there.get("deletionTimestamp"):
                        return ""
                if time.monotonic() < deadline:
                    time.sleep(0.3)
                    continue
            return (
                f"{_what(workload)} is gone and its pods are left: "
                f"{error}; run docker buildx inspect --bootstrap, which makes it again"
            )


def write_config(file: Path, config: Mapping[str, Any]) -> str | None:
    """Writes the keys into a stack's config file; returns what was there before. Raises StackError.

    A file that has a builder already is refused.
    """
    before = file.read_text() if file.is_file() else None
    try:
        settings = yaml.safe_load(before or "") or {}
        there = dict(settings.get("config") or {})
    except (AttributeError, TypeError, ValueError, yaml.YAMLError):
        raise StackError(f"{file} cannot be read as a stack's config") from None
    if taken := sorted(key for key in there if str(key).startswith("builder:")):
        raise StackError(f"{file} has a builder already ({', '.join(taken)}); name another stack")
    text = yaml.safe_dump({**settings, "config": {**there, **config}}, sort_keys=False, allow_unicode=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    _replace(file, text)
    return before


def restore_config(file: Path, before: str | None) -> None:
    """Makes the file again what `write_config` found."""
    if before is None:
        file.unlink(missing_ok=True)
    else:
        _replace(file, before)


def _replace(file: Path, text: str) -> None:
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        replace_whole(folder, file.name, text.encode())
    finally:
        os.close(folder)


def _record(name: str, environ: Mapping[str, str]) -> str:
    home = Path(environ.get("HOME") or "~").expanduser()
    docker = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    folder = Path(environ.get("BUILDX_CONFIG") or docker / "buildx") / "instances"
    known = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    if name not in known:
        raise StackError(f"docker buildx has no builder {name} in {folder}; there are: {', '.join(known) or 'none'}")
    try:
        with (folder / name).open("rb") as file:
            data = file.read(MAX_RECORD + 1)
        if len(data) > MAX_RECORD:
            raise StackError(f"{folder / name} is larger than any record of a builder")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"{folder / name} cannot be read: {getattr(error, 'strerror', None) or 'not text'}") from None


def _spec(instance: Instance, node: InstanceNode, entry: Mapping[str, Any], namespace: str) -> NodeSpec:
    """The node as the config has it. Raises StackError with what this project does not take."""
    problems = Problems()
    own = instance.nodes[0].namespace or namespace or "default"
    raw = {"name": instance.name, "namespace": own, "nodes": [dict(entry)]}
    found = check_builder(raw, own, problems)
    try:
        problems.raise_any()
    except OptionErrors as error:
        raise StackError(f"builder {instance.name}, node {node.workload}: {error}") from None
    return found.nodes[0]


def _release(api: KubeApi, workload: Mapping[str, Any]) -> None:
    path, what = _path(workload), _what(workload)
    deadline = time.monotonic() + _ORPHANED
    try:
        with _told():
            api.delete(path, {"propagationPolicy": "Orphan"}, f"cannot take over {what}")
            while time.monotonic() < deadline:
                api.read(path, {}, f"cannot read {what}")
                time.sleep(0.2)
    except _MissingError:
        return
    raise StackError(f"{what} does not let go of its pods within {_ORPHANED:.0f} s")


def _path(workload: Mapping[str, Any]) -> str:
    metadata = workload["metadata"]
    return object_path("apps/v1", workload["kind"], metadata["namespace"], metadata["name"])


def _collection(path: str) -> str:
    return path.rpartition("/")[0]


def _what(workload: Mapping[str, Any]) -> str:
    metadata = workload["metadata"]
    return f"{workload['kind']} {metadata['name']} in namespace {metadata['namespace']}"


class _MissingError(StackError):
    """There is no such object."""


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turns what the cluster's API raises into a StackError."""
    try:
        yield
    except ClientError as error:
        missing = isinstance(error, ApiError) and error.status == 404
        raise (_MissingError if missing else StackError)(str(error)) from None


def _live(api: KubeApi, workload: Mapping[str, Any]) -> dict[str, Any]:
    """The workload as it is in the cluster. Raises StackError for one that is not there, or is another stack's."""
    what = _what(workload)
    try:
        with _told():
            live = api.read(_path(workload), {}, f"cannot read {what}")
    except _MissingError:
        raise StackError(f"there is no {what} ({api.where}); make it with: docker buildx inspect --bootstrap") from None
    managers = [str(one.get("manager", "")) for one in live.get("metadata", {}).get("managedFields", ())]
    if any(manager.startswith("pulumi") for manager in managers):
        raise StackError(f"{what} is managed by a Pulumi stack already")
    return live


def _patch(api: KubeApi, workload: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """What makes of our pods those that are there. The API server completes ours, and makes nothing (dry run)."""
    trial = {**workload, "metadata": {**workload["metadata"], "name": f"{workload['metadata']['name'][:40]}-import"}}
    with _told():
        made = api.create(_collection(_path(workload)), {"dryRun": "All"}, trial, "cannot try the node's pods")
    return differing(_template(made), _template(live))


def _template(workload: Mapping[str, Any]) -> dict[str, Any]:
    template = workload["spec"]["template"]
    metadata = {key: one for key, one in template.get("metadata", {}).items() if key != "creationTimestamp"}
    return {"metadata": metadata, "spec": template.get("spec", {})}
