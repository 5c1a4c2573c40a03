"""Merges kubeconfig entries, for both the builder's side and the client.

Parsed documents go in; entries by name come out. Rules: kubectl, "Organizing Cluster Access Using kubeconfig
Files": of several files the first that names a thing wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from buildclient.contract.urls import split_login

__all__ = ["Entries", "KubeconfigError", "merge", "read_entries"]


class KubeconfigError(ValueError):
    """A document is not a kubeconfig; the message says which field is wrong, without naming the file."""


class Entries(NamedTuple):
    """The named entries of a kubeconfig, each as written."""

    contexts: Mapping[str, Mapping[str, Any]] = {}
    clusters: Mapping[str, Mapping[str, Any]] = {}
    users: Mapping[str, Mapping[str, Any]] = {}
    current: str = ""
    """The name of the current context; empty if there is none."""

    def server(self, context: str) -> str:
        """Return the API server of a context without a login in its URL; empty if the context or cluster is missing."""
        cluster = self.clusters.get(str(self.contexts.get(context, {}).get("cluster") or ""), {})
        return split_login(str(cluster.get("server") or ""))[0]


def read_entries(document: object) -> Entries:
    """Return the entries of one file's document; None stands for an empty file.

    Entries without a name are skipped, since nothing can refer to them; an empty entry is an empty mapping. Raises
    KubeconfigError for a document, list or entry of another shape, as kubectl does.
    """
    if document is None:
        return Entries()
    if not isinstance(document, dict):
        raise KubeconfigError("it must be a mapping")
    return Entries(
        contexts=_named(document, "contexts", "context"),
        clusters=_named(document, "clusters", "cluster"),
        users=_named(document, "users", "user"),
        current=str(document.get("current-context") or ""),
    )


def merge(files: Iterable[Entries]) -> Entries:
    """Merge the entries of several files: the first of each name wins, and the first current context."""
    read = list(files)
    return Entries(
        contexts=_first(entries.contexts for entries in read),
        clusters=_first(entries.clusters for entries in read),
        users=_first(entries.users for entries in read),
        current=next((entries.current for entries in read if entries.current), ""),
    )


def _first(tables: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for table in tables:
        for name, entry in table.items():
            found.setdefault(name, entry)
    return found


def _named(document: Mapping[str, Any], plural: str, single: str) -> dict[str, Mapping[str, Any]]:
    listed = document.get(plural)
    if not isinstance(listed, list | None):
        raise KubeconfigError(f"{plural} must be a list")
    found: dict[str, Mapping[str, Any]] = {}
    for index, entry in enumerate(listed or ()):
        if not isinstance(entry, dict):
            raise KubeconfigError(f"{plural}[{index}] must be a mapping")
        body = entry.get(single)
        if not isinstance(body, dict | None):
            raise KubeconfigError(f"{plural}[{index}].{single} must be a mapping")
        if entry.get("name"):
            found.setdefault(str(entry["name"]), body or {})
    return found
