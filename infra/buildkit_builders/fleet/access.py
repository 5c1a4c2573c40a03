"""What a team gets: a kubeconfig for its builders, with a short-lived token or its reader's own way to log in."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml

from buildclient.base.files import replace_whole
from buildclient.base.oserrors import reason
from buildclient.kube.api import ApiError, KubeApi
from buildclient.kube.kubeconfig import Kubeconfig, load_kubeconfig
from buildkit_builders.claims import Resolved
from buildkit_builders.results import StackError

__all__ = ["Granted", "job_lines", "kubeconfig_of", "own_kubeconfig", "token_kubeconfig", "write_private"]

_OWN_SECRETS = (
    "token", "tokenFile", "password", "client-key", "client-key-data", "client-certificate", "client-certificate-data",
    "auth-provider",
)  # fmt: skip
"""What a user entry holds or points to that would be a long-lived secret in the new file."""


class Granted(NamedTuple):
    """A kubeconfig, and until when its tokens hold."""

    kubeconfig: Mapping[str, Any]
    expires: tuple[str, ...] = ()
    """As RFC 3339, one a token; none with the reader's own identity."""


def token_kubeconfig(builders: Sequence[Resolved], seconds: int, environ: Mapping[str, str] = os.environ) -> Granted:
    """A kubeconfig with a token of each builder's ServiceAccount, for `seconds` (the API server may give less).

    Raises StackError, UnreachableError.
    """
    config = load_kubeconfig(environ)
    users, expires = {}, []
    for one in builders:
        api = KubeApi(config.access(one.context), environ)
        path = (
            f"/api/v1/namespaces/{quote(one.namespace, safe='')}/serviceaccounts/{quote(one.service_account, safe='')}"
        )
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                   "spec": {"expirationSeconds": seconds}}  # fmt: skip
        try:
            answer = api.create(f"{path}/token", {}, request, f"cannot get a token of {one.service_account}")
        except ApiError as error:
            if error.status == 404:
                raise StackError(
                    f"{one.claim.id}: there is no ServiceAccount {one.namespace}/{one.service_account} yet; "
                    f"make it: builders claims apply --only {one.claim.id}"
                ) from None
            raise
        status = answer.get("status") or {}
        users[one.stack] = {"token": str(status.get("token") or "")}
        expires.append(str(status.get("expirationTimestamp") or ""))
    return Granted(kubeconfig_of(builders, config, users), tuple(expires))


def own_kubeconfig(builders: Sequence[Resolved], environ: Mapping[str, str] = os.environ) -> Granted:
    """A kubeconfig with the reader's own way to log in: the exec plugin of each builder's context, copied.

    Raises StackError for a context whose user has a secret of its own, which is not copied.
    """
    config = load_kubeconfig(environ)
    users = {}
    for one in builders:
        entry = config.contexts.get(one.context) or {}
        name = str(entry.get("user") or "")
        user = config.entries.users.get(name) or {}
        kept = [key for key in _OWN_SECRETS if user.get(key)]
        if kept or not user.get("exec"):
            why = f"has {kept[0]}, a secret that is not copied" if kept else "has no exec plugin"
            raise StackError(
                f"context {one.context!r}: its user {name!r} {why}; leave out --own for a short-lived token"
            )
        users[one.stack] = {"exec": user["exec"]}
    return Granted(kubeconfig_of(builders, config, users))


def kubeconfig_of(builders: Sequence[Resolved], config: Kubeconfig, users: Mapping[str, Any]) -> dict[str, Any]:
    """A kubeconfig with a context a builder, whose namespace is the builder's; the first is the current one."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": builders[0].stack,
        "clusters": [{"name": one.stack, "cluster": _cluster(config, one.context)} for one in builders],
        "users": [{"name": one.stack, "user": dict(users[one.stack])} for one in builders],
        "contexts": [
            {"name": one.stack, "context": {"cluster": one.stack, "user": one.stack, "namespace": one.namespace}}
            for one in builders
        ],
    }


def _cluster(config: Kubeconfig, context: str) -> dict[str, Any]:
    access = config.access(context)
    found: dict[str, Any] = {"server": access.server}
    if ca := access.ca.read():
        found["certificate-authority-data"] = base64.b64encode(ca).decode()
    for key, value in (
        ("insecure-skip-tls-verify", access.insecure),
        ("tls-server-name", access.tls_server_name),
        ("proxy-url", access.proxy_url),
    ):
        if value:
            found[key] = value
    return found


def write_private(path: Path, kubeconfig: Mapping[str, Any]) -> None:
    """Write a kubeconfig that none but its owner can read, beside its place and then renamed. Raises StackError."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            replace_whole(folder, path.name, yaml.safe_dump(dict(kubeconfig), sort_keys=False).encode(), 0o600)
        finally:
            os.close(folder)
    except OSError as error:
        raise StackError(f"cannot write {path}: {reason(error)}") from None


def job_lines(builder: Resolved, path: Path) -> tuple[str, str]:
    """The two lines for a CI job."""
    return (
        f"export KUBECONFIG={path}",
        f"buildclient build --from-cluster {builder.namespace}/{builder.claim.name} --push -t REGISTRY/IMAGE:TAG .",
    )
