"""A hostile builder: all that a build's daemon may ask for, with what it may do meanwhile, and what it gets.

It may write into the context's own folder where the build exports there (`-o . .`): here it does so at once, between
the list of a context and the question for a content.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from buildclient.inputs.context import Prepared, prepare
from buildclient.inputs.filesync import filesync
from buildclient.inputs.upload import upload
from buildclient.request.values import BuildRequest
from buildclient.session import diffcopy
from buildclient.session.call import Call, Status
from buildclient.session.wire import read_bytes_message
from tests.unit.filesync_call import MemoryCall

_SYNC = "/moby.filesync.v1.FileSync/DiffCopy"
_PULL = "/moby.upload.v1.Upload/Pull"
_KEY = b"the key that lies outside"

Headers = dict[str, tuple[str, ...]]


class Got(NamedTuple):
    """What a daemon that asks for everything was sent, and how the call ended."""

    paths: list[bytes]
    content: bytes
    refusal: str


class Ground(NamedTuple):
    """A context, and what lies outside of it."""

    root: Path
    context: Path
    outside: Path


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """A context with a file of each place that a build reads from."""
    context, outside = tmp_path / "work/context", tmp_path / "outside"
    (context / "d").mkdir(parents=True)
    (outside / "d").mkdir(parents=True)
    for name in ("Dockerfile", ".dockerignore", "d/f"):
        (context / name).write_bytes(b"own")
        (outside / name).write_bytes(_KEY)
    (outside / "key").write_bytes(_KEY)
    return Ground(tmp_path, context, outside)


async def _ask(prepared: Prepared, headers: Headers, meanwhile: Callable[[], None]) -> Got:
    """Plays the daemon: hears the list, does something, and asks for every id, listed as a file or not."""
    call = MemoryCall(headers)
    task = asyncio.ensure_future(_serve(prepared, call))
    paths: list[bytes] = []
    content = b""
    while not task.done() or not call.outgoing.empty():
        try:
            packet = diffcopy.decode(await call.said(0.2))
        except TimeoutError:
            break
        if packet.type == diffcopy.STAT and packet.stat:
            paths.append(packet.stat.path)
            content += packet.stat.linkname + b"".join(packet.stat.xattrs.values())
        elif packet.type == diffcopy.STAT:
            meanwhile()
            for number, path in enumerate(paths):
                if headers.get("ask", ("",))[0] in ("", os.fsdecode(path)):
                    call.incoming.put_nowait(diffcopy.encode_request(number))
            call.incoming.put_nowait(diffcopy.FIN)
        content += packet.data
    refusal = ""
    try:
        await asyncio.wait_for(task, 5)
    except Status as status:
        refusal = status.message
    return Got(paths, content, refusal)


async def _serve(prepared: Prepared, call: Call) -> None:
    await filesync(prepared.dirs)[_SYNC](call)


def _swap(path: Path, target: Path | str) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    path.symlink_to(target)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


_LISTED = "no longer the file that was listed"
_QUESTIONS: dict[str, tuple[Headers, Callable[[Ground], None], str]] = {
    "a file that became a link": ({"ask": ("d/f",)}, lambda g: _swap(g.context / "d/f", g.outside / "key"), _LISTED),
    "a file that became a link within": (
        {"ask": ("d/f",)},
        lambda g: _swap(g.context / "d/f", "../Dockerfile"),
        _LISTED,
    ),
    "a folder that became a link": ({"ask": ("d/f",)}, lambda g: _swap(g.context / "d", g.outside / "d"), _LISTED),
    "a file that became a pipe": ({"ask": ("d/f",)}, lambda g: _fifo(g.context / "d/f"), _LISTED),
    "a file that became a folder": (
        {"ask": ("d/f",)},
        lambda g: ((g.context / "d/f").unlink(), (g.context / "d/f").mkdir())[1],
        _LISTED,
    ),
    "a file that is gone": ({"ask": ("d/f",)}, lambda g: (g.context / "d/f").unlink(), ""),
    "the Dockerfile": ({"ask": ("Dockerfile",)}, lambda g: _swap(g.context / "Dockerfile", g.outside / "key"), _LISTED),
    "the ignore file": (
        {"ask": (".dockerignore",)},
        lambda g: _swap(g.context / ".dockerignore", g.outside / "key"),
        _LISTED,
    ),
    "the whole context": ({}, lambda g: _swap(g.context, g.outside), "invalid file id"),
    "the folder above": ({}, lambda g: _swap(g.root / "work", g.outside), "invalid file id"),
    "what no list has": ({"exclude-patterns": ("d",), "ask": ("d",)}, lambda g: None, ""),
    "links above the context": ({"followpaths": ("../../outside/key", "/../outside/*")}, lambda g: None, ""),
    "patterns that lead out": ({"include-patterns": ("../**", "/etc/**", "../../outside/key")}, lambda g: None, ""),
    "a followed path with a zero": ({"followpaths": ("a%00b",), "followpaths-encoded": ("1",)}, lambda g: None, ""),
}


@pytest.mark.parametrize("name", _QUESTIONS)
@pytest.mark.parametrize("folder", ["context", "dockerfile", "_context", "other"])
async def test_nothing_outside_is_given(ground: Ground, name: str, folder: str) -> None:
    """Whatever it asks of whichever folder: what lies there itself, or a refusal."""
    headers, meanwhile, refusal = _QUESTIONS[name]
    contexts = {"other": str(ground.context), "context": str(ground.context)}
    with prepare(BuildRequest(context=str(ground.context), build_contexts=contexts)) as prepared:
        got = await _ask(prepared, {"dir-name": (folder,), **headers}, lambda: meanwhile(ground))
    assert _KEY not in got.content
    assert refusal in got.refusal
    assert bool(refusal) == bool(got.refusal)
    assert not [path for path in got.paths if path.startswith((b"..", b"/"))]


@pytest.mark.parametrize("folder", ["context", "dockerfile"])
async def test_a_folder_that_was_replaced_is_still_the_one_that_was_given(ground: Ground, folder: str) -> None:
    """Also by a later question: the build holds the folder, not its path."""
    with prepare(BuildRequest(context=str(ground.context))) as prepared:
        os.rename(ground.context, ground.root / "aside")
        ground.context.symlink_to(ground.outside)
        got = await _ask(prepared, {"dir-name": (folder,), "ask": ("d/f",)}, lambda: None)
    assert (got.content, got.refusal) == (b"own", "")
    assert b"key" not in got.paths


async def test_a_link_that_comes_during_the_walk_is_not_entered(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a folder's entry in the list and its own list."""
    from buildclient.base.folders import Folders

    real = Folders.at

    def at(self: Folders, path: bytes) -> int:
        if path == b"d":
            _swap(ground.context / "d", ground.outside)
        return real(self, path)

    with prepare(BuildRequest(context=str(ground.context))) as prepared:
        monkeypatch.setattr(Folders, "at", at)
        got = await _ask(prepared, {"dir-name": ("context",)}, lambda: None)
    assert "not a directory" in got.refusal
    assert b"d/key" not in got.paths


