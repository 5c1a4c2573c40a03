"""The session's content stores against daemons good and bad: they get and leave what this build named, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from buildclient.base.digests import parse_digest
from buildclient.proto import content_pb2 as pb
from buildclient.session import ingest, writable
from buildclient.session.blobs import Blobs
from buildclient.session.call import Code, Status
from buildclient.session.writable import WritableStore
from tests.unit.content_daemon import ContentDaemon, sha256
from tests.unit.mounts import mounted

_BIG = os.urandom(600_000)


class World:
    """A layout `read` that is read, and a folder `write` that is written."""

    def __init__(self, folder: Path) -> None:
        self.layout, self.dest = folder / "read", folder / "write"
        (self.layout / "blobs/sha256").mkdir(parents=True)
        (folder / "secret").write_text("secret")
        self.handle = os.open(self.layout, os.O_RDONLY)
        self.blobs = Blobs(self.handle)
        self.store = WritableStore(str(self.dest))
        self.node = self.store.of_node()
        self.daemon = ContentDaemon({"oci:read": self.blobs, "local:write": self.node})

    def plant(self, data: bytes) -> str:
        """Puts a blob into the layout."""
        digest = sha256(data)
        self.path(digest).write_bytes(data)
        return digest

    def path(self, digest: str) -> Path:
        """Where a blob of the layout lies."""
        return self.layout / "blobs" / digest.replace(":", "/")

    def written(self) -> dict[str, bytes]:
        """The published blobs of the folder."""
        return {f"sha256:{path.name}": path.read_bytes() for path in self.dest.glob("blobs/sha256/*")}

    def files(self) -> list[str]:
        """All that lies in the folder."""
        return sorted(str(path.relative_to(self.dest)) for path in self.dest.rglob("*") if path.is_file())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Stores of both kinds."""
    made = World(tmp_path)
    yield made
    made.store.close(published=True)
    made.blobs.close()
    os.close(made.handle)


@contextlib.asynccontextmanager
async def _refused(code: int, words: str = "") -> AsyncIterator[None]:
    with pytest.raises(Status) as caught:
        yield
    assert caught.value.code == code, caught.value
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("offset", "size", "part"),
    [
        (0, 0, slice(None)),
        (0, 10, slice(0, 10)),
        (7, 0, slice(7, None)),
        (300_000, 299_999, slice(300_000, 599_999)),
        (599_999, 99, slice(599_999, None)),
        (600_000, 1, slice(0, 0)),
        (-5, 3, slice(0, 3)),
        (10, 1 << 62, slice(10, None)),
    ],
)
async def test_a_blob_is_read_by_ranges(world: World, offset: int, size: int, part: slice) -> None:
    """As containerd's server does, with what is beyond the end left out."""
    digest = world.plant(_BIG)
    assert await world.daemon.info("oci:read", digest) == len(_BIG)
    assert await world.daemon.read("oci:read", digest, offset, size) == _BIG[part]


async def test_what_is_no_blob_of_the_store_is_not_read(world: World) -> None:
    """Other stores, other digests, paths as digests, folders and pipes, and offsets beyond the end."""
    digest, daemon = world.plant(b"blob"), world.daemon
    for store, code in (("", Code.INVALID_ARGUMENT), ("oci:other", Code.NOT_FOUND), ("export", Code.NOT_FOUND)):
        async with _refused(code):
            await daemon.read(store, digest)
    for wrong in ("", "sha256:../../../secret", f"sha256:{'../' * 21}x", f"../..:{'a' * 64}", "sha256:" + "A" * 64):
        async with _refused(Code.INVALID_ARGUMENT):
            await daemon.read("oci:read", wrong)
    for number, plant in enumerate((Path.mkdir, os.mkfifo)):
        name = f"sha256:{number:064}"
        plant(world.path(name))
        async with _refused(Code.NOT_FOUND):
            await daemon.read("oci:read", name)
    async with _refused(Code.NOT_FOUND, f"content sha256:{'9' * 64}: not found"):
        await daemon.info("oci:read", f"sha256:{'9' * 64}")
    async with _refused(Code.OUT_OF_RANGE, "read past object length 4 bytes"):
        await daemon.read("oci:read", digest, 5)


async def test_a_link_is_followed_only_to_what_its_name_says(world: World, tmp_path: Path) -> None:
    """Some tools link the blobs of a layout; a link to a file of the user's is not one."""
    (tmp_path / "elsewhere").write_bytes(_BIG)
    good, bad = sha256(_BIG), f"sha256:{'1' * 64}"
    world.path(good).symlink_to(tmp_path / "elsewhere")
    world.path(bad).symlink_to(tmp_path / "secret")
    assert await world.daemon.read("oci:read", good, 5, 10) == _BIG[5:15]
    async with _refused(Code.NOT_FOUND):
        await world.daemon.read("oci:read", bad)
    # What was looked at is what is read.
    world.path(good).unlink()
    world.path(good).symlink_to(tmp_path / "secret")
    assert await world.daemon.read("oci:read", good, 0, 10) == _BIG[:10]


