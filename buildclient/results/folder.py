"""A tree of files into a folder: each file is put in its place once it is complete."""

from __future__ import annotations

from buildclient.base.errors import BuildFailed
from buildclient.results.tree import Tree

__all__ = ["FolderExport"]


class FolderExport:
    """Trees of all nodes, merged into the folder as they come; what was put there stays."""

    def __init__(self, type_: str, path: str) -> None:
        self._type = type_
        self._path = path
        self._trees: dict[int, Tree] = {}

    def receiver(self, node: int) -> Tree:
        """A node's tree. Raises OSError."""
        if node not in self._trees:
            self._trees[node] = Tree(self._path)
        return self._trees[node]

    def stage(self) -> None:
        """Raises BuildFailed for a tree that never came."""
        if not all(tree.complete for tree in self._trees.values()):
            raise BuildFailed(f"the daemon sent no result for output {self._type}")

    def commit(self) -> None:
        """Nothing: all of it is there."""

    def abort(self) -> None:
        """Lets go of the folder; what came is whole."""
        for tree in self._trees.values():
            tree.close()
