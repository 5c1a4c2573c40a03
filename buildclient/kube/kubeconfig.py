"""Kubeconfig files as kubectl reads them.

Own code because importing a client library takes longer than a whole cached build; tests compare it with
`kubernetes.config`. Rules (kubectl, "Organizing Cluster Access Using kubeconfig Files"): KUBECONFIG may list several
files, in which the first that names a thing wins; relative file names belong to the file they stand in.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from buildclient.base.errors import ConfigurationError
from buildclient.base.files import read_bounded
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import check_bounds, read_json
from buildclient.contract.kubeconfig import Entries, KubeconfigError, merge, read_entries
from buildclient.contract.urls import is_url, split_login
from buildclient.kube.blockyaml import read_block_yaml
from buildclient.net.proxy import redacted

__all__ = ["Access", "ExecPlugin", "Kubeconfig", "Material", "load_kubeconfig", "parse_kubeconfig"]

_LOG = logging.getLogger("buildclient.kube")


class Material(NamedTuple):
    """A certificate or key: its PEM bytes, or else the file that holds them; both empty where there is none."""

    data: bytes = b""
    file: str = ""

    def read(self) -> bytes:
        """The PEM bytes. Raises ConfigurationError when the file can't be read."""
        if self.data or not self.file:
            return self.data
        try:
            return read_bounded(self.file)
        except OSError as error:
            raise ConfigurationError(f"kubeconfig: cannot read {self.file}: {reason(error)}") from None


class ExecPlugin(NamedTuple):
    """A command that prints credentials (client.authentication.k8s.io)."""

    command: str
    api_version: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    install_hint: str = ""
    interactive_mode: str = "IfAvailable"
    cluster_info: Mapping[str, Any] | None = None
    """The `cluster` of KUBERNETES_EXEC_INFO, if the kubeconfig asks for it."""


class Access(NamedTuple):
    """How to reach one cluster, and as whom."""

    server: str
    context: str = ""
    """Name of the context; `in-cluster` for a pod's own."""
    ca: Material = Material()
    insecure: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    certificate: Material = Material()
    key: Material = Material()
    token: str = ""
    token_file: str = ""
    """Read again for every request: such tokens are renewed in place."""
    username: str = ""
    password: str = ""
    impersonate: tuple[tuple[str, str], ...] = ()
    """Impersonation headers."""
    plugin: ExecPlugin | None = None
    namespace: str = ""
    """The context's namespace; empty if it names none."""


class Kubeconfig(NamedTuple):
    """The merged files, and which they were; relative file names are made absolute."""

    entries: Entries = Entries()
    files: tuple[str, ...] = ()

    @property
    def contexts(self) -> Mapping[str, Mapping[str, Any]]:
        """The contexts by name."""
        return self.entries.contexts

    @property
    def current(self) -> str:
        """The name of the current context; empty if there is none."""
        return self.entries.current

    def server(self, kube_context: str) -> str:
        """Returns the API server of a context; empty if the context or its cluster is missing."""
        return self.entries.server(kube_context)

    def access(self, kube_context: str) -> Access:
        """The access that a context describes. Raises ConfigurationError that names the field at fault."""
        if kube_context not in self.contexts:
            known = ", ".join(self.contexts) or "none"
            raise ConfigurationError(f'kubeconfig: there is no context "{kube_context}" (known: {known})')
        entry = self.contexts[kube_context]
        where = f'context "{kube_context}"'
        cluster = _referred(self.entries.clusters, entry, "cluster", where)
        user = _referred(self.entries.users, entry, "user", where) if entry.get("user") else {}
        # Go's HTTP client, and so kubectl, logs in with what stands in the URL.
        server, username, password = split_login(str(cluster.get("server") or ""))
        if not is_url(server, "https", "http"):
            raise ConfigurationError(f'kubeconfig: {where} has an unusable server: "{server}"')
        proxy = str(cluster.get("proxy-url") or "")
        if proxy and not is_url(proxy):
            raise ConfigurationError(f'kubeconfig: {where} has an unusable proxy-url: "{redacted(proxy)}"')
        if user.get("auth-provider"):
            raise ConfigurationError(
                f"kubeconfig: {where} uses auth-provider, which Kubernetes has removed",
                hint="use an exec plugin instead",
            )
        return Access(
            server=server.rstrip("/"),
            context=kube_context,
            ca=_material(cluster, "certificate-authority", where),
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
            tls_server_name=str(cluster.get("tls-server-name") or ""),
            proxy_url=proxy,
            certificate=_material(user, "client-certificate", where),
            key=_material(user, "client-key", where),
            token=str(user.get("token") or ""),
            token_file=str(user.get("tokenFile") or ""),
            username=str(user.get("username") or username),
            password=str(user.get("password") or password),
            impersonate=_impersonation(user, where),
            plugin=_plugin(user.get("exec"), cluster, where),
            namespace=str(entry.get("namespace") or ""),
        )


def load_kubeconfig(environ: Mapping[str, str], path: str = "") -> Kubeconfig:
    """The files of KUBECONFIG, else ~/.kube/config, merged; `path` names one file instead.

    Files that do not exist are skipped, unless named by `path`. Raises ConfigurationError for one that cannot be read
    or is not a kubeconfig.
    """
    listed = [path] if path else [part for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    paths = listed or [os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".kube", "config")]
    read: list[str] = []
    entries: list[Entries] = []
    for name in paths:
        if not path and not os.path.exists(name):
            _LOG.debug("kubeconfig %s does not exist", name)
            continue
        _LOG.debug("kubeconfig %s (%s)", name, "KUBECONFIG" if listed and not path else "named" if path else "default")
        entries.append(_read(name))
        read.append(name)
    return Kubeconfig(merge(entries), tuple(read))


