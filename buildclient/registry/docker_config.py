"""Registry credentials and proxies from Docker's configuration: `config.json`, credential stores and helpers.

Reference: docker/cli `cli/config` and docker-credential-helpers' protocol.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from buildclient.base.errors import UsageError
from buildclient.base.files import read_bounded
from buildclient.base.helper import HelperError, run_helper
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import read_json
from buildclient.registry.credentials import Credentials

__all__ = ["DockerConfig"]

_LOG = logging.getLogger("buildclient.registry")
_HUB = "https://index.docker.io/v1/"
"""The name under which Docker keeps Docker Hub's credentials."""
_HUB_HOSTS = ("registry-1.docker.io", "docker.io", "index.docker.io")
HELPER_TIMEOUT = 60.0
"""Seconds; a helper may prompt its user."""
_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
}
_TOKEN_USER = "<token>"
"""The user name by which helpers say that the secret is an identity token."""


class DockerConfig:
    """Implements `buildclient.registry.credentials.CredentialSource`; asks a helper once per host."""

    def __init__(self, environ: Mapping[str, str], *, helper_timeout: float = HELPER_TIMEOUT) -> None:
        """`environ`: DOCKER_CONFIG, DOCKER_AUTH_CONFIG, HOME, and what helpers run with; `helper_timeout`: seconds.

        Nothing is read before it is needed.
        """
        self._helper_timeout = helper_timeout
        self._environ = dict(environ)
        folder = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME") or "~", ".docker")
        self.path = os.path.join(os.path.expanduser(folder), "config.json")
        self._config: Mapping[str, Any] | None = None
        self._known: dict[str, Credentials] = {}
        self._lock = threading.Lock()

    async def get(self, host: str) -> Credentials:
        """Credentials for a registry's host as BuildKit names it. Raises UsageError for an unreadable configuration."""
        if host not in self._known:
            return await asyncio.to_thread(self._once, host)
        return self._known[host]

    def _once(self, host: str) -> Credentials:
        # Several nodes ask at the same moment; a helper may ask its user.
        with self._lock:
            if host not in self._known:
                self._known[host] = found = self._find(host)
                _LOG.debug("credentials for %s: %s", host, _kind(found))
            return self._known[host]

    def proxies(self) -> dict[str, str]:
        """The build arguments that `proxies.default` stands for; none where the configuration cannot be read."""
        try:
            default = _table(_table(self._read(), "proxies"), "default")
        except UsageError:
            return {}
        return {name: str(default[key]) for key, name in _PROXIES.items() if default.get(key)}

    def _find(self, host: str) -> Credentials:
        key = _HUB if host in _HUB_HOSTS else host
        if found := self._listed(_table(_object(self._environ.get("DOCKER_AUTH_CONFIG", "")), "auths"), key):
            return found
        config = self._read()
        helpers = _table(config, "credHelpers")
        # An empty helper says that this registry has none.
        helper = helpers[key] if key in helpers else config.get("credsStore")
        if helper:
            found = self._ask(str(helper), key)
            if any(found):
                return found
        return self._listed(_table(config, "auths"), key) or Credentials()

    def _listed(self, auths: Mapping[str, Any], key: str) -> Credentials | None:
        """The credentials that a table has for a registry, by its key or else by its host's name."""
        for name in (key, *(name for name in auths if _hostname(name) == _hostname(key))):
            entry = auths.get(name)
            if isinstance(entry, dict) and any(credentials := self._entry(entry, name)):
                return credentials
        return None

    def _read(self) -> Mapping[str, Any]:
        if self._config is None:
            try:
                config = read_json(read_bounded(self.path))
                _LOG.debug("Docker's configuration %s", self.path)
            except FileNotFoundError:
                config = {}
                _LOG.debug("Docker's configuration %s does not exist", self.path)
            except OSError as error:
                raise UsageError(f"cannot read Docker's configuration {self.path}: {reason(error)}") from None
            except ValueError as error:
                raise UsageError(f"Docker's configuration {self.path} is not JSON: {error}") from None
            if not isinstance(config, dict):
                raise UsageError(f"Docker's configuration {self.path} is not a JSON object")
            self._config = config
        return self._config

    def _entry(self, entry: Mapping[str, Any], name: str) -> Credentials:
        username, secret = str(entry.get("username") or ""), str(entry.get("password") or "")
        if entry.get("auth"):
            try:
                pair = base64.b64decode(str(entry["auth"]), validate=True).decode()
            except (binascii.Error, ValueError):
                raise UsageError(f"Docker's configuration {self.path}: auth of {name} is not base64") from None
            username, colon, secret = pair.partition(":")
            if not colon:
                raise UsageError(f"Docker's configuration {self.path}: auth of {name} has no colon")
            secret = secret.strip("\0")
        return Credentials(
            username, secret, str(entry.get("identitytoken") or ""), str(entry.get("registrytoken") or "")
        )

    def _ask(self, helper: str, key: str) -> Credentials:
        program = f"docker-credential-{helper}"
        try:
            answer = run_helper(
                [program, "get"],
                environ=self._environ,
                timeout=self._helper_timeout,
                log=_LOG,
                called=f"credential helper {program} for {key}",
                given=key.encode(),
            )
        except HelperError as error:
            raise UsageError(f"credential helper {program} {error}") from None
        if answer.status:
            said = (answer.stdout or answer.stderr).decode(errors="replace").strip()
            if "credentials not found" in said:
                return Credentials()
            raise UsageError(f"credential helper {program}: {said or f'ended with status {answer.status}'}")
        try:
            found = read_json(answer.stdout)
            username, secret = str(found.get("Username") or ""), str(found.get("Secret") or "")
        except (ValueError, AttributeError):
            raise UsageError(f"credential helper {program} printed no JSON object") from None
        if username == _TOKEN_USER:
            return Credentials(identity_token=secret)
        return Credentials(username, secret)


def _kind(found: Credentials) -> str:
    """What was found, without its values."""
    present = [name.replace("_", " ") for name, value in zip(found._fields, found, strict=True) if value]
    return ", ".join(present) or "none"


def _table(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def _object(text: str) -> Mapping[str, Any]:
    """A JSON object; empty for anything else, as Docker passes over a variable that it cannot read."""
    try:
        value = read_json(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _hostname(name: str) -> str:
    """A key of `auths` without scheme and path: old clients wrote URLs."""
    return name.partition("://")[2].partition("/")[0] if "://" in name else name.partition("/")[0]
