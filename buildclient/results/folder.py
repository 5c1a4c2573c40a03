"""Exports a tree of files into a folder; each file appears once it is complete."""

from __future__ import annotations

from buildclient.base.errors import BuildFailed
from buildclient.results.tree import Tree

__all__ = ["FolderExport"]


class FolderExport:
    """Merges the trees of all nodes into the folder as they arrive; files that were written stay."""

    def __init__(self, type_: str, path: str) -> None:
        self._type = type_
        self._path = path
        self._trees: dict[int, Tree] = {}

    def receiver(self, node: int) -> Tree:
        """Returns the receiver of a node's tree. Raises OSError."""
        if node not in self._trees:
            self._trees[node] = Tree(self._path)
        return self._trees[node]

    def stage(self) -> None:
        """Raises BuildFailed if a tree never arrived."""
        if not all(tree.complete for tree in self._trees.values()):
            raise BuildFailed(f"the daemon sent no result for output {self._type}")

    def commit(self) -> None:
        """Does nothing: everything is in place."""

    def abort(self) -> None:
        """Closes the folder; the files in it are complete."""
        for tree in self._trees.values():
            tree.close()