def parse_kubeconfig(text: str) -> Kubeconfig:
    """A kubeconfig given as text. Raises ConfigurationError for text that is not one."""
    try:
        return Kubeconfig(read_entries(_parse(text, "the text")))
    except KubeconfigError as error:
        raise ConfigurationError(f"kubeconfig: the text is not a kubeconfig: {error}") from None


def _read(path: str) -> Entries:
    try:
        document = _parse(read_bounded(path).decode(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"kubeconfig: cannot read {path}: {reason(error)}") from None
    try:
        entries = read_entries(document)
    except KubeconfigError as error:
        raise ConfigurationError(f"kubeconfig: {path} is not a kubeconfig: {error}") from None
    folder = os.path.dirname(os.path.abspath(path))
    return entries._replace(
        clusters={name: _absolute(entry, folder) for name, entry in entries.clusters.items()},
        users={name: _absolute(entry, folder) for name, entry in entries.users.items()},
    )


def _parse(text: str, path: str) -> Any:
    if text.startswith("{"):
        # JSON is YAML, and reading it costs no import.
        try:
            return read_json(text)
        except ValueError:
            pass
    try:
        return read_block_yaml(text)
    except ValueError:
        import yaml
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        check_bounds(document)
        return document
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"kubeconfig: {path} is not YAML{line}") from None
    except (ValueError, RecursionError) as error:
        # Also a date or a number that Python cannot hold.
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
        raise ConfigurationError(f"kubeconfig: {path} cannot be read: {reason}") from None


_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def _absolute(entry: Mapping[str, Any], folder: str) -> Mapping[str, Any]:
    """An entry with its relative file names joined to the folder of its kubeconfig."""
    joined: dict[str, Any] = {key: os.path.join(folder, str(entry[key])) for key in _FILES if entry.get(key)}
    plugin = entry.get("exec")
    # A command with a folder in it is a path relative to the kubeconfig; one without is found on PATH.
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command") or ""):
        joined["exec"] = {**plugin, "command": os.path.join(folder, str(plugin["command"]))}
    return {**entry, **joined}


def _referred(
    table: Mapping[str, Mapping[str, Any]], entry: Mapping[str, Any], kind: str, where: str
) -> Mapping[str, Any]:
    name = str(entry.get(kind) or "")
    if name not in table:
        raise ConfigurationError(f'kubeconfig: {where} names {kind} "{name}", which does not exist')
    return table[name]


def _material(entry: Mapping[str, Any], field: str, where: str) -> Material:
    data = entry.get(f"{field}-data")
    if not data:
        return Material(file=str(entry.get(field) or ""))
    try:
        return Material(data=base64.b64decode("".join(str(data).split()), validate=True))
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"kubeconfig: {where}: {field}-data is not base64") from None


_HEADER_SIGNS = "!#$&'*+.^`|"
"""Characters of a header name, besides letters, digits, `-`, `_` and `~`; others are escaped, as in client-go."""


def _impersonation(user: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    headers: list[tuple[str, str]] = []
    if user.get("as"):
        headers.append(("Impersonate-User", str(user["as"])))
    if user.get("as-uid"):
        headers.append(("Impersonate-Uid", str(user["as-uid"])))
    headers += [("Impersonate-Group", str(group)) for group in _list(user.get("as-groups"), "as-groups", where)]
    extra = user.get("as-user-extra") or {}
    if not isinstance(extra, dict):
        raise ConfigurationError(f"kubeconfig: {where}: as-user-extra is not a mapping")
    for key, values in extra.items():
        name = f"Impersonate-Extra-{quote(str(key), safe=_HEADER_SIGNS)}"
        headers += [(name, str(value)) for value in _list(values, "as-user-extra", where)]
    return tuple(headers)


def _plugin(raw: Any, cluster: Mapping[str, Any], where: str) -> ExecPlugin | None:
    if not isinstance(raw, dict):
        return None
    if not raw.get("command"):
        raise ConfigurationError(f"kubeconfig: {where}: exec has no command")
    return ExecPlugin(
        command=str(raw["command"]),
        api_version=str(raw.get("apiVersion") or "client.authentication.k8s.io/v1"),
        args=tuple(str(arg) for arg in _list(raw.get("args"), "args of exec", where)),
        # Tools write `env: null` and `args: null`.
        env=tuple(
            (str(e.get("name")), str(e.get("value") or ""))
            for e in _list(raw.get("env"), "env of exec", where)
            if isinstance(e, dict)
        ),
        install_hint=str(raw.get("installHint") or ""),
        interactive_mode=str(raw.get("interactiveMode") or "IfAvailable"),
        cluster_info=_cluster_info(cluster, where) if raw.get("provideClusterInfo") else None,
    )


def _list(value: Any, field: str, where: str) -> Sequence[Any]:
    """A list; empty where tools write null. Raises ConfigurationError."""
    if value and not isinstance(value, list):
        raise ConfigurationError(f"kubeconfig: {where}: {field} is not a list")
    return value or ()


def _cluster_info(cluster: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    info = {
        "server": cluster.get("server"),
        "tls-server-name": cluster.get("tls-server-name"),
        "insecure-skip-tls-verify": cluster.get("insecure-skip-tls-verify"),
        "certificate-authority-data": cluster.get("certificate-authority-data"),
        "proxy-url": cluster.get("proxy-url"),
        # This extension of the kubeconfig is for the exec plugin.
        "config": next(
            (
                extension.get("extension")
                for extension in _list(cluster.get("extensions"), "extensions", where)
                if isinstance(extension, dict) and extension.get("name") == "client.authentication.k8s.io/exec"
            ),
            None,
        ),
    }
    return {key: value for key, value in info.items() if value is not None}
