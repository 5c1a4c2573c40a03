"""The credentials of requests to a cluster: TLS, headers, exec plugins.

Reference: Kubernetes, "client-go credential plugins" (client.authentication.k8s.io, v1 and v1beta1).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple, cast

from buildclient.base.errors import UnreachableError
from buildclient.base.helper import HelperError, run_helper
from buildclient.contract.jsontext import read_json
from buildclient.kube.kubeconfig import Access, ExecPlugin, Material
from buildclient.net.proxy import basic_login

__all__ = ["Authority", "Credential", "run_plugin"]

_LOG = logging.getLogger("buildclient.kube")
_PLUGIN_TIMEOUT = 120.0
"""Seconds; a plugin may open a browser and wait for its user."""
_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class Credential(NamedTuple):
    """A token, a client certificate with its key, or both: the `status` of an ExecCredential."""

    token: str = ""
    certificate: Material = Material()
    key: Material = Material()
    expires: float = 0.0
    """When it ends, in seconds since the epoch; 0 where it does not say."""


class Authority:
    """TLS context and headers for one cluster, made at first use; may be used from several threads."""

    def __init__(self, access: Access, environ: Mapping[str, str] | None = None) -> None:
        """`environ` is what exec plugins run with; the process's own by default."""
        self.access = access
        self._environ = dict(os.environ if environ is None else environ)
        self._lock = threading.Lock()
        self._credential: Credential | None = None
        self._ssl_context: ssl.SSLContext | None = None

    def forget(self) -> bool:
        """Drops the credential of an exec plugin after a 401; returns whether a retry may succeed."""
        with self._lock:
            had, self._credential, self._ssl_context = self._credential is not None, None, None
        return had and self.access.plugin is not None

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context, None for a plain HTTP server. Raises UnreachableError for unusable certificates."""
        if self.access.server.startswith("http://"):
            return None
        credential = self._plugged()
        with self._lock:
            if self._ssl_context is None:
                self._ssl_context = _ssl_context(self.access, credential)
            return self._ssl_context

    def proxy_context(self) -> ssl.SSLContext:
        """The TLS context for an https:// proxy. Raises UnreachableError.

        As kubectl's, it trusts the cluster's authority and shows the client's certificate; the system's authorities
        are trusted as well.
        """
        context = _ssl_context(self.access, self._plugged())
        context.load_default_certs()
        return context

    def headers(self) -> list[tuple[str, str]]:
        """Authorization and impersonation headers. Raises UnreachableError."""
        access, credential = self.access, self._plugged()
        token = credential.token or access.token
        if access.token_file:
            token = Material(file=access.token_file).read().decode(errors="replace").strip() or token
        headers = list(access.impersonate)
        if token:
            headers.append(("Authorization", f"Bearer {token}"))
        elif access.username:
            headers.append(("Authorization", basic_login(access.username, access.password)))
        for name, value in headers:
            if any(sign < " " or sign == "\x7f" for sign in value):
                raise UnreachableError(
                    f'kubeconfig: context "{access.context}": a control character stands in what is sent as {name}'
                )
        return headers

    def token(self) -> str:
        """The bearer token that is sent now; empty where there is none. Raises UnreachableError."""
        sent = dict(self.headers()).get("Authorization", "")
        return sent.removeprefix("Bearer ") if sent.startswith("Bearer ") else ""

    def expires(self) -> float:
        """When the exec plugin's credential ends, in seconds since the epoch; 0 where it does not say."""
        return self._credential.expires if self._credential else 0.0

    def _plugged(self) -> Credential:
        with self._lock:
            if self._credential is None:
                plugin = self.access.plugin
                self._credential = run_plugin(plugin, self._environ) if plugin else Credential()
            return self._credential


