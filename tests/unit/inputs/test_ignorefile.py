"""The context's .dockerignore goes along with the Dockerfile, unless the daemon has to look for itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from buildclient.inputs.context import prepare
from buildclient.inputs.ignorefile import ignore_file
from buildclient.request.values import BuildRequest
from buildclient.session import diffcopy
from tests.unit.filesync_call import MemoryCall

_SYNC = "/moby.filesync.v1.FileSync/DiffCopy"
_ASKED = ("Dockerfile", "Dockerfile.dockerignore", "dockerfile")


def _added(context: Path, folder: Path | None = None) -> Mapping[bytes, bytes]:
    handles = [os.open(path, os.O_RDONLY) for path in (context, folder or context)]
    try:
        return ignore_file(*handles, "Dockerfile")
    finally:
        for handle in handles:
            os.close(handle)


def test_what_the_context_ignores_is_sent_under_the_dockerfiles_name(tmp_path: Path) -> None:
    """Of a context that has no such file, or an empty one, a comment: an empty file counts as none."""
    assert _added(tmp_path) == {b"Dockerfile.dockerignore": b"# there is none\n"}
    (tmp_path / ".dockerignore").write_text("")
    assert _added(tmp_path) == {b"Dockerfile.dockerignore": b"# there is none\n"}
    (tmp_path / ".dockerignore").write_text("*.log\n!keep.log\n")
    assert _added(tmp_path) == {b"Dockerfile.dockerignore": b"*.log\n!keep.log\n"}


def test_a_dockerfiles_own_file_stays_what_it_is(tmp_path: Path) -> None:
    """It goes before the context's; a link that leads nowhere counts as well."""
    context, folder = tmp_path / "context", tmp_path / "folder"
    context.mkdir()
    folder.mkdir()
    (context / ".dockerignore").write_text("a\n")
    (folder / "Dockerfile.dockerignore").symlink_to("nowhere")
    assert _added(context, folder) == {}


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "large"])
def test_what_is_no_plain_small_file_is_left_to_the_daemon(tmp_path: Path, kind: str) -> None:
    """It follows links within the context, and has words for the rest."""
    path = tmp_path / ".dockerignore"
    if kind == "link":
        path.symlink_to("other")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"x\n" * 40_000)
    assert _added(tmp_path) == {}


async def _sent(context: Path, *asked: str) -> dict[bytes, bytes]:
    """What the daemon gets of the Dockerfile's folder."""
    found: dict[bytes, bytes] = {}
    with prepare(BuildRequest(context=str(context))) as prepared:
        call = MemoryCall({"dir-name": ("dockerfile",), "followpaths": asked})
        (service,) = [one for one in prepared.services() if _SYNC in one]
        task = asyncio.ensure_future(service[_SYNC](call))
        names: list[bytes] = []
        while (packet := diffcopy.decode(await call.said(5))).stat:
            names.append(packet.stat.path)
        for number, name in enumerate(names):
            call.incoming.put_nowait(diffcopy.encode_request(number))
            found[name] = b""
            while data := diffcopy.decode(await call.said(5)).data:
                found[name] += data
        call.incoming.put_nowait(diffcopy.FIN)
        await task
    return found


async def test_the_daemon_gets_it_with_the_dockerfile(tmp_path: Path) -> None:
    """In the order of names, as all that is sent; not where it does not ask for it."""
    for name in ("Dockerfile", "Dockerfile.a", "Dockerfile.z", "other"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("*.log\n")
    assert await _sent(tmp_path, *_ASKED) == {b"Dockerfile": b"Dockerfile", b"Dockerfile.dockerignore": b"*.log\n"}
    assert list(await _sent(tmp_path, *_ASKED, "Dockerfile.*")) == [
        b"Dockerfile", b"Dockerfile.a", b"Dockerfile.dockerignore", b"Dockerfile.z",
    ]  # fmt: skip
    assert await _sent(tmp_path, "Dockerfile") == {b"Dockerfile": b"Dockerfile"}