async def test_a_folder_of_links_is_no_way_out(world: World, tmp_path: Path) -> None:
    """Nor is a whole folder of blobs that is a link."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ("1" * 64)).write_text("secret")
    os.rmdir(world.layout / "blobs/sha256")
    (world.layout / "blobs/sha256").symlink_to(tmp_path / "home")
    async with _refused(Code.NOT_FOUND):
        await world.daemon.read("oci:read", f"sha256:{'1' * 64}")


async def test_a_store_that_is_read_is_not_written(world: World) -> None:
    """Nor are blobs of any store listed, changed or deleted."""
    async with _refused(Code.FAILED_PRECONDITION, "only read"):
        await world.daemon.write("oci:read", b"blob")
    digest = world.plant(b"blob")
    for method in ("List", "Update", "Delete"):
        async with _refused(Code.FAILED_PRECONDITION):
            await world.daemon.ask(method, "oci:read", pb.InfoRequest(digest=digest))
    assert world.path(digest).read_bytes() == b"blob"


async def test_a_blob_is_written_and_gets_its_name_when_published(world: World) -> None:
    """Before, it is there for the daemon alone; afterwards nothing else lies in the folder."""
    digest = await world.daemon.write("local:write", _BIG)
    assert digest == sha256(_BIG)
    assert await world.daemon.read("local:write", digest, 3, 4) == _BIG[3:7]
    assert world.written() == {}
    world.store.publish()
    assert world.written() == {digest: _BIG}
    assert world.files() == [f"blobs/{digest.replace(':', '/')}"]
    assert os.stat(world.dest / world.files()[0]).st_mode & 0o777 == 0o444
    assert world.node.last == parse_digest(digest)


async def test_a_blob_that_is_there_is_not_sent_again(world: World) -> None:
    """But one that a crash cut is replaced."""
    digest = await world.daemon.write("local:write", _BIG)
    async with _refused(Code.ALREADY_EXISTS):
        await world.daemon.write("local:write", _BIG)
    world.store.publish()
    async with _refused(Code.ALREADY_EXISTS):
        await world.daemon.write("local:write", _BIG)
    path = world.dest / world.files()[0]
    path.chmod(0o600)
    path.write_bytes(_BIG[:5])
    assert await world.daemon.write("local:write", _BIG) == digest
    world.store.publish()
    assert world.written() == {digest: _BIG}


async def test_a_wrong_digest_leaves_nothing(world: World) -> None:
    """Nor does a wrong size, or a write that is given up; and the same name can be written again."""
    wrong = f"sha256:{'0' * 64}"
    async with _refused(Code.FAILED_PRECONDITION, f"unexpected commit digest {sha256(b'blob')}, expected {wrong}"):
        await world.daemon.write("local:write", b"blob", expected=wrong)
    async with _refused(Code.FAILED_PRECONDITION, "unexpected commit size 4, expected 5"):
        await world.daemon.write("local:write", b"blob", total=5)
    writing = world.daemon.writing("local:write")
    await writing.send(pb.STAT, ref="r", total=9, expected=sha256(b"blob"))
    await writing.send(pb.WRITE, data=b"bl")
    await writing.close()
    await world.daemon.write("local:write", b"blob")
    world.store.publish()
    assert world.written() == {sha256(b"blob"): b"blob"}


async def test_endless_writes_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At what was announced, or else at a limit."""
    async with _refused(Code.OUT_OF_RANGE, "past the announced 5"):
        await world.daemon.write("local:write", b"123456", total=5)
    monkeypatch.setattr(ingest, "MAX_UNANNOUNCED", 5)
    async with _refused(Code.OUT_OF_RANGE, "past the limit of 5"):
        await world.daemon.write("local:write", b"123456", total=0)
    async with _refused(Code.RESOURCE_EXHAUSTED, "write: no space left on device"):
        await world.daemon.write("local:write", b"1", total=1 << 60)


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """With the folder's path, and nothing is left."""
    with mounted(tmp_path / "small", "size=64k") as folder:
        store = WritableStore(str(folder / "c"))
        daemon = ContentDaemon({"s": store.of_node()})
        async with _refused(Code.RESOURCE_EXHAUSTED, "small/c: no space left on device"):
            await daemon.write("s", bytes(100_000), total=0)
        store.close(published=False)
        assert not list(folder.iterdir())


