"""Layers kept in the cache, so that a cluster's second start makes none."""

from __future__ import annotations

import json
from pathlib import Path

from localcluster.images import oci
from localcluster.images.tree import Tree
from localcluster.instance import cache_folder
from localcluster.tools.cache import made_once

__all__ = ["cached_layer"]

_FORMAT = 2
"""Counts changes of how archives are written, which no tree's key can show."""


def cached_layer(tree: Tree, *, compress: bool) -> oci.Layer:
    """The layer of a tree, made once for the same content."""
    name = f"{tree.key()[:24]}-{_FORMAT}{'z' if compress else ''}"

    def make(folder: Path) -> None:
        made = oci.layer(tree.archive(), compress=compress)
        (folder / "blob").write_bytes(made.blob.data)
        facts = {"kind": made.blob.kind, "digest": made.blob.digest, "size": made.blob.size, "diff_id": made.diff_id}
        (folder / "facts.json").write_text(json.dumps(facts))

    folder = made_once(cache_folder() / "layers" / name, make)
    facts = json.loads((folder / "facts.json").read_text())
    return oci.Layer(oci.Blob(facts["kind"], facts["digest"], facts["size"], folder / "blob"), facts["diff_id"])
