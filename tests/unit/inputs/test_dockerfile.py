"""Dockerfile and .dockerignore go along with the solve, unless the daemon has to look for itself."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from buildclient.inputs.context import prepare
from buildclient.inputs.dockerfile import ignore_file
from buildclient.proto import ops_pb2
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


def _input(context: Path, **more: Any) -> Mapping[str, bytes]:
    """The files that go along with the solve, by path."""
    with prepare(BuildRequest(context=str(context), **more)) as prepared:
        inputs = prepared.frontend_inputs
    if not inputs:
        return {}
    assert list(inputs) == ["dockerfile"]
    definition = ops_pb2.Definition.FromString(inputs["dockerfile"])
    operation, end = (ops_pb2.Op.FromString(one) for one in getattr(definition, "def"))
    digest = f"sha256:{hashlib.sha256(getattr(definition, 'def')[0]).hexdigest()}"
    assert [one.digest for one in end.inputs] == [digest]
    named = definition.metadata[digest].description["llb.customname"]
    assert named.startswith("[internal] load build definition from ")
    actions = operation.file.actions
    # Each writes into what the one before it left; only the last one's folder is the operation's.
    assert [one.input for one in actions] == [number - 1 for number in range(len(actions))]
    assert [one.output for one in actions] == [*[-1] * (len(actions) - 1), 0]
    return {one.mkfile.path: one.mkfile.data for one in actions}


def test_dockerfile_and_ignore_file_go_along_with_the_solve(tmp_path: Path) -> None:
    """Under the name of the Dockerfile; its own ignore file goes before the context's."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert _input(tmp_path) == {"/Dockerfile": b"FROM scratch\n", "/Dockerfile.dockerignore": b"# there is none\n"}
    (tmp_path / ".dockerignore").write_text("*.log\n")
    assert _input(tmp_path) == {"/Dockerfile": b"FROM scratch\n", "/Dockerfile.dockerignore": b"*.log\n"}
    (tmp_path / "Dockerfile.dockerignore").write_text("*.own\n")
    assert _input(tmp_path)["/Dockerfile.dockerignore"] == b"*.own\n"
    (tmp_path / "other").write_text("FROM other\n")
    asked = _input(tmp_path, dockerfile=str(tmp_path / "other"))
    assert asked == {"/other": b"FROM other\n", "/other.dockerignore": b"*.log\n"}


def test_equal_files_make_an_equal_definition(tmp_path: Path) -> None:
    """The daemon knows it again, whatever the folder is called."""
    found = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("FROM scratch\n")
        with prepare(BuildRequest(context=str(tmp_path / name))) as prepared:
            found.add(prepared.frontend_inputs["dockerfile"])
    assert len(found) == 1


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "link", "pipe", "folder", "large", "ignore link", "name", "policy", "provenance"]
)
def test_what_is_no_plain_small_file_is_left_to_the_daemon_as_well(tmp_path: Path, kind: str) -> None:
    """It follows links within the folder, has words for the rest; policies and a provenance are about folders."""
    path, more = tmp_path / "Dockerfile", {}
    if kind == "link":
        (tmp_path / "other").write_text("FROM scratch\n")
        path.symlink_to("other")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(b"#\n" * 40_000)
    elif kind == "empty":
        path.touch()
    elif kind != "missing":
        path.write_text("FROM scratch\n")
    if kind == "ignore link":
        (tmp_path / "Dockerfile.dockerignore").symlink_to("Dockerfile")
    elif kind == "name":
        more["dockerfile"] = os.fsdecode(bytes(tmp_path / "Dockerfile.") + b"\xff")
        Path(more["dockerfile"]).write_text("FROM scratch\n")
    elif kind == "policy":
        more["source_policy"] = b"\x08\x01"
    elif kind == "provenance":
        more["attests"] = {"provenance": "mode=max"}
    assert _input(tmp_path, **more) == {}


def test_a_file_that_comes_in_pieces_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems in user space may give less at a time than there is."""
    patterns = b"".join(b"folder-%d\n" % number for number in range(1000))
    (tmp_path / ".dockerignore").write_bytes(patterns)
    read = os.read
    monkeypatch.setattr(os, "read", lambda handle, size: read(handle, min(size, 1000)))
    assert _added(tmp_path) == {b"Dockerfile.dockerignore": patterns}
