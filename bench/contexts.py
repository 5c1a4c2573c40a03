"""Contexts that are built: what lies in them, the same for both clients unless chance is the point."""

from __future__ import annotations

import itertools
import os
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["Plant", "change_one", "large", "little", "many", "text", "tree"]

_MEGABYTE = 1 << 20
_PER_FOLDER = 100
"""Files in one folder of the context of many."""
_TEXT = 59
"""Megabytes of text, and files of a source tree."""
_TREE = 1_400

Plant = Callable[[Path, float], None]
"""Fills a context's folder; the second argument scales its size."""


def little(context: Path, _: float) -> None:
    """Ten files of a line."""
    for number in range(10):
        (context / f"f{number}").write_text(f"{number}\n")


def large(context: Path, scale: float) -> None:
    """One file of 300 MB of random bytes."""
    with open(context / "large", "wb") as file:
        for _ in range(int(300 * scale)):
            file.write(os.urandom(_MEGABYTE))


def many(context: Path, scale: float) -> None:
    """20,000 files of a line."""
    for number in range(int(20_000 * scale)):
        folder = context / f"d{number // _PER_FOLDER}"
        if number % _PER_FOLDER == 0:
            folder.mkdir()
        (folder / f"f{number}").write_text(f"{number}\n")


def text(context: Path, scale: float) -> None:
    """Files of 1 MB, 59 of them: the sources of Python's own library, over and over."""
    # A command's peak memory begins with that of the process that starts it: little is held here.
    sources = itertools.cycle(itertools.islice(_sources(), _TREE))
    held = b""
    for number in range(max(1, int(_TEXT * scale))):
        while len(held) < _MEGABYTE:
            held += next(sources).read_bytes()
        (context / f"t{number}.txt").write_bytes(held[:_MEGABYTE])
        held = held[_MEGABYTE:]


def tree(context: Path, scale: float) -> None:
    """1,400 sources of Python's own library, in its folders."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in itertools.islice(_sources(), max(1, int(_TREE * scale))):
        file = context / path.relative_to(library)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.read_bytes())


def change_one(context: Path, token: str) -> None:
    """One more line at the end of the first file, that no other run has."""
    file = min(path for path in context.rglob("*") if path.is_file() and path.name != "Dockerfile")
    with open(file, "a") as writer:
        writer.write(f"# {token}\n")


def _sources() -> Iterator[Path]:
    library = Path(sysconfig.get_path("stdlib"))
    found = (path for path in library.rglob("*.py") if "site-packages" not in path.parts and path.is_file())
    return iter(sorted(found))
