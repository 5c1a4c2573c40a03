"""The few calls of the OCI distribution API that merging needs.

Reference: OCI distribution-spec 1.1; distribution's "Token Authentication".
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from buildclient.base.errors import BuildFailed
from buildclient.base.threads import in_thread
from buildclient.contract.patterns import pattern
from buildclient.contract.urls import is_url
from buildclient.net.proxy import basic_login
from buildclient.registry.credentials import Credentials, CredentialSource
from buildclient.registry.http import RegistryHttp, said
from buildclient.registry.merge import digest_of
from buildclient.registry.reference import Reference, parse_reference, registry_host
from buildclient.registry.token import TokenRefused, fetch_token

__all__ = ["OciRegistry", "read_challenge"]

_LOG = logging.getLogger("buildclient.registry")
_ACCEPT = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_MAX_MANIFEST = 16 << 20
"""Bytes; containerd and distribution allow 4 MiB."""
_CHUNK = 1 << 20
_PULL, _BOTH = "pull", "pull,push"
"""Actions of a token's scope."""
_DIGEST_OR_TAG = pattern(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_CHALLENGE = pattern(r'(?<![a-zA-Z])([a-zA-Z]+)="((?:[^"\\]|\\.)*)"')


class OciRegistry:
    """Registries, with credentials for each."""

    def __init__(
        self, credentials: CredentialSource, insecure: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> None:
        """`insecure`: hosts (`host[:port]`, or a network in CIDR form) without checked TLS; loopback always may.

        `environ` names the proxy; it is the process's own by default.
        """
        self._credentials = credentials
        self._http = RegistryHttp(insecure, os.environ if environ is None else environ)
        self._authorization: dict[tuple[str, str], str] = {}

    async def log_in(self, reference: str) -> None:
        """Opens a connection and logs in for pulls and pushes, so that what is asked later waits for neither.

        A registry without logins gets one request. Raises ClientError.
        """
        where = parse_reference(reference)
        answer = await self._http.send("GET", registry_host(where.domain), "")
        if answer.status == 401:
            login = await self._authorize(answer.headers.get("WWW-Authenticate", ""), where, _BOTH)
            for actions in (_PULL, _BOTH):
                self._authorization.setdefault((where.name, actions), login)

    async def get_manifest(self, reference: str, digest: str, *, fresh: bool = False) -> tuple[str, bytes]:
        """Media type and exact bytes of a manifest, checked against its digest. Raises ClientError.

        `fresh`: it was pushed a moment ago, so it is asked for again where it is not found, for three seconds.
        """
        where = parse_reference(reference)
        _check_digest(digest, where)
        headers = {"Accept": ", ".join(_ACCEPT)}
        answer = await self._ask(
            "GET", f"manifests/{digest}", where, _PULL, headers=headers, preload_content=False, fresh=fresh
        )
        data = await self._http.read(answer, _MAX_MANIFEST + 1)
        answer.release_conn()
        if len(data) > _MAX_MANIFEST:
            raise BuildFailed(f"{where.name}@{digest}: a manifest of more than {_MAX_MANIFEST >> 20} MiB")
        found = digest_of(data)
        if digest.startswith("sha256:") and found != digest:
            raise BuildFailed(f"{where.name}@{digest}: the registry gave other bytes ({found})")
        return str(answer.headers.get("Content-Type", "")).partition(";")[0], data

    async def put_manifest(self, reference: str, media_type: str, data: bytes) -> str:
        """Pushes a manifest under a tag or digest (else `latest`) and returns its digest. Raises ClientError."""
        where = parse_reference(reference)
        target = where.digest or where.tag or "latest"
        await self._ask("PUT", f"manifests/{target}", where, _BOTH, body=data, headers={"Content-Type": media_type})
        return digest_of(data)

    async def blob(self, reference: str, digest: str, *, fresh: bool = False) -> AsyncIterator[bytes]:
        """A blob's bytes, in pieces; `fresh` as in `get_manifest`. Raises ClientError."""
        where = parse_reference(reference)
        _check_digest(digest, where)
        answer = await self._ask("GET", f"blobs/{digest}", where, _PULL, preload_content=False, fresh=fresh)
        try:
            while piece := await self._http.read(answer, _CHUNK):
                yield piece
        finally:
            answer.release_conn()

    async def _ask(self, method: str, path: str, where: Reference, actions: str, **options: Any) -> Any:
        """The answer to a request on a repository, with a login where the registry asks for one."""
        key, host = (where.name, actions), registry_host(where.domain)
        given = dict(options.pop("headers", {}))

        async def send() -> Any:
            login = self._authorization.get(key)
            headers = {**given, "Authorization": login} if login else given
            return await self._http.send(method, host, f"{where.path}/{path}", headers=headers, **options)

        answer = await send()
        if answer.status == 401:
            self._authorization[key] = await self._authorize(answer.headers.get("WWW-Authenticate", ""), where, actions)
            answer = await send()
        if answer.status // 100 != 2:
            raise BuildFailed(f"registry {where.domain}, repository {where.path}: {method} {path}: {said(answer)}")
        return answer

    async def _authorize(self, challenge: str, where: Reference, actions: str) -> str:
        scheme, fields = read_challenge(challenge)
        _LOG.debug("registry %s asks for a login: %s", where.domain, scheme or "nothing named")
        found = await self._credentials.get(registry_host(where.domain))
        if scheme == "basic":
            if not found.username and not found.secret:
                raise BuildFailed(
                    f"registry {where.domain}, repository {where.path}: it asks for a password, and Docker's "
                    f"configuration has none for it",
                    hint=f"run: docker login {where.domain}",
                )
            return basic_login(found.username, found.secret)
        realm = fields.get("realm", "")
        if scheme != "bearer" or not realm:
            raise BuildFailed(f"registry {where.domain} asks for an unknown kind of login: {challenge or 'none named'}")
        if not is_url(realm, "https", "http"):
            raise BuildFailed(f"registry {where.domain}: its token server is no URL: {realm[:100]!r}")
        self._check(realm, where, found)
        scope = f"repository:{where.path}:{actions}"
        try:
            token = await in_thread(lambda: fetch_token(realm, fields.get("service", ""), (scope,), found))
        except TokenRefused as error:
            raise BuildFailed(f"registry {where.domain}, repository {where.path}: {error}") from None
        return f"Bearer {token.value}"

    def _check(self, realm: str, where: Reference, found: Credentials) -> None:
        """Raises BuildFailed rather than send a secret unencrypted to a host that is not listed as insecure."""
        parts = urlsplit(realm)
        if parts.scheme == "https" or not any(found) or self._http.allowed(parts.netloc):
            return
        raise BuildFailed(
            f"registry {where.domain}: its token server {realm} is not HTTPS, so it gets no password",
            hint="name its host in BUILDCLIENT_INSECURE_REGISTRIES if that is meant",
        )


def _check_digest(digest: str, where: Reference) -> None:
    """Raises BuildFailed for what is neither a digest nor a tag: it becomes a part of a path."""
    if not _DIGEST_OR_TAG.fullmatch(digest):
        raise BuildFailed(f"{where.name}: {digest[:100]!r} is no digest")


def read_challenge(text: str) -> tuple[str, dict[str, str]]:
    """Scheme, in lower case, and fields of a WWW-Authenticate header (RFC 9110, 11.6.1)."""
    scheme, _, rest = text.partition(" ")
    return scheme.lower(), {name.lower(): value for name, value in _CHALLENGE.findall(rest)}
