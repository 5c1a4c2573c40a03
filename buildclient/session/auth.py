"""moby.filesync.v1.Auth: registry credentials for the daemon, which asks for them as it pulls and pushes.

Passwords stay on the client where possible: the daemon asks for tokens, and recognises the client by a key derived from
a secret seed (GetTokenAuthority, VerifyTokenAuthority). Reference: session/auth/authprovider of BuildKit.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from buildclient.base.errors import ClientError
from buildclient.registry.credentials import Credentials, CredentialSource
from buildclient.session.call import Call, Code, Service, Status, only_message

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["FetchToken", "auth"]

FetchToken = Callable[[str, str, Sequence[str], Credentials], tuple[str, int, int]]
"""(realm, service, scopes, credentials) -> token, lifetime in seconds, time of issue; blocking."""
_PREFIX = "/moby.filesync.v1.Auth/"


def auth(source: CredentialSource, fetch_token: FetchToken, seed: Callable[[str], bytes]) -> Service:
    """Returns the service. `seed` returns the secret random bytes of a host, the same ones every time."""
    service = _Auth(source, fetch_token, seed)
    return {
        f"{_PREFIX}Credentials": service.credentials,
        f"{_PREFIX}FetchToken": service.fetch_token,
        f"{_PREFIX}GetTokenAuthority": service.token_authority,
        f"{_PREFIX}VerifyTokenAuthority": service.verify,
    }


class _Auth:
    def __init__(self, source: CredentialSource, fetch: FetchToken, seed: Callable[[str], bytes]) -> None:
        self._source = source
        self._fetch = fetch
        self._seed = seed

    async def credentials(self, call: Call) -> None:
        from buildclient.proto import auth_pb2 as pb

        found = await self._get(pb.CredentialsRequest.FromString(await only_message(call)).host)
        if found.identity_token:
            answer = pb.CredentialsResponse(secret=found.identity_token)
        else:
            answer = pb.CredentialsResponse(username=found.username, secret=found.secret)
        await call.write(answer.SerializeToString())

    async def fetch_token(self, call: Call) -> None:
        from buildclient.proto import auth_pb2 as pb

        request = pb.FetchTokenRequest.FromString(await only_message(call))
        found = await self._get(request.host)
        try:
            token, life, issued = await asyncio.to_thread(
                self._fetch, request.realm, request.service, tuple(request.scopes), found
            )
        except ClientError as error:
            raise Status(Code.UNKNOWN, str(error)) from None
        await call.write(pb.FetchTokenResponse(token=token, expires_in=life, issued_at=issued).SerializeToString())

    async def token_authority(self, call: Call) -> None:
        from buildclient.proto import auth_pb2 as pb

        request = pb.GetTokenAuthorityRequest.FromString(await only_message(call))
        key = await self._key(request.host, request.salt)
        public = key.public_key().public_bytes_raw()
        await call.write(pb.GetTokenAuthorityResponse(public_key=public).SerializeToString())

    async def verify(self, call: Call) -> None:
        from buildclient.proto import auth_pb2 as pb

        request = pb.VerifyTokenAuthorityRequest.FromString(await only_message(call))
        key = await self._key(request.host, request.salt)
        # As NaCl's `sign`: the signature, then the message.
        signed = key.sign(request.payload) + request.payload
        await call.write(pb.VerifyTokenAuthorityResponse(signed=signed).SerializeToString())

    async def _get(self, host: str) -> Credentials:
        try:
            return await self._source.get(host)
        except ClientError as error:
            raise Status(Code.UNKNOWN, str(error)) from None

    async def _key(self, host: str, salt: bytes) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        # Without credentials every client is anonymous, so clients may share tokens.
        found = await self._get(host)
        secret = found.secret or found.identity_token
        message = await asyncio.to_thread(self._seed, host) if secret else b""
        return Ed25519PrivateKey.from_private_bytes(hmac.new(salt, message, hashlib.sha256).digest())
