"""An archive into an engine, sent as the daemon exports it.

The end of the archive is kept back until every node has answered: an engine that has no end loads nothing, so that a
build that fails leaves no image behind. The archive ends with its list of images (`manifest.json` or `index.json`).
"""

from __future__ import annotations

import errno
import functools
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from buildclient.base.errors import BuildFailed, Cancelled, ClientError
from buildclient.engine.interfaces import Load
from buildclient.engine.messages import LoadMessage
from buildclient.progress.events import Event, Log, Vertex, VertexStatus
from buildclient.results.docker_archive import DockerArchive

__all__ = ["LoadExport"]

_TAIL = 4096
"""Bytes that are kept back: more than the two blocks that end a tar archive."""
_MAX_LAYERS = 1000
"""Layers whose progress is shown."""
_LONGEST_ID = 128
"""Characters of a layer's name in the progress."""
_EVERY = 0.5
"""Seconds between two events about one transfer."""


class LoadExport:
    """One output that an engine takes; implements ArchiveExport."""

    def __init__(
        self,
        name: str,
        begin: Callable[[], Load],
        tell: Callable[[Event], None],
        convert: Callable[[], DockerArchive] | None = None,
    ) -> None:
        """`begin` connects, once the first bytes arrive; `name` is the engine's in the progress.

        `convert` gives what makes an archive that the engine takes of an OCI layout. `tell` takes events from any
        thread.
        """
        self._new = functools.partial(_Archive, begin, name, tell, convert)
        self._archive: _Archive = self._new()
        self._asked = False

    @property
    def failure(self) -> ClientError | None:
        """Why the engine did not take the image; the daemon's error says it less well."""
        return self._archive.failure

    @property
    def image_id(self) -> str:
        """The ID of the image that `convert` picked; empty before the end, and without it."""
        return self._archive.convert.image_id if self._archive.convert else ""

    def receiver(self, node: int) -> _Archive:
        """Returns the archive: one comes from one node, or merged."""
        self._asked = True
        return self._archive

    def final(self) -> str:
        """Returns nothing: an engine loads nothing of an archive that breaks off."""
        return ""

    def restart(self, node: int) -> None:
        """Breaks the archive off; the next one goes to the engine anew."""
        self._archive.abort()
        self._archive = self._new()

    def stage(self) -> None:
        """Ends the archive and waits until the engine has loaded it. Raises EngineError, BuildFailed."""
        if self.failure:
            raise self.failure
        if self._asked:
            self._archive.stage()

    def commit(self) -> None:
        """Does nothing: the engine has the image."""

    def abort(self) -> None:
        """Breaks off what is not loaded."""
        self._archive.abort()


class _Archive:
    """One archive on its way to the engine; fulfils ArchiveReceiver."""

    def __init__(
        self,
        begin: Callable[[], Load],
        name: str,
        tell: Callable[[Event], None],
        convert: Callable[[], DockerArchive] | None,
    ) -> None:
        self.failure: ClientError | None = None
        self.convert = convert() if convert else None
        self._begin = begin
        self._load: Load | None = None
        self._tail = b""
        self._sent = 0
        self._complete = False
        self._aborted = threading.Event()
        self._step = _Step(f"importing to {name}", tell)

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Sends the next bytes. Raises OSError, and Cancelled after `abort`."""
        try:
            if self._load is None:
                self._step.begin()
                self._load = self._begin()
            if self._aborted.is_set():
                self._load.abort()
                raise Cancelled("the export was aborted")
            data = b"".join([self._tail, *(self.convert.feed(pieces) if self.convert else pieces)])
            ready, self._tail = memoryview(data)[:-_TAIL], data[-_TAIL:]
            if ready:
                self._load.write(ready)
                self._sent += len(ready)
                self._step.moved("sending image", self._sent)
        except ClientError as error:
            raise self._failed(error) from None

    def finish(self) -> None:
        """Marks the archive as complete."""
        self._complete = True

    def stage(self) -> None:
        """As the export's."""
        if not self._complete or self._load is None:
            raise BuildFailed("the daemon sent no result for output docker")
        try:
            self._tail = b"".join([self._tail, *(self.convert.end() if self.convert else ())])
            self._load.write(self._tail)
            self._step.moved("sending image", self._sent + len(self._tail), done=True)
            self._load.finish(self._step.message)
        except ClientError as error:
            self._failed(error)
            if self._aborted.is_set():
                raise Cancelled("the export was aborted") from None
            raise
        if self._aborted.is_set():
            raise Cancelled("the export was aborted")
        self._load = None
        self._step.end()

    def abort(self) -> None:
        """As the export's; may be called in any thread."""
        self._aborted.set()
        if load := self._load:
            load.abort()
            self._step.end("context canceled")

    def _failed(self, error: ClientError) -> OSError:
        if not self._aborted.is_set():
            self.failure = self.failure or error
        self._step.end("context canceled" if self._aborted.is_set() else str(error))
        return OSError(errno.EPIPE, str(error))


class _Step:
    """The load in the progress."""

    def __init__(self, name: str, tell: Callable[[Event], None]) -> None:
        self._vertex = Vertex(f"client:{secrets.token_hex(8)}", name)
        self._tell = tell
        self._last: dict[str, float] = {}
        self._statuses: dict[str, VertexStatus] = {}

    def begin(self) -> None:
        """Shows the step as running."""
        self._vertex = self._vertex._replace(started=time.time())
        self._tell(self._vertex)

    def moved(self, what: str, current: int, total: int = 0, *, done: bool = False) -> None:
        """Shows a transfer, at most every half second."""
        now = time.time()
        known = self._statuses.get(what) or VertexStatus(self._vertex.digest, what, started=now)
        status = known._replace(current=current, total=total, timestamp=now, completed=now if done else None)
        self._statuses[what] = status
        if done or now - self._last.get(what, 0.0) >= _EVERY:
            self._last[what] = now
            self._tell(status)

    def message(self, message: LoadMessage) -> None:
        """Shows what the engine says."""
        if message.id and message.has_progress:
            # An engine may name any number of layers; the first ones are enough to look at.
            what = f"loading layer {message.id[:_LONGEST_ID]}"
            if what in self._statuses or len(self._statuses) < _MAX_LAYERS:
                self.moved(what, message.current, message.total)
        elif message.stream:
            self._tell(Log(self._vertex.digest, 1, message.stream.encode(), time.time()))

    def end(self, error: str = "") -> None:
        """Shows the step as done, or as failed."""
        if self._vertex.started is None or self._vertex.completed is not None:
            return
        for status in self._statuses.values():
            if status.completed is None and not error:
                self._tell(status._replace(completed=time.time()))
        self._vertex = self._vertex._replace(completed=time.time(), error=error)
        self._tell(self._vertex)