async def test_what_two_nodes_write_is_written_once(world: World) -> None:
    """The second waits for the first, and finds the blob there; its own node knows of it all the same."""
    other = world.store.of_node()
    daemon = ContentDaemon({"local:write": other})
    first = world.daemon.writing("local:write")
    await first.send(pb.STAT, ref="r", total=4, expected=sha256(b"blob"))
    second = asyncio.ensure_future(daemon.write("local:write", b"blob"))
    await first.send(pb.WRITE, data=b"blob")
    state = pb.StatusResponse.FromString((await daemon.ask("Status", "local:write", pb.StatusRequest(ref="r")))[0])
    assert (state.status.offset, state.status.total) == (4, 4)
    await asyncio.sleep(0.1)
    assert not second.done()
    await first.send(pb.COMMIT, offset=4, total=4, expected=sha256(b"blob"))
    async with _refused(Code.ALREADY_EXISTS):
        await second
    assert other.named == {parse_digest(sha256(b"blob"))}
    assert not pb.ListStatusesResponse.FromString((await daemon.ask("ListStatuses", "local:write"))[0]).statuses


async def test_a_write_goes_on_where_it_is_and_starts_again_at_zero(world: World) -> None:
    """Any other offset is refused."""
    writing = world.daemon.writing("local:write")
    await writing.send(pb.STAT, ref="r", total=4)
    await writing.send(pb.WRITE, data=b"xx")
    assert (await writing.send(pb.WRITE, offset=0, data=b"bl")).offset == 2
    assert (await writing.send(pb.WRITE, offset=2, data=b"ob")).digest == sha256(b"blob")
    async with _refused(Code.OUT_OF_RANGE, "write @9 must occur at current offset 4"):
        await writing.send(pb.WRITE, offset=9, data=b"x")


async def test_only_so_many_writes_are_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More wait, and are refused in the end."""
    monkeypatch.setattr(writable, "MAX_WRITES", 2)
    daemon = ContentDaemon({"s": world.node}, write_wait=0.1)
    writings = [daemon.writing("s") for _ in range(3)]
    for number, writing in enumerate(writings[:2]):
        await writing.send(pb.STAT, ref=f"r{number}")
    async with _refused(Code.UNAVAILABLE):
        await writings[2].send(pb.STAT, ref="r2")
    for writing in writings:
        await writing.close()


@pytest.mark.parametrize("message", [b"\xff", b"\x0a\xff", b"\x22\x05abc"])
@pytest.mark.parametrize("method", ["Info", "Read", "Write", "Status", "Abort"])
async def test_bytes_that_are_no_request_are_refused(world: World, method: str, message: bytes) -> None:
    """With a code, not with a traceback."""
    async with _refused(Code.INVALID_ARGUMENT):
        await world.daemon.ask(method, "local:write", message)


async def test_a_failed_build_leaves_a_layout_as_it_was(world: World, tmp_path: Path) -> None:
    """The folder itself, if the build made it, goes as well; writes after it are refused."""
    await world.daemon.write("local:write", _BIG)
    await world.daemon.writing("local:write").send(pb.STAT, ref="open")
    world.store.close(published=False)
    assert not world.dest.exists()
    async with _refused(Code.CANCELLED):
        await world.daemon.write("local:write", b"late")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["read", "secret"]


async def test_what_a_killed_build_left_is_removed_by_the_next(world: World) -> None:
    """But not what another build is writing at the moment."""
    left = world.dest / "ingest/buildclient-killed"
    left.mkdir(parents=True)
    (left / "tmp-1").write_bytes(b"half")
    os.utime(left, (1, 1))
    running = WritableStore(str(world.dest))
    await ContentDaemon({"s": running.of_node()}).write("s", b"other")
    (theirs,) = (world.dest / "ingest").iterdir()
    os.utime(theirs, (1, 1))
    await world.daemon.write("local:write", b"blob")
    assert len(list((world.dest / "ingest").iterdir())) == 2
    running.publish()
    assert list(world.written()) == [sha256(b"other")]
    running.close(published=True)


async def test_a_link_in_the_folder_s_place_is_not_written_through(world: World, tmp_path: Path) -> None:
    """A result of the same build may have made it."""
    (tmp_path / "home").mkdir()
    world.dest.symlink_to("home")
    async with _refused(Code.UNKNOWN, "not a directory"):
        await world.daemon.write("local:write", b"blob")
    assert not list((tmp_path / "home").iterdir())


async def test_many_blobs_need_few_open_files(world: World) -> None:
    """An image has more layers than a process may have files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, hard))
    try:
        for number in range(100):
            await world.daemon.write("local:write", b"%d" % number)
        world.store.publish()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(world.written()) == 100
