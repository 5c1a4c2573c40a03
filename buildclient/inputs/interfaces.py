"""The protocol of a build's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from buildclient.request.solve import CacheEntry
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.session.blobs import Store

__all__ = ["Prepared"]


class Prepared(Protocol):
    """The context and the Dockerfile, looked at but not yet read."""

    @property
    def attrs(self) -> Mapping[str, str]:
        """Frontend attributes that say what they are."""

    @property
    def frontend_inputs(self) -> Mapping[str, bytes]:
        """Definitions (LLB) by name that go along with the solve: the Dockerfile, where it can."""

    @property
    def shared_key(self) -> str:
        """The session's shared key, without the node."""

    @property
    def stores(self) -> Mapping[str, Store]:
        """Content stores that a node's session serves, by their ids."""

    @property
    def cache_from(self) -> Sequence[CacheEntry]:
        """The caches to import: those of the request, local ones by digest."""

    @property
    def skipped(self) -> Sequence[str]:
        """Why caches of the request are left out, a line each."""

    @property
    def dockerfile_url(self) -> str:
        """Where the Dockerfile has yet to be fetched from; empty if it is there."""

    def put_dockerfile(self, data: bytes) -> None:
        """Takes the Dockerfile of that URL."""

    def services(self) -> Sequence[Service]:
        """What a node's session serves, so that the daemon can read the inputs; asked for once a solve."""
