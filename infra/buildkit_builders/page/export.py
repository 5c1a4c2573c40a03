"""Writes the page as files, for any web server."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from buildclient.base.files import replace_whole
from buildkit_builders.page.model import Snapshot
from buildkit_builders.page.render import ASSETS, Place, Renderer, asset

__all__ = ["ExportError", "export"]

_OURS = re.compile(r".*-[0-9a-f]{8}\.html")
"""Names of builders' pages (`model.Found.id`)."""


class ExportError(Exception):
    """The files could not be written; the message says why."""


def export(snapshot: Snapshot, folder: Path) -> int:
    """Writes all pages into a folder, each in the place of what is there, and returns how many builders they show.

    Pages of builders that have gone are removed; other files stay. Raises ExportError.
    """
    try:
        written = set()
        for path, data in _pages(snapshot):
            _write(folder / path, data)
            written.add(path)
        for old in (folder / "builder").glob("*.html"):
            if f"builder/{old.name}" not in written and _OURS.fullmatch(old.name):
                old.unlink()
    except OSError as error:
        raise ExportError(f"cannot write to {folder}: {error.strerror or error}") from None
    return len(snapshot.builders)


def _pages(snapshot: Snapshot) -> Iterator[tuple[str, bytes]]:
    renderer, place = Renderer(), Place(suffix=".html")
    for name in ASSETS:
        yield f"assets/{name}", asset(name)[0]
    for view in snapshot.builders:
        yield f"builder/{view.found.id}.html", renderer.builder(view, place.below()).encode()
    # Last, so that its links lead somewhere.
    yield "index.html", renderer.index(snapshot, place).encode()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        replace_whole(handle, path.name, data)
    finally:
        os.close(handle)
