"""The session's Auth service: what a daemon may learn, and how it knows whose token it has."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from buildclient.base.errors import ClientError, UsageError
from buildclient.proto import auth_pb2 as pb
from buildclient.registry.credentials import Credentials
from buildclient.registry.token_seed import TokenSeeds
from buildclient.session.auth import auth
from buildclient.session.call import Code, Status

PREFIX = "/moby.filesync.v1.Auth/"


class OneCall:
    """A unary call with its request."""

    method = ""
    metadata: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, request: bytes | None) -> None:
        self.request = request
        self.answer = b""

    async def read(self) -> bytes | None:
        return self.request

    async def write(self, *parts: bytes | memoryview) -> None:
        self.answer += b"".join(parts)


class Source:
    """Credentials of one host; another is an error."""

    def __init__(self, found: Credentials) -> None:
        self.found = found

    async def get(self, host: str) -> Credentials:
        if host == "broken":
            raise UsageError("the helper is broken")
        return self.found


def service(found: Credentials, seed: bytes = b"s" * 16, tokens: list[Any] | None = None) -> Any:
    """The service's methods by name; `tokens` takes note of what is fetched."""

    def fetch(realm: str, service: str, scopes: Sequence[str], credentials: Credentials) -> tuple[str, int, int]:
        if realm == "https://refuses":
            raise ClientError("no token for you")
        (tokens if tokens is not None else []).append((realm, service, tuple(scopes), credentials))
        return "the-token", 90, 7

    handlers = auth(Source(found), fetch, lambda host: seed)

    async def call(name: str, request: Any) -> bytes:
        one = OneCall(request if request is None else request.SerializeToString())
        await handlers[PREFIX + name](one)  # type: ignore[arg-type]
        return one.answer

    return call


@pytest.mark.parametrize(
    ("found", "username", "secret"),
    [
        (Credentials("u", "p"), "u", "p"),
        (Credentials("u", "p", identity_token="t"), "", "t"),
        (Credentials(), "", ""),
    ],
)
async def test_credentials_as_buildkit_takes_them(found: Credentials, username: str, secret: str) -> None:
    """An identity token comes without a user; no credentials are empty ones."""
    answer = pb.CredentialsResponse.FromString(await service(found)("Credentials", pb.CredentialsRequest(host="r.io")))
    assert (answer.username, answer.secret) == (username, secret)


async def test_tokens_are_fetched_here() -> None:
    """The daemon names the token server; the password is used here and does not leave."""
    fetched: list[Any] = []
    request = pb.FetchTokenRequest(host="r.io", realm="https://t", service="s", scopes=["a", "b"])
    data = await service(Credentials("u", "p"), tokens=fetched)("FetchToken", request)
    answer = pb.FetchTokenResponse.FromString(data)
    assert (answer.token, answer.expires_in, answer.issued_at) == ("the-token", 90, 7)
    assert fetched == [("https://t", "s", ("a", "b"), Credentials("u", "p"))]
    assert b"p" not in data.replace(b"the-token", b"")


async def test_the_client_proves_who_it_is() -> None:
    """The signature over the daemon's payload fits the public key that was given before for the same salt."""
    call = service(Credentials("u", "p"))
    given = pb.GetTokenAuthorityResponse.FromString(
        await call("GetTokenAuthority", pb.GetTokenAuthorityRequest(host="r.io", salt=b"salt"))
    )
    key = Ed25519PublicKey.from_public_bytes(given.public_key)
    request = pb.VerifyTokenAuthorityRequest(host="r.io", salt=b"salt", payload=b"challenge")
    signed = pb.VerifyTokenAuthorityResponse.FromString(await call("VerifyTokenAuthority", request)).signed
    assert signed[64:] == b"challenge"
    key.verify(signed[:64], b"challenge")
    with pytest.raises(InvalidSignature):
        key.verify(signed[:64], b"another")


@pytest.mark.parametrize(
    ("found", "message"),
    [(Credentials("u", "p"), b"seed"), (Credentials(identity_token="t"), b"seed"), (Credentials(), b"")],
    ids=["password", "identity", "anonymous"],
)
async def test_the_key_is_buildkits(found: Credentials, message: bytes) -> None:
    """HMAC-SHA256 of the seed with the salt; anonymous clients share a key, so that they share tokens."""
    data = await service(found, b"seed")("GetTokenAuthority", pb.GetTokenAuthorityRequest(host="r.io", salt=b"salt"))
    expected = Ed25519PrivateKey.from_private_bytes(hmac.new(b"salt", message, hashlib.sha256).digest())
    assert pb.GetTokenAuthorityResponse.FromString(data).public_key == expected.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    ("name", "request_", "message"),
    [
        ("Credentials", pb.CredentialsRequest(host="broken"), "the helper is broken"),
        ("FetchToken", pb.FetchTokenRequest(host="broken"), "the helper is broken"),
        ("FetchToken", pb.FetchTokenRequest(host="r.io", realm="https://refuses"), "no token for you"),
    ],
)
async def test_what_fails_here_is_told_to_the_daemon(name: str, request_: Any, message: str) -> None:
    """The daemon's error then carries our words."""
    with pytest.raises(Status) as caught:
        await service(Credentials("u", "p"))(name, request_)
    assert (caught.value.code, caught.value.message) == (Code.UNKNOWN, message)


async def test_a_call_without_request_is_refused() -> None:
    """A daemon that half-closes at once gets a status, not a traceback."""
    with pytest.raises(Status) as caught:
        await service(Credentials())("Credentials", None)
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_seeds_are_kept_a_host(tmp_path: Path) -> None:
    """The same host has the same seed in the next process; another host has another."""
    seeds = TokenSeeds(str(tmp_path / "docker"))
    first = seeds("r.io")
    assert len(first) == 16
    assert TokenSeeds(str(tmp_path / "docker"))("r.io") == first
    assert seeds("x.io") != first
    assert (tmp_path / "docker" / ".token_seed").stat().st_mode & 0o077 == 0


def test_a_broken_seed_file_is_replaced(tmp_path: Path) -> None:
    """What cannot be read is made anew."""
    (tmp_path / ".token_seed").write_text("{")
    first = TokenSeeds(str(tmp_path))("r.io")
    assert TokenSeeds(str(tmp_path))("r.io") == first


def test_seeds_without_a_place_live_on_in_the_process(tmp_path: Path) -> None:
    """Where nothing can be written the seed is the same for as long as the build."""
    (tmp_path / "file").write_text("")
    seeds = TokenSeeds(str(tmp_path / "file" / "below"))
    assert seeds("r.io") == seeds("r.io")
