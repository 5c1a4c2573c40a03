"""The container that holds a pod's namespaces: an ELF program of three instructions, written here byte by byte."""

from __future__ import annotations

import struct

from localcluster.images import oci
from localcluster.images.tree import Tree

__all__ = ["pause_image", "pause_program"]

_BASE = 0x400000
_HEADERS = 64 + 56
_CODE = bytes.fromhex(
    "b822000000"  # mov eax, 34: pause(2), which returns only after a signal was handled; none ever is
    "0f05"  # syscall
    "ebf7"  # jmp back to the first instruction
)


def pause_program() -> bytes:
    """An amd64 executable for Linux that sleeps until it is killed (ELF header, one loaded segment, the code)."""
    size = _HEADERS + len(_CODE)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01", 2, 62, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + _CODE


def pause_image() -> oci.Image:
    """The sandbox image; both nodes use it, since both containerds are amd64 programs."""
    tree = Tree()
    tree.program("pause", pause_program())
    return oci.image(
        oci.Platform("amd64"), [oci.layer(tree.archive(), compress=True)], oci.Settings(entrypoint=("/pause",))
    )
