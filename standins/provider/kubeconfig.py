"""Which server, and as whom: from a kubeconfig (contents, file, several files, or a pod's own account).

Rules of kubectl: a `kubeconfig` given explicitly is contents or a path; else KUBECONFIG (a list of files, the first to
name something wins), else ~/.kube/config, else the account mounted in a pod.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Access", "KubeconfigError", "active_cluster", "load", "resolve", "text_of"]

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class KubeconfigError(Exception):
    """There is no usable kubeconfig; the text says why."""


@dataclass(frozen=True)
class Access:
    """How to reach an apiserver."""

    server: str
    namespace: str = ""
    """The context's namespace; empty if it names none."""
    authority: bytes | None = None
    """PEM of the server's certificate authority; None: the system's."""
    verify: bool = True
    server_name: str = ""
    certificate: bytes | None = None
    key: bytes | None = None
    token: str = ""
    basic: str = ""
    """`user:password`."""


def load(given: str, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The merged kubeconfig: of `given` (contents or a path) if not empty, else of the environment. Empty if none."""
    if given:
        return _parsed(text_of(given), Path.cwd() if _is_contents(given) else Path(given).expanduser().parent)
    paths = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    if not paths:
        paths = [Path(environment.get("HOME", "/")) / ".kube" / "config"]
    return _merged([_parsed(path.read_text(), path.parent) for path in paths if path.exists()])


def text_of(given: str) -> str:
    """The contents behind a `kubeconfig` setting: the file's if it names one, else the setting itself."""
    if _is_contents(given):
        return given
    try:
        return Path(given).expanduser().read_text()
    except OSError as error:
        raise KubeconfigError(f"open {given}: {(error.strerror or str(error)).lower()}") from error


def _is_contents(given: str) -> bool:
    return "\n" in given or given.lstrip().startswith(("{", "apiVersion"))


def _parsed(text: str, folder: Path) -> dict[str, Any]:
    try:
        content = yaml.load(text, _LOADER)
    except yaml.YAMLError as error:
        raise KubeconfigError(f"not YAML: {str(error).splitlines()[0]}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise KubeconfigError("a kubeconfig is a mapping")
    for section, field in (("contexts", "context"), ("clusters", "cluster"), ("users", "user")):
        for body in _bodies(content, section, field):
            _anchor(body, folder)
    return content


def _bodies(content: dict[str, Any], section: str, field: str) -> list[dict[str, Any]]:
    """What the entries of a section hold; those without a name, which nothing can refer to, are taken out."""
    listed = content.get(section)
    if not isinstance(listed, list | None):
        raise KubeconfigError(f"{section} must be a list")
    for index, entry in enumerate(listed or ()):
        if not isinstance(entry, dict):
            raise KubeconfigError(f"{section}[{index}] must be a mapping")
        if not isinstance(entry.get(field), dict | None):
            raise KubeconfigError(f"{section}[{index}].{field} must be a mapping")
    content[section] = [{**entry, "name": str(entry["name"])} for entry in listed or () if entry.get("name")]
    return [entry[field] for entry in content[section] if entry.get(field)]


def _anchor(entry: dict[str, Any], folder: Path) -> None:
    """File names in a kubeconfig are relative to it."""
    for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
        if entry.get(key):
            entry[key] = str(folder / str(entry[key]))


def _merged(contents: list[dict[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for content in contents:
        for section in ("clusters", "users", "contexts"):
            held = result.setdefault(section, [])
            names = {entry["name"] for entry in held}
            held.extend(entry for entry in content.get(section) or [] if entry["name"] not in names)
        if not result.get("current-context"):
            result["current-context"] = content.get("current-context", "")
    return result


def _named(config: Mapping[str, Any], section: str, name: str, field: str) -> dict[str, Any] | None:
    for entry in config.get(section) or []:
        if entry.get("name") == name:
            return dict(entry.get(field) or {})
    return None


def active_cluster(config: Mapping[str, Any], context: str = "", cluster: str = "") -> dict[str, Any] | None:
    """The cluster entry in use, with the overrides; None if it can't be told."""
    chosen = _named(config, "contexts", context or str(config.get("current-context", "")), "context")
    if chosen is None:
        return None
    return _named(config, "clusters", cluster or str(chosen.get("cluster", "")), "cluster")


def resolve(config: Mapping[str, Any], context: str = "", cluster: str = "") -> Access:
    """Access by the named context (else the current one). Raises KubeconfigError."""
    if not config.get("clusters"):
        if _ACCOUNT.exists() and os.environ.get("KUBERNETES_SERVICE_HOST"):
            return _in_cluster()
        raise KubeconfigError("invalid configuration: no configuration has been provided, try setting KUBECONFIG")
    name = context or str(config.get("current-context", ""))
    chosen = _named(config, "contexts", name, "context")
    if chosen is None:
        raise KubeconfigError(f'context "{name}" does not exist')
    server = _named(config, "clusters", cluster or str(chosen.get("cluster", "")), "cluster")
    if server is None or not server.get("server"):
        raise KubeconfigError(f'cluster "{cluster or chosen.get("cluster", "")}" does not exist')
    user = _named(config, "users", str(chosen.get("user", "")), "user") or {}
    if "exec" in user:
        user = {**user, **_executed(user["exec"])}
    return Access(
        server=str(server["server"]).rstrip("/"),
        namespace=str(chosen.get("namespace") or ""),
        authority=_material(server, "certificate-authority"),
        verify=not server.get("insecure-skip-tls-verify", False),
        server_name=str(server.get("tls-server-name") or ""),
        certificate=_material(user, "client-certificate"),
        key=_material(user, "client-key"),
        token=_token(user),
        basic=f"{user['username']}:{user.get('password', '')}" if user.get("username") else "",
    )


def _material(entry: Mapping[str, Any], key: str) -> bytes | None:
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"])
    if entry.get(key):
        try:
            return Path(str(entry[key])).read_bytes()
        except OSError as error:
            raise KubeconfigError(f"unable to read {key} {entry[key]}: {error.strerror}") from error
    return None


def _token(user: Mapping[str, Any]) -> str:
    if user.get("tokenFile"):
        return Path(str(user["tokenFile"])).read_text().strip()
    return str(user.get("token") or "")


def _executed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a credential plugin (client.authentication.k8s.io) and returns its credentials as a user entry."""
    extra = {item["name"]: item["value"] for item in spec.get("env") or []}
    request = {"apiVersion": spec.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    command = [str(spec["command"]), *map(str, spec.get("args") or [])]
    environment = {**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(request)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        status = json.loads(done.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise KubeconfigError(f"getting credentials: exec: {error}") from error
    user: dict[str, Any] = {"token": status.get("token", "")}
    for key, field in (("client-certificate-data", "clientCertificateData"), ("client-key-data", "clientKeyData")):
        if status.get(field):
            user[key] = base64.b64encode(status[field].encode()).decode()
    return user


def _in_cluster() -> Access:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    namespace = _ACCOUNT / "namespace"
    return Access(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=namespace.read_text().strip() if namespace.exists() else "",
        authority=(_ACCOUNT / "ca.crt").read_bytes(),
        token=(_ACCOUNT / "token").read_text().strip(),
    )
