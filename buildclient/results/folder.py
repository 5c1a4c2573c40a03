"""Exports a tree of files into a folder; each file appears once it is complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from buildclient.base.errors import BuildFailed, Cancelled
from buildclient.results.removal import remove_empty
from buildclient.results.tree import Tree
from buildclient.session.diffcopy import GO_DIR, GO_TYPE, DiffCopyError, Stat

if TYPE_CHECKING:
    from buildclient.results.mirror import Mirror

__all__ = ["FolderExport"]


class FolderExport:
    """Merges the trees of all nodes into the folder as they arrive; files that were written stay.

    With `mirrored`, what is in the folder and not in any tree is removed at the end, once every node has succeeded.
    """

    def __init__(self, type_: str, path: str, *, mirrored: bool = False, nodes: int = 1, split: bool = True) -> None:
        """`split`: each platform has a folder of its own (`platform-split`)."""
        self._type = type_
        self._path = path
        self._trees: dict[int, Tree] = {}
        self._lost: list[Tree] = []
        """Trees of solves that ended before their end."""
        self._aborted = False
        self._split = split
        self._owners: dict[bytes, int] | None = {} if nodes > 1 else None
        self._mirror: Mirror | None = None
        if mirrored:
            from buildclient.results.mirror import Mirror

            self._mirror = Mirror()

    def receiver(self, node: int) -> Tree:
        """Returns the receiver of a node's tree. Raises OSError."""
        if node not in self._trees:
            self._trees[node] = Tree(self._path, self._note(node), whole=self._mirror is not None)
        return self._trees[node]

    def final(self) -> str:
        """Returns nothing: a tree that comes anew replaces what came of it."""
        return ""

    def restart(self, node: int) -> None:
        """Ends a node's tree; the next one is opened when it is asked for."""
        if tree := self._trees.pop(node, None):
            tree.end()
            self._lost.append(tree)
        if self._mirror:
            self._mirror.restart(node)
        if self._owners:
            for path in [path for path, owner in self._owners.items() if owner == node]:
                del self._owners[path]

    def _note(self, node: int) -> Callable[[Stat], None]:
        def note(stat: Stat) -> None:
            if self._owners is not None:
                self._claim(self._owners, node, stat)
            if self._mirror:
                self._mirror.keep(stat.path, node)
            for lost in self._lost:
                lost.made.discard(stat.path)

        return note

    def _claim(self, owners: dict[bytes, int], node: int, stat: Stat) -> None:
        """Refuses what another node sent too: which of the two stays would be a matter of luck.

        A platform's folder is one node's; without such folders, each path is that is no folder.
        """
        path = stat.path.split(b"/", 1)[0] if self._split else stat.path
        if not self._split and stat.mode & GO_TYPE == GO_DIR:
            return
        if owners.setdefault(path, node) != node:
            why = "" if self._split else " when split option is disabled"
            raise DiffCopyError(f"cannot overwrite {os.fsdecode(path)} of one node with that of another{why}")

    def stage(self) -> None:
        """Raises BuildFailed if a tree never arrived, and OSError if something cannot be removed."""
        if not all(tree.complete for tree in self._trees.values()):
            raise BuildFailed(f"the daemon sent no result for output {self._type}")
        self._remove_left()
        if self._mirror:
            with closing(self._trees[0].folders()) as folders:
                self._mirror.stage(folders)

    def _remove_left(self) -> None:
        """Removes what only a tree that ended before its end made: a build need not make the same files twice."""
        left = set[bytes]().union(*(tree.made for tree in self._lost))
        if left:
            with closing(self._trees[min(self._trees)].folders()) as folders:
                # What is in a folder goes before the folder.
                for path in sorted(left, reverse=True):
                    remove_empty(folders, path)

    def commit(self) -> None:
        """Removes what is not in the result, if that was asked for; all else is in place. Raises OSError, Cancelled."""
        if self._mirror:
            with closing(self._trees[0].folders()) as folders:
                self._mirror.commit(folders, self._go_on)

    def abort(self) -> None:
        """Closes the folder; the files in it are complete."""
        self._aborted = True
        for tree in (*self._trees.values(), *self._lost):
            tree.close()

    def _go_on(self) -> None:
        if self._aborted:
            raise Cancelled("the export was aborted")
