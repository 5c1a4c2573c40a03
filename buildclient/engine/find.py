"""Finds the Docker Engine as the docker command does: DOCKER_HOST, contexts, then the usual sockets.

Order: a context or address that the build names, BUILDCLIENT_LOAD, DOCKER_HOST, DOCKER_CONTEXT, `currentContext` of
Docker's configuration, /var/run/docker.sock. Where that socket is missing, Podman's is taken.

Reference: docker/cli `cli/command/cli.go` (resolveContextName), `cli/context/store`.
"""

from __future__ import annotations

import hashlib
import os
import stat as st
from collections.abc import Mapping
from typing import Any

from buildclient.base.errors import UsageError
from buildclient.base.files import read_bounded
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import read_json
from buildclient.engine.address import EngineAddress, Tls, is_containerd, parse_address
from buildclient.engine.errors import EngineError

__all__ = ["context_address", "find_engine"]

_SOCKET = "/var/run/docker.sock"
_MAX_META = 1 << 20
"""Bytes of a context's description."""


def find_engine(context: str, environ: Mapping[str, str], *, socket: str = _SOCKET) -> EngineAddress | str:
    """Returns the engine's address; a text is an address of containerd.

    `context` is a docker context's name, an address, or empty. Reads files. Raises UsageError, EngineError.
    """
    wanted = context or environ.get("BUILDCLIENT_LOAD", "")
    if is_containerd(wanted):
        return wanted
    if "://" in wanted:
        return parse_address(wanted, _env_tls(environ))
    if not wanted and not environ.get("DOCKER_HOST"):
        wanted = environ.get("DOCKER_CONTEXT") or _current(environ)
    if wanted and wanted != "default":
        return _of_context(wanted, environ)
    if host := environ.get("DOCKER_HOST", ""):
        return parse_address(host, _env_tls(environ))
    if not os.path.exists(socket) and (podman := _podman(environ)):
        return parse_address(f"unix://{podman}")
    return parse_address(f"unix://{socket}")


def context_address(data: bytes, name: str, tls: Tls | None = None) -> EngineAddress:
    """Returns the engine's address of a context's meta.json; `tls` has its files, if it has any. Raises EngineError."""
    try:
        endpoint = _table(_table(read_json(data, size=_MAX_META)).get("Endpoints")).get("docker")
    except ValueError as error:
        raise EngineError(f'docker context "{name}" cannot be read: {error}') from None
    host = _table(endpoint).get("Host")
    if not isinstance(host, str) or not host:
        raise EngineError(f'docker context "{name}" names no host of a Docker Engine')
    if _table(endpoint).get("SkipTLSVerify") is True:
        tls = (tls or Tls())._replace(verify=False)
    return parse_address(host, tls)


def _of_context(name: str, environ: Mapping[str, str]) -> EngineAddress:
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    folder = os.path.join(_folder(environ), "contexts")
    path = os.path.join(folder, "meta", digest, "meta.json")
    try:
        data = read_bounded(path, _MAX_META)
    except (FileNotFoundError, NotADirectoryError):
        problem = f"failed to detect docker features: unable to parse docker host `{name}`"
        raise EngineError(problem, hint=f"there is no docker context of that name in {folder}") from None
    except OSError as error:
        raise EngineError(f'docker context "{name}" cannot be read: {path}: {reason(error)}') from None
    tls = _tls_files(os.path.join(folder, "tls", digest, "docker"))
    return context_address(data, name, tls if any(tls[:3]) else None)


def _env_tls(environ: Mapping[str, str]) -> Tls | None:
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if not verify and not environ.get("DOCKER_TLS"):
        return None
    return _tls_files(environ.get("DOCKER_CERT_PATH") or _folder(environ))._replace(verify=verify)


def _tls_files(folder: str) -> Tls:
    paths = [os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem")]
    ca, cert, key = (path if os.path.exists(path) else "" for path in paths)
    return Tls(ca, cert, key)


def _current(environ: Mapping[str, str]) -> str:
    path = os.path.join(_folder(environ), "config.json")
    try:
        current = _table(read_json(read_bounded(path))).get("currentContext")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError(f"cannot read Docker's configuration {path}: {reason(error)}") from None
    except ValueError as error:
        raise UsageError(f"Docker's configuration {path} is not JSON: {error}") from None
    return current if isinstance(current, str) else ""


def _podman(environ: Mapping[str, str]) -> str:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    folders = [runtime, "/run"] if runtime else ["/run"]
    return next((path for one in folders if _is_socket(path := os.path.join(one, "podman/podman.sock"))), "")


def _is_socket(path: str) -> bool:
    try:
        return st.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _folder(environ: Mapping[str, str]) -> str:
    folder = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME") or "~", ".docker")
    return os.path.expanduser(folder)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
