"""Which cluster a stack goes to: context, server and namespace, read from a kubeconfig as kubectl reads it.

Only names and addresses are taken; credentials stay where they are, for Pulumi's provider to find. Rules (kubectl,
"Organizing Cluster Access Using kubeconfig Files"): KUBECONFIG may list several files, in which the first that names
a thing wins; with neither it nor ~/.kube/config, a pod finds its own cluster.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from buildclient.base.errors import ClientError
from buildclient.kube.kubeconfig import Access, load_kubeconfig, parse_kubeconfig
from buildkit_builders.destination import Target
from buildkit_builders.options.problems import Problems, nearest

__all__ = ["access_to", "find_cluster", "is_contents"]

_IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def is_contents(kubeconfig: str) -> bool:
    """Whether a configured kubeconfig is a file's contents, not its path."""
    return "\n" in kubeconfig.strip() or kubeconfig.lstrip().startswith("{") or kubeconfig.startswith("apiVersion:")


def find_cluster(
    kubeconfig: str, context: str, environ: Mapping[str, str], problems: Problems, where: str = ""
) -> Target:
    """The cluster of `context`, or of the current one if empty; what can't be found becomes a problem.

    `kubeconfig` is contents, a path, or empty for the places where kubectl looks.
    """
    key = f"{where}kubeconfig"
    documents: list[Any] = []
    if kubeconfig and is_contents(kubeconfig):
        documents = [_parse(kubeconfig, key, "the kubeconfig's contents", problems)]
    else:
        paths = [kubeconfig] if kubeconfig else _paths(environ)
        for path in (Path(os.path.expanduser(one)) for one in paths):
            if _is_file(path):
                documents.append(_load(path, key, problems))
            elif kubeconfig:
                problems.add(key, kubeconfig, "there is no such file; give a kubeconfig's path or its contents")
                return Target(context)
    documents = [document for document in documents if document]
    if not documents:
        return _without(context, environ, problems, where)
    return _choose(documents, context, problems, where)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A text too long for a path, for one.
        return False


def access_to(kubeconfig: str, context: str, environ: Mapping[str, str]) -> Access | None:
    """All that is needed to reach the cluster of `context`; None where the kubeconfig does not lead to one."""
    try:
        if kubeconfig and is_contents(kubeconfig):
            config = parse_kubeconfig(kubeconfig)
        else:
            config = load_kubeconfig(environ, os.path.expanduser(kubeconfig))
        name = context or config.current
        return config.access(name) if name else None
    except ClientError:
        return None


def _paths(environ: Mapping[str, str]) -> list[str]:
    listed = [path for path in environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    return listed or [str(Path(environ.get("HOME", "~")) / ".kube" / "config")]


def _load(path: Path, key: str, problems: Problems) -> Any:
    try:
        return _parse(path.read_text(), key, str(path), problems)
    except (OSError, UnicodeDecodeError) as error:
        problems.add(key, str(path), f"the file can't be read: {getattr(error, 'strerror', None) or 'not text'}")
        return None


def _parse(text: str, key: str, what: str, problems: Problems) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)
    except (yaml.YAMLError, RecursionError):
        document = None
    if not isinstance(document, dict):
        problems.add(key, None, f"{what} is no kubeconfig")
        return None
    return document


def _without(context: str, environ: Mapping[str, str], problems: Problems, where: str) -> Target:
    if context:
        problems.add(f"{where}context", context, "there is no kubeconfig to find it in; set KUBECONFIG")
        return Target(context)
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    if host:
        try:
            namespace = _IN_CLUSTER_NAMESPACE.read_text().strip()
        except OSError:
            namespace = "default"
        host = f"[{host}]" if ":" in host else host
        return Target("", f"https://{host}:{environ.get('KUBERNETES_SERVICE_PORT', '443')}", namespace)
    if not problems.found:
        problems.add(f"{where}kubeconfig", None, "no cluster: there is no kubeconfig; set KUBECONFIG or ~/.kube/config")
    return Target()


def _choose(documents: list[dict[str, Any]], context: str, problems: Problems, where: str) -> Target:
    contexts = _named(documents, "contexts", "context")
    clusters = _named(documents, "clusters", "cluster")
    if not contexts:
        problems.add(f"{where}kubeconfig", None, "the kubeconfig names no context")
        return Target(context)
    name = context or next((str(d["current-context"]) for d in documents if d.get("current-context")), "")
    if name not in contexts:
        known = ", ".join(contexts)
        near = nearest(name, contexts)
        hint = f'did you mean "{near}"?' if near else f"known: {known}"
        said = (
            "there is no such context in the kubeconfig" if name else "the kubeconfig has no current context; name one"
        )
        problems.add(f"{where}context", name or None, said, hint)
        return Target(name)
    chosen = contexts[name]
    cluster = clusters.get(str(chosen.get("cluster", "")), {})
    return Target(name, str(cluster.get("server") or ""), str(chosen.get("namespace") or "default"))


def _named(documents: list[dict[str, Any]], plural: str, single: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for document in documents:
        entries = document.get(plural)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get(single), dict) and entry.get("name"):
                found.setdefault(str(entry["name"]), entry[single])
    return found
