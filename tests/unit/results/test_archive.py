"""Archives of several nodes become one."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from buildclient.base.errors import BuildFailed
from buildclient.request.destinations import ToFile
from buildclient.request.values import Output
from buildclient.results.exports import Exports
from buildclient.session.wire import bytes_message
from tests.unit.filesync_call import MemoryCall

_SEND = "/moby.filesync.v1.FileSend/DiffCopy"


async def _put(exports: Exports) -> None:
    """As a build does once every node has answered."""
    try:
        await exports.stage([])
        await exports.commit()
    finally:
        exports.abort()


async def _archive(exports: Exports, node: int, data: bytes, exporter: str = "0") -> None:
    call = MemoryCall({"buildkit-attachable-exporter-id": (exporter,)})
    for at in range(0, len(data), 7000):
        call.incoming.put_nowait(bytes_message(data[at : at + 7000]))
    call.incoming.put_nowait(None)
    await exports.services(node)[0][_SEND](call)


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


async def test_tars_of_several_nodes_become_one(tmp_path: Path) -> None:
    """All entries of the first node, then all of the second, and one end."""
    dest = tmp_path / "out.tar"
    exports = Exports([Output("tar", {}, ToFile(str(dest)))], 2)
    await _archive(exports, 1, _tar({"linux_arm64/f": b"2"}))
    await _archive(exports, 0, _tar({"linux_amd64/f": b"1" * 1000, "linux_amd64/g": b""}))
    await _put(exports)
    with tarfile.open(dest) as archive:
        assert archive.getnames() == ["linux_amd64/f", "linux_amd64/g", "linux_arm64/f"]
        last = archive.extractfile("linux_arm64/f")
        assert last is not None
        assert last.read() == b"2"
    assert os.listdir(tmp_path) == ["out.tar"]


async def test_something_that_is_no_tar_from_a_node_fails_the_build(tmp_path: Path) -> None:
    """One line, and no destination."""
    dest = tmp_path / "out.tar"
    for type_ in ("tar", "oci"):
        exports = Exports([Output(type_, {}, ToFile(str(dest)))], 2)
        await _archive(exports, 0, _tar({"a": b"1"}))
        await _archive(exports, 1, b"no tar at all" * 100)
        with pytest.raises(BuildFailed, match="a node sent an archive"):
            await _put(exports)
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("index", [b"[]", b"{}", b'{"manifests": []}', b'{"manifests": [{}]}', b'{"manifests": 1}'])
async def test_a_layout_that_lies_fails_the_build(tmp_path: Path, index: bytes) -> None:
    """One line; a hostile daemon is no fault of ours."""
    exports = Exports([Output("oci", {}, ToFile(str(tmp_path / "out.tar")))], 2)
    for node in range(2):
        await _archive(exports, node, _tar({"index.json": index}))
    with pytest.raises(BuildFailed, match="no OCI layout"):
        await _put(exports)
    assert os.listdir(tmp_path) == []
