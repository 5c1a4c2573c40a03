"""Bearer tokens from a registry's token server.

Reference: distribution's "Token Authentication" and "OAuth2 token authentication"; the order of attempts is
containerd's and BuildKit's.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

from buildclient.base.errors import ClientError
from buildclient.contract.jsontext import read_json
from buildclient.contract.urls import is_url
from buildclient.net.proxy import basic_login, pool, proxy_for, redacted
from buildclient.registry.credentials import Credentials

__all__ = ["Token", "TokenRefused", "fetch_token", "read_token"]

_LOG = logging.getLogger("buildclient.registry")
_CLIENT = "buildkit-client"
_DEFAULT_LIFE = 60
"""Seconds that a token is valid if the server does not say: what "Token Authentication" prescribes."""
_TIMEOUT = 30.0
"""Seconds."""
_RETRIES = 3


class Token(NamedTuple):
    """A token and its life."""

    value: str
    expires_in: int = _DEFAULT_LIFE
    """Seconds."""
    issued_at: int = 0
    """Seconds since the epoch; 0 where the server does not say."""


class TokenRefused(ClientError):
    """The token server gave none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def fetch_token(realm: str, service: str, scopes: Sequence[str], credentials: Credentials) -> Token:
    """Asks `realm` for a token; blocking. Raises TokenRefused.

    A token in the configuration is taken as it is. With a secret the OAuth way is tried first, the older GET where
    the server does not know it; without one the GET is anonymous.
    """
    if not is_url(realm, "https", "http"):
        raise TokenRefused(f"the token server {realm[:100]!r} is no URL")
    if credentials.registry_token:
        _LOG.debug("the token of Docker's configuration is taken as it is")
        return Token(credentials.registry_token)
    how = "an identity token" if credentials.identity_token else "user and password" if credentials.secret else "none"
    _LOG.debug("token from %s, service %s, scope %s, credentials: %s", redacted(realm), service, " ".join(scopes), how)
    secret = credentials.identity_token or credentials.secret
    username = "" if credentials.identity_token else credentials.username
    if secret:
        try:
            return _post(realm, service, scopes, username, secret)
        except TokenRefused as error:
            # GCR answers 404 to a POST, Artifactory 401, others 405.
            if error.status not in (401, 404) and not (error.status == 405 and username):
                raise
    return _get(realm, service, scopes, username, secret)


def _post(realm: str, service: str, scopes: Sequence[str], username: str, secret: str) -> Token:
    fields = {"client_id": _CLIENT, "service": service, "scope": " ".join(scopes)}
    if username:
        fields.update(grant_type="password", username=username, password=secret)
    else:
        fields.update(grant_type="refresh_token", refresh_token=secret)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return _ask("POST", realm, {"body": urlencode(fields), "headers": headers})


def _get(realm: str, service: str, scopes: Sequence[str], username: str, secret: str) -> Token:
    fields = [*((("service", service),) if service else ()), *(("scope", scope) for scope in scopes)]
    try:
        parts = urlsplit(realm)
    except ValueError as error:
        raise TokenRefused(f"failed to fetch a token from {realm}: {error}") from None
    url = urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(fields)))), fragment=""))
    headers = {"Authorization": basic_login(username, secret)} if secret else {}
    return _ask("GET", url, {"headers": headers}, realm)


def _ask(method: str, url: str, options: dict[str, Any], realm: str = "") -> Token:
    """The token that a request to `url` brings; `realm` is what messages call the server."""
    import urllib3

    from buildclient.registry.http import read_body

    realm = realm or url
    began = time.monotonic()
    try:
        retries = urllib3.Retry(
            _RETRIES,
            other=0,
            # Asking twice for a token does no harm.
            allowed_methods=None,
            status_forcelist=(429, 500, 502, 503, 504),
            backoff_factor=0.2,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        with pool(proxy_for(url, "", os.environ)) as manager:
            answer = manager.request(method, url, timeout=_TIMEOUT, retries=retries, preload_content=False, **options)
            data = read_body(answer)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise TokenRefused(f"failed to fetch a token from {realm}: {error}") from None
    _LOG.debug("%s %s: %d in %.0f ms", method, redacted(realm), answer.status, 1000 * (time.monotonic() - began))
    if answer.status != 200:
        raise TokenRefused(f"failed to fetch a token from {realm}: status {answer.status}", answer.status)
    return read_token(realm, data)


def read_token(realm: str, data: bytes) -> Token:
    """The token in a token server's answer. Raises TokenRefused where there is none."""
    try:
        body = read_json(data)
        value = body.get("access_token") or body.get("token")
    except (ValueError, AttributeError):
        value = None
    # Printable ASCII is what a header can hold (RFC 6750, 2.1, allows fewer signs).
    if not value or not re.fullmatch(r"[\x21-\x7e]+", str(value)):
        raise TokenRefused(f"the token server {realm} gave no token")
    life = body.get("expires_in")
    return Token(value, life if isinstance(life, int) and life > 0 else _DEFAULT_LIFE, _seconds(body.get("issued_at")))


def _seconds(text: object) -> int:
    try:
        return int(datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp())
    except ValueError:
        return 0
