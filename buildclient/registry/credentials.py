"""Credentials for a registry, and the protocol of their source."""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["CredentialSource", "Credentials"]


class Credentials(NamedTuple):
    """For one registry; all empty is anonymous."""

    username: str = ""
    secret: str = ""
    identity_token: str = ""
    registry_token: str = ""


class CredentialSource(Protocol):
    """Docker's config, credential stores and helpers."""

    async def get(self, host: str) -> Credentials:
        """Credentials for a registry's host as BuildKit names it (`registry-1.docker.io` for Docker Hub)."""
