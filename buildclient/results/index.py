"""The image of several nodes: one index under every tag."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from buildclient.progress.events import EventSink
from buildclient.progress.steps import client_step
from buildclient.request.values import NodeResult
from buildclient.session.call import Service

__all__ = ["MergedIndex"]


class MergedIndex:
    """A commit step that is all commit: before it nothing is put, and a tag that was put cannot be taken back."""

    def __init__(
        self, merge: Callable[[Sequence[Mapping[str, str]]], Awaitable[str]], names: Sequence[str], sink: EventSink
    ) -> None:
        """`merge` takes the nodes' responses, puts the index under all `names` and returns its digest."""
        self._merge = merge
        self._name = f"merging manifest list {','.join(names)}"
        self._sink = sink
        self._responses: list[Mapping[str, str]] = []
        self.digest = ""
        """The index's, once it is committed."""

    def services(self, node: int) -> Sequence[Service]:
        """None."""
        return ()

    async def stage(self, results: Sequence[NodeResult]) -> None:
        """Takes the nodes' answers."""
        self._responses = [result.response for result in results]

    async def commit(self) -> None:
        """Puts the index. Raises ClientError."""
        async with client_step(self._sink, self._name):
            self.digest = await self._merge(self._responses)

    def abort(self) -> None:
        """Nothing: an index that was not put left nothing."""
