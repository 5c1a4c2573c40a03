"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["remove_tree", "write_text"]


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Writes a file beside and renames it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.chmod(beside, mode)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def remove_tree(path: Path) -> None:
    """Removes a folder, never crossing into another file system. Raises OSError when something stays."""
    if not path.exists():
        return
    device = path.lstat().st_dev
    for folder, names, _ in os.walk(path):
        for name in list(names):
            child = Path(folder, name)
            if not child.is_symlink() and child.lstat().st_dev != device:
                raise OSError(f"{child} is a mount point; it is not removed")
    shutil.rmtree(path)
