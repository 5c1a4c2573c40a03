"""Layers kept in the cache, so that a cluster's second start makes none."""

from __future__ import annotations

from pathlib import Path

from localcluster.images import oci
from localcluster.images.tree import Tree
from localcluster.instance import cache_folder
from localcluster.tools.cache import made_once

__all__ = ["cached_layer"]

_FORMAT = 1
"""Counts changes of how archives are written, which no tree's key can show."""


def cached_layer(tree: Tree, *, compress: bool) -> oci.Layer:
    """The layer of a tree, made once for the same content."""
    name = f"{tree.key()[:24]}-{_FORMAT}{'z' if compress else ''}"

    def make(folder: Path) -> None:
        made = oci.layer(tree.archive(), compress=compress)
        (folder / "blob").write_bytes(made.blob.data)
        (folder / "kind").write_text(made.blob.kind)
        (folder / "diff-id").write_text(made.diff_id)

    folder = made_once(cache_folder() / "layers" / name, make)
    blob = oci.Blob((folder / "kind").read_text(), (folder / "blob").read_bytes())
    return oci.Layer(blob, (folder / "diff-id").read_text())
