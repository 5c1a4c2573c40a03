"""The commit step of a merged image: pushes one index under every tag."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from buildclient.progress.events import EventSink
from buildclient.progress.steps import client_step
from buildclient.request.values import NodeResult
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.session.blobs import Store

__all__ = ["MergedIndex"]


class MergedIndex:
    """The push of a merged index; nothing is pushed before `commit`, and a pushed tag cannot be taken back."""

    def __init__(
        self, merge: Callable[[Sequence[Mapping[str, str]]], Awaitable[str]], names: Sequence[str], sink: EventSink
    ) -> None:
        """`merge` takes the nodes' responses, pushes the index under all `names` and returns its digest."""
        self._merge = merge
        self._names = names
        self._name = f"merging manifest list {','.join(names)}"
        self._sink = sink
        self._responses: list[Mapping[str, str]] = []
        self.digest = ""
        """The digest of the index, once committed."""

    def services(self, node: int) -> Sequence[Service]:
        """Returns no services."""
        return ()

    def stores(self, node: int) -> Mapping[str, Store]:
        """Returns no stores."""
        return {}

    def final(self) -> str:
        """Returns nothing: the nodes push by digest."""
        return ""

    def restart(self, node: int) -> None:
        """Does nothing: a pushed image that no index names does no harm."""

    async def stage(self, results: Sequence[NodeResult]) -> None:
        """Keeps the nodes' responses for `commit`."""
        self._responses = [result.response for result in results]

    async def commit(self) -> None:
        """Pushes the index. Raises ClientError."""
        async with client_step(self._sink, self._name) as part:
            self.digest = await self._merge(self._responses)
            for name in self._names:
                part(f"pushing manifest for {name}@{self.digest}")

    def abort(self) -> None:
        """Does nothing: there is nothing to remove."""
