"""Which pods a user's last commands used: a file for each builder in the user's cache folder.

Of pods it holds guesses alone. A guess is connected to while the pods are still being listed, and used only if the list
agrees (`buildclient.kube.ahead`), so a file that is old, damaged or gone costs time at most.

Of BuildKit's versions it holds what daemons have said, by the container's id: a container keeps its image for as long
as it lives, and the one after a restart has another id, so what is remembered of an id that is listed is so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildclient.base.cachefolder import cache_folder
from buildclient.base.files import read_bounded, replace_whole
from buildclient.contract.jsontext import read_json
from buildclient.contract.names import is_dns_label, is_dns_subdomain, is_label_key, is_label_value
from buildclient.contract.patterns import pattern
from buildclient.kube.kubeconfig import Access
from buildclient.kube.pod import table, tables

__all__ = ["LastPod", "LastPods", "read_last_pods", "read_versions"]

_LOG = logging.getLogger("buildclient.kube")
_MAX_BUILDS = 64
"""Routing keys of which a file tells; the oldest is forgotten."""
_MAX_VERSIONS = 128
"""Containers of which a file tells the version; what was noted first is forgotten."""
_CONTAINER = pattern(r"[a-z0-9.+-]{1,32}://[A-Za-z0-9._-]{12,128}")
"""A container's id: the runtime's name and a digest (`containerd://8a2f…`)."""
_VERSION = pattern(r"(?:[A-Za-z0-9][A-Za-z0-9.+_-]{0,63})?")
"""Empty for a daemon that is too old to tell."""
_MAX_SIZE = 1 << 20
"""Bytes of a file."""


class LastPod(NamedTuple):
    """A pod that a command connected to, and how it was found."""

    namespace: str
    selector: tuple[tuple[str, str], ...]
    """The labels by which the pods were listed, sorted."""
    container: str
    pod: str


class LastPods:
    """The pods that were used for each routing key of one builder."""

    def __init__(self, path: str) -> None:
        """`path` is the file's; empty where there is none."""
        self._path = path
        self._noted: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], LastPod]] = {}
        self._versions: dict[str, str] | None = None
        self._told: dict[str, str] = {}

    @classmethod
    def of(cls, environ: Mapping[str, str], access: Access, namespace: str, name: str) -> LastPods:
        """Returns those of builder `namespace`/`name` in the cluster that `access` leads to, for that identity."""
        folder = cache_folder(environ)
        if not folder:
            return cls("")
        key = "\0".join((access.server, access.context, namespace, name))
        return cls(os.path.join(folder, "pods", hashlib.sha256(key.encode()).hexdigest()[:32]))

    def recall(self, key: str) -> list[LastPod]:
        """Returns what was used for a routing key the last time; if it was never, what was used last for any."""
        builds, self._versions = self._read()
        return builds.get(_short(key)) or next(reversed(builds.values()), [])

    def version(self, container: str) -> str | None:
        """Returns the BuildKit version of the container of that id; None if it is not remembered."""
        if self._versions is None:
            _, self._versions = self._read()
        return self._told.get(container, self._versions.get(container))

    def note(self, key: str, used: LastPod) -> None:
        """Notes a pod that is used, for `save`."""
        self._noted.setdefault(_short(key), {})[used.namespace, used.selector] = used

    def note_version(self, container: str, version: str) -> None:
        """Notes what version the container of that id has, for `save`. What is no id or no version is left out."""
        if _CONTAINER.fullmatch(container) and _VERSION.fullmatch(version):
            self._told[container] = version

    def save(self) -> None:
        """Writes what was noted, if that is new. What cannot be written is left out."""
        if not (self._noted or self._told) or not self._path:
            return
        builds, versions = self._read()
        new = {key: sorted(used.values()) for key, used in self._noted.items()}
        if all(builds.get(key) == used for key, used in new.items()) and self._told.items() <= versions.items():
            return
        for key, used in new.items():
            builds.pop(key, None)
            builds[key] = used
        versions = {**{one: text for one, text in versions.items() if one not in self._told}, **self._told}
        listed = {
            key: [{**one._asdict(), "selector": dict(one.selector)} for one in builds[key]]
            for key in list(builds)[-_MAX_BUILDS:]
        }
        value = {"version": 1, "builds": listed, "versions": dict(list(versions.items())[-_MAX_VERSIONS:])}
        folder, name = os.path.split(self._path)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                replace_whole(handle, name, json.dumps(value).encode(), 0o600)
            finally:
                os.close(handle)
        except OSError as error:
            _LOG.debug("the pods in use are not noted: %s", error)

    def _read(self) -> tuple[dict[str, list[LastPod]], dict[str, str]]:
        if self._path:
            with contextlib.suppress(OSError, ValueError):
                text = read_bounded(self._path, _MAX_SIZE)
                return read_last_pods(text), read_versions(text)
        return {}, {}


def read_last_pods(text: bytes) -> dict[str, list[LastPod]]:
    """Returns the pods by the digests of routing keys, the last used at the end. Raises ValueError if it is no JSON.

    What could not stand in a request to Kubernetes is left out.
    """
    value = read_json(text)
    if table(value).get("version") != 1:
        return {}
    builds = table(table(value).get("builds"))
    return {
        key: found for key, used in builds.items() if (found := [one for raw in tables(used) if (one := _pod(raw))])
    }


def read_versions(text: bytes) -> dict[str, str]:
    """Returns BuildKit's versions by the containers' ids, the last noted at the end. Raises ValueError for no JSON.

    What is no id or no version is left out.
    """
    value = table(read_json(text))
    if value.get("version") != 1:
        return {}
    found = [
        (container, version)
        for container, version in table(value.get("versions")).items()
        if isinstance(version, str) and _CONTAINER.fullmatch(container) and _VERSION.fullmatch(version)
    ]
    return dict(found[-_MAX_VERSIONS:])


def _pod(raw: Mapping[str, Any]) -> LastPod | None:
    texts = [raw.get(name) for name in ("namespace", "container", "pod")]
    selector = table(raw.get("selector"))
    if not all(isinstance(text, str) for text in (*texts, *selector.values())):
        return None
    namespace, container, pod = map(str, texts)
    fine = is_dns_label(namespace) and is_dns_subdomain(pod) and (not container or is_dns_label(container))
    if not fine or not all(is_label_key(key) and is_label_value(value) for key, value in selector.items()):
        return None
    return LastPod(namespace, tuple(sorted(selector.items())), container, pod)


def _short(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:16]
