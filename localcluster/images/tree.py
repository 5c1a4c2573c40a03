"""A file tree in memory and the tar archive of it: the same tree gives the same bytes, whenever and wherever."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Tree"]

_CAPABILITY = "SCHILY.xattr.security.capability"


@dataclass
class Tree:
    """What a layer holds; paths are relative, with parents before children in the archive."""

    entries: dict[str, tuple[tarfile.TarInfo, Path | bytes]] = field(default_factory=dict)

    def folder(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        """Adds a folder."""
        self._add(path, tarfile.DIRTYPE, mode, b"", owner)

    def file(self, path: str, content: Path | bytes, mode: int = 0o644, owner: int = 0) -> None:
        """Adds a file with given bytes, or with those of a file of this machine."""
        self._add(path, tarfile.REGTYPE, mode, content, owner)

    def program(self, path: str, content: Path | bytes, capability: int | None = None) -> None:
        """Adds an executable file, with one capability that whoever runs it has (capabilities(7)), if given."""
        self.file(path, content, 0o755)
        if capability is not None:
            # struct vfs_cap_data of linux/capability.h: revision 2 with the effective bit, then permitted.
            data = struct.pack("<5I", 0x02000001, 1 << capability, 0, 0, 0)
            self.entries[path][0].pax_headers = {_CAPABILITY: data.decode("utf-8", "surrogateescape")}

    def link(self, path: str, target: str) -> None:
        """Adds a symbolic link."""
        self._add(path, tarfile.SYMTYPE, 0o777, b"", 0)
        self.entries[path][0].linkname = target

    def key(self) -> str:
        """Changes whenever the archive would: names, modes, links and contents (big files by size and time)."""
        digest = hashlib.sha256()
        for path in sorted(self.entries):
            info, content = self.entries[path]
            if isinstance(content, Path):
                status = content.stat()
                seen = f"{content.resolve()} {status.st_size} {status.st_mtime_ns}".encode()
            else:
                seen = hashlib.sha256(content).digest()
            digest.update(repr((path, info.type, info.mode, info.uid, info.linkname, info.pax_headers, seen)).encode())
        return digest.hexdigest()

    def archive(self) -> bytes:
        """The tar archive."""
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(self.entries, key=lambda name: name.split("/")):
                info, content = self.entries[path]
                data = content.read_bytes() if isinstance(content, Path) else content
                info.size = len(data) if info.isreg() else 0
                tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
        return output.getvalue()

    def _add(self, path: str, kind: bytes, mode: int, content: Path | bytes, owner: int) -> None:
        parent = path.rpartition("/")[0]
        if parent and parent not in self.entries:
            self.folder(parent)
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.uid, info.gid = kind, mode, owner, owner
        self.entries[path] = (info, content)
