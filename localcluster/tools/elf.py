"""The little of ELF that is needed: whether a program asks for a loader, hence for shared libraries."""

from __future__ import annotations

import struct
from pathlib import Path

__all__ = ["is_dynamic"]

_PT_INTERP = 3


def is_dynamic(file: Path) -> bool:
    """Whether a 64-bit little-endian ELF file names a program interpreter (elf(5)); False for anything else."""
    with file.open("rb") as stream:
        head = stream.read(64)
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
            return False
        (offset,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        stream.seek(offset)
        table = stream.read(size * count)
    kinds = (struct.unpack_from("<I", table, at)[0] for at in range(0, len(table) - 3, size))
    return _PT_INTERP in kinds
