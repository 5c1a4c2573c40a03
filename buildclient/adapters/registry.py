"""The few calls of the OCI distribution API that merging needs, on urllib3, in threads.

Reference: OCI distribution-spec 1.1; distribution's "Token Authentication". Fulfils `buildclient.core.ports.Registry`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from buildclient.adapters.token import TokenRefused, fetch_token
from buildclient.core.errors import BuildFailed
from buildclient.core.ports import CredentialSource
from buildclient.core.reference import Reference, parse_reference, registry_host

if TYPE_CHECKING:
    import urllib3

__all__ = ["OciRegistry", "plain_http"]

_ACCEPT = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_TIMEOUT = 60.0
_MAX_MANIFEST = 16 << 20
_CHUNK = 1 << 20
_CHALLENGE = re.compile(r'([a-zA-Z]+)="((?:[^"\\]|\\.)*)"')


class OciRegistry:
    """Registries, with credentials for each."""

    def __init__(self, credentials: CredentialSource, insecure: Sequence[str] = ()) -> None:
        """`insecure`: hosts (`host[:port]`, or a network in CIDR form) that speak plain HTTP; loopback always may."""
        self._credentials = credentials
        self._insecure = tuple(insecure)
        self._authorization: dict[tuple[str, str], str] = {}
        self._manager: urllib3.PoolManager | None = None

    async def get_manifest(self, reference: str, digest: str) -> tuple[str, bytes]:
        """Media type and exact bytes of a manifest, checked against its digest. Raises ClientError."""
        where = parse_reference(reference)
        url = f"{self._base(where)}/manifests/{digest}"
        answer = await self._ask("GET", url, where, "pull", headers={"Accept": ", ".join(_ACCEPT)})
        data: bytes = answer.data
        found = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest.startswith("sha256:") and found != digest:
            raise BuildFailed(f"{where.name}@{digest}: the registry gave other bytes ({found})")
        return answer.headers.get("Content-Type", "").partition(";")[0], data

    async def put_manifest(self, reference: str, media_type: str, data: bytes) -> str:
        """Puts bytes under a tag or digest; gives their digest. Raises ClientError."""
        where = parse_reference(reference)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        target = where.digest or where.tag or "latest"
        url = f"{self._base(where)}/manifests/{target}"
        await self._ask("PUT", url, where, "pull,push", body=data, headers={"Content-Type": media_type})
        return digest

    async def blob(self, reference: str, digest: str) -> AsyncIterator[bytes]:
        """A blob's bytes, in pieces. Raises ClientError."""
        where = parse_reference(reference)
        url = f"{self._base(where)}/blobs/{digest}"
        answer = await self._ask("GET", url, where, "pull", preload_content=False)
        try:
            while piece := await asyncio.to_thread(answer.read, _CHUNK):
                yield piece
        finally:
            answer.release_conn()

    def _base(self, where: Reference) -> str:
        host = registry_host(where.domain)
        return f"{'http' if plain_http(host, self._insecure) else 'https'}://{host}/v2/{where.path}"

    async def _ask(self, method: str, url: str, where: Reference, actions: str, **options: Any) -> Any:
        key = (where.name, actions)
        answer = await self._send(method, url, self._authorization.get(key, ""), options)
        if answer.status == 401:
            self._authorization[key] = await self._authorize(answer.headers.get("WWW-Authenticate", ""), where, actions)
            answer = await self._send(method, url, self._authorization[key], options)
        if answer.status // 100 != 2:
            text = " ".join(answer.data.decode(errors="replace").split())[:300]
            raise BuildFailed(f"{method} {url}: {answer.status} {text}".rstrip())
        return answer

    async def _send(self, method: str, url: str, authorization: str, options: Mapping[str, Any]) -> Any:
        import urllib3

        if self._manager is None:
            self._manager = urllib3.PoolManager(timeout=_TIMEOUT, retries=urllib3.Retry(3, backoff_factor=0.2))
        headers = {**options.get("headers", {}), **({"Authorization": authorization} if authorization else {})}
        try:
            return await asyncio.to_thread(self._manager.request, method, url, **{**options, "headers": headers})
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise BuildFailed(f"{method} {url}: {_words(reason)}") from None

    async def _authorize(self, challenge: str, where: Reference, actions: str) -> str:
        scheme, _, rest = challenge.partition(" ")
        found = await self._credentials.get(registry_host(where.domain))
        if scheme.lower() == "basic":
            pair = base64.b64encode(f"{found.username}:{found.secret}".encode()).decode()
            return f"Basic {pair}"
        fields = {name.lower(): value for name, value in _CHALLENGE.findall(rest)}
        if scheme.lower() != "bearer" or not fields.get("realm"):
            raise BuildFailed(f"registry {where.domain} asks for an unknown kind of login: {challenge or 'none named'}")
        scope = f"repository:{where.path}:{actions}"
        try:
            token = await asyncio.to_thread(fetch_token, fields["realm"], fields.get("service", ""), (scope,), found)
        except TokenRefused as error:
            raise BuildFailed(f"failed to authorize at {where.domain}: {error}") from None
        return f"Bearer {token.value}"


def plain_http(host: str, insecure: Sequence[str]) -> bool:
    """Whether a registry's host (`host[:port]`) is spoken to without TLS: loopback, and what `insecure` lists."""
    name = host.rpartition(":")[0] if re.search(r":\d+\Z", host) else host
    name = name.strip("[]")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    if name == "localhost" or (address is not None and address.is_loopback):
        return True
    for rule in insecure:
        if rule in (host, name):
            return True
        if address is not None and "/" in rule:
            try:
                if address in ipaddress.ip_network(rule, strict=False):
                    return True
            except ValueError:
                continue
    return False


def _words(error: object) -> str:
    text = str(error)
    if "WRONG_VERSION_NUMBER" in text or "wrong version number" in text:
        return "it speaks plain HTTP; name it in BUILDCLIENT_INSECURE_REGISTRIES, or push with registry.insecure=true"
    return " ".join(text.split())