@pytest.mark.parametrize("name", ["", "..", "/etc", "context/..", "context/d", "Dockerfile", "\0"])
async def test_no_other_folder_is_there(ground: Ground, name: str) -> None:
    """Names are those that the build gave, to the letter."""
    with prepare(BuildRequest(context=str(ground.context))) as prepared:
        got = await _ask(prepared, {"dir-name": (name,)}, lambda: None)
    assert (got.paths, got.content) == ([], b"")
    assert "no access allowed" in got.refusal


def _archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("Dockerfile"))
    return out.getvalue()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that the builder writes into, too (`-o /tmp`)."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


async def test_a_context_from_standard_input_has_no_name(temporary: Path) -> None:
    """Nothing can take its place, and a killed client leaves nothing of it."""
    with prepare(BuildRequest(context="-"), stdin=io.BytesIO(_archive())) as prepared:
        assert list(temporary.iterdir()) == []
        (name,) = prepared.uploads
        call = MemoryCall({"urlpath": (f"/{name}",)})
        await upload(prepared.uploads)[_PULL](call)
        assert read_bytes_message(call.outgoing.get_nowait()) == _archive()
        for other in ("", "/", "/..", "/etc/passwd", f"/{name}/x"):
            with pytest.raises(Status, match="no http response"):
                await upload(prepared.uploads)[_PULL](MemoryCall({"urlpath": (other,)}))


async def test_a_dockerfile_from_standard_input_is_not_swapped(ground: Ground, temporary: Path) -> None:
    """A link in its place is refused."""
    request = BuildRequest(context=str(ground.context), dockerfile="-")
    with prepare(request, stdin=io.BytesIO(b"FROM x\n")) as prepared:
        (folder,) = temporary.iterdir()
        headers: Headers = {"dir-name": ("dockerfile",), "ask": ("Dockerfile",)}
        got = await _ask(prepared, headers, lambda: _swap(folder / "Dockerfile", ground.outside / "key"))
    assert (got.content.endswith(_KEY), _LISTED in got.refusal) == (False, True)


async def test_the_folder_of_a_dockerfile_from_standard_input_is_not_swapped(ground: Ground, temporary: Path) -> None:
    """A link in its place is not seen."""
    request = BuildRequest(context=str(ground.context), dockerfile="-")
    with prepare(request, stdin=io.BytesIO(b"FROM x\n")) as prepared:
        (folder,) = temporary.iterdir()
        os.rename(folder, ground.root / "aside")
        folder.symlink_to(ground.outside)
        headers: Headers = {"dir-name": ("dockerfile",), "followpaths": ("Dockerfile",)}
        got = await _ask(prepared, headers, lambda: None)
    assert got == ([b"Dockerfile"], b"FROM x\n", "")
    folder.unlink()
