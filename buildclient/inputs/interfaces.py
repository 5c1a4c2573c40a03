"""The protocol of a build's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from buildclient.session.call import Service

__all__ = ["Prepared"]


class Prepared(Protocol):
    """The context and the Dockerfile, looked at but not yet read."""

    @property
    def attrs(self) -> Mapping[str, str]:
        """Frontend attributes that say what they are."""

    @property
    def shared_key(self) -> str:
        """The session's shared key, without the node."""

    def services(self) -> Sequence[Service]:
        """What a node's session serves, so that the daemon can read the inputs; asked for once a solve."""