def run_plugin(plugin: ExecPlugin, environ: Mapping[str, str]) -> Credential:
    """Runs an exec plugin. Raises UnreachableError with its last line, or its install hint if it is not there."""
    if plugin.api_version not in _VERSIONS:
        raise UnreachableError(f"kubeconfig: exec plugin {plugin.command}: unknown apiVersion {plugin.api_version}")
    interactive = plugin.interactive_mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not interactive:
        raise UnreachableError(f"exec plugin {plugin.command} needs a terminal on standard input")
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.cluster_info is not None:
        spec["cluster"] = plugin.cluster_info
    info = json.dumps({"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec})
    called = f"exec plugin {plugin.command}"
    try:
        answer = run_helper(
            [plugin.command, *plugin.args],
            environ={**environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": info},
            timeout=_PLUGIN_TIMEOUT,
            log=_LOG,
            called=called,
            interactive=interactive,
        )
    except HelperError as error:
        hint = "" if error.late else " ".join(plugin.install_hint.split())
        raise UnreachableError(f"{called} of the kubeconfig {error}", hint=hint) from None
    if answer.status:
        raise UnreachableError(
            ": ".join(filter(None, [f"{called} ended with status {answer.status}", answer.last_line]))
        )
    return _credential(plugin, answer.stdout)


def _credential(plugin: ExecPlugin, printed: bytes) -> Credential:
    try:
        value = read_json(printed)
        status = value["status"]
        version = value["apiVersion"]
    except (ValueError, KeyError, TypeError):
        raise UnreachableError(f"exec plugin {plugin.command} printed no ExecCredential with a status") from None
    if version != plugin.api_version:
        raise UnreachableError(
            f"exec plugin {plugin.command} printed {version}, the kubeconfig says {plugin.api_version}"
        )
    credential = Credential(
        token=str(status.get("token") or ""),
        certificate=Material(data=str(status.get("clientCertificateData") or "").encode()),
        key=Material(data=str(status.get("clientKeyData") or "").encode()),
        expires=_moment(status.get("expirationTimestamp")),
    )
    if not credential.token and not (credential.certificate.data and credential.key.data):
        raise UnreachableError(f"exec plugin {plugin.command} printed neither a token nor a certificate with its key")
    return credential


def _moment(text: object) -> float:
    """A time of Kubernetes (RFC 3339) in seconds since the epoch; 0 for what is none."""
    if not text:
        return 0.0
    from datetime import datetime

    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _ssl_context(access: Access, credential: Credential) -> ssl.SSLContext:
    where = f'context "{access.context}"'
    try:
        if access.ca.data:
            ssl_context = ssl.create_default_context(cadata=access.ca.data.decode(errors="replace"))
        elif access.ca.file:
            ssl_context = ssl.create_default_context(cafile=access.ca.file)
        else:
            ssl_context = ssl.create_default_context()
    except (OSError, ValueError) as error:
        raise UnreachableError(f"kubeconfig: {where}: certificate authority cannot be used: {error}") from None
    if access.ca.data or access.ca.file:
        # Python 3.13 refuses authorities without keyUsage, which many clusters have and kubectl accepts.
        ssl_context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if access.insecure:
        ssl_context.check_hostname = False
        ssl_context.verify_mode = ssl.CERT_NONE
    certificate, key = access.certificate, access.key
    if credential.certificate.data:
        certificate, key = credential.certificate, credential.key
    if certificate.data or certificate.file:
        try:
            with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
                ssl_context.load_cert_chain(certificate_file, key_file or None)
        except (OSError, ValueError) as error:
            raise UnreachableError(f"kubeconfig: {where}: client certificate cannot be used: {error}") from None
    return ssl_context


@contextlib.contextmanager
def _as_file(material: Material) -> Iterator[str]:
    """Yields the material as a path, since `ssl` loads client certificates only from files: an unnamed file in memory.

    A signal can end the process at any moment, so a key is never in a file that has a name.
    """
    if not material.data:
        yield material.file
        return
    with _nameless_file() as file:
        file.write(material.data)
        file.flush()
        # If /dev/fd/N is a duplicate, it shares this file's offset.
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


def _nameless_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):
            return os.fdopen(os.memfd_create("buildclient"), "w+b")
    import tempfile

    # Unlinked before anything is written.
    return cast(BinaryIO, tempfile.TemporaryFile())
