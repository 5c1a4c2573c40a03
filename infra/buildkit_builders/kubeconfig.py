"""Reads the context, server and namespace of a stack's cluster from a kubeconfig, by kubectl's rules.

Only names and addresses are taken; credentials stay where they are, for Pulumi's provider to find. Rules (kubectl,
"Organizing Cluster Access Using kubeconfig Files"): KUBECONFIG may list several files, in which the first that names
a thing wins; with neither it nor ~/.kube/config, a pod finds its own cluster.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import yaml

from buildclient.base.errors import ClientError
from buildclient.contract.jsontext import check_bounds
from buildclient.contract.kubeconfig import Entries, KubeconfigError, merge, read_entries
from buildclient.kube.kubeconfig import Access, load_kubeconfig, parse_kubeconfig
from buildkit_builders.destination import Target
from buildkit_builders.options.problems import Problems, nearest

__all__ = ["access_to", "find_cluster", "is_contents", "kubeconfig_paths"]

_log = logging.getLogger(__name__)

_IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def is_contents(kubeconfig: str) -> bool:
    """Whether a configured kubeconfig is a file's contents, not its path."""
    return "\n" in kubeconfig.strip() or kubeconfig.lstrip().startswith("{") or kubeconfig.startswith("apiVersion:")


def find_cluster(kubeconfig: str, context: str, environ: Mapping[str, str], problems: Problems) -> Target:
    """The cluster of `context`, or of the current one if empty; what can't be found becomes a problem.

    `kubeconfig` is contents, a path, or empty for the places where kubectl looks.
    """
    here = problems.at("kubeconfig")
    read: list[Entries | None] = []
    if kubeconfig and is_contents(kubeconfig):
        _log.debug("kubeconfig: the contents given")
        read = [_parse(kubeconfig, "the kubeconfig's contents", here)]
    else:
        paths = [kubeconfig] if kubeconfig else kubeconfig_paths(environ)
        for path in (Path(os.path.expanduser(one)) for one in paths):
            if _is_file(path):
                _log.debug("kubeconfig: %s (%s)", path, "given" if kubeconfig else "where kubectl looks")
                read.append(_load(path, here))
            elif kubeconfig:
                here.add(kubeconfig, "there is no such file; give a kubeconfig's path or its contents")
                return Target(context)
            else:
                _log.debug("kubeconfig: %s is not there", path)
    files = [entries for entries in read if entries is not None]
    if kubeconfig and not files and not problems.found:
        here.add(None, "the kubeconfig is empty")
    return _choose(merge(files), context, problems) if files else _without(context, environ, problems)


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


def kubeconfig_paths(environ: Mapping[str, str]) -> list[str]:
    listed = [path for path in environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    return listed or [str(Path(environ.get("HOME", "~")) / ".kube" / "config")]


def _load(path: Path, problems: Problems) -> Entries | None:
    try:
        return _parse(path.read_text(), str(path), problems)
    except (OSError, UnicodeDecodeError) as error:
        problems.add(str(path), f"the file can't be read: {getattr(error, 'strerror', None) or 'not text'}")
        return None


def _parse(text: str, what: str, problems: Problems) -> Entries | None:
    """The entries of one kubeconfig; None if it is empty, as kubectl allows, or none at all, which is a problem."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)
        check_bounds(document)
        return None if document is None else read_entries(document)
    except KubeconfigError as error:
        problems.add(None, f"{what} is not a kubeconfig: {error}")
    except (yaml.YAMLError, RecursionError, ValueError):
        problems.add(None, f"{what} is not a kubeconfig")
    return None


def _without(context: str, environ: Mapping[str, str], problems: Problems) -> Target:
    if problems.found:
        return Target(context)
    if context:
        problems.at("context").add(context, "there is no kubeconfig to find it in; set KUBECONFIG")
        return Target(context)
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    if not host:
        problems.at("kubeconfig").add(None, "no cluster: there is no kubeconfig; set KUBECONFIG or ~/.kube/config")
        return Target()
    _log.debug("kubeconfig: none; the pod's own cluster")
    try:
        namespace = _IN_CLUSTER_NAMESPACE.read_text().strip()
    except OSError:
        namespace = "default"
    host = f"[{host}]" if ":" in host else host
    return Target("", f"https://{host}:{environ.get('KUBERNETES_SERVICE_PORT', '443')}", namespace)


def _choose(entries: Entries, context: str, problems: Problems) -> Target:
    if not entries.contexts:
        problems.at("kubeconfig").add(None, "the kubeconfig names no context")
        return Target(context)
    name = context or entries.current
    if name not in entries.contexts:
        known = ", ".join(entries.contexts)
        near = nearest(name, entries.contexts)
        hint = f'did you mean "{near}"?' if near else f"known: {known}"
        said = (
            "there is no such context in the kubeconfig" if name else "the kubeconfig has no current context; name one"
        )
        problems.at("context").add(name or None, said, hint)
        return Target(name)
    namespace = entries.contexts[name].get("namespace")
    return Target(name, entries.server(name), str(namespace or "default"))
