"""An archive into an engine: what is sent when, and what is shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from buildclient.base.errors import BuildFailed, Cancelled
from buildclient.engine.errors import EngineError
from buildclient.engine.messages import LoadMessage
from buildclient.progress.events import Event, Log, Vertex, VertexStatus
from buildclient.results.load import LoadExport


class FakeLoad:
    """Keeps what it gets; fails where it is told to."""

    def __init__(self, refuses: bool = False, fails: bool = False) -> None:
        self.data = b""
        self.ended = self.aborted = False
        self._refuses = refuses
        self._fails = fails

    def write(self, data: bytes | memoryview) -> None:
        if self._refuses or self.aborted:
            raise EngineError("refused")
        self.data += data

    def finish(self, tell: Callable[[LoadMessage], None]) -> None:
        if self._fails:
            raise EngineError("no space")
        tell(LoadMessage("ab", "Loading layer", 1, 2, has_progress=True))
        tell(LoadMessage(stream="Loaded image: a:1\n"))
        self.ended = True

    def abort(self) -> None:
        self.aborted = True


def _export(load: FakeLoad) -> tuple[LoadExport, list[Event]]:
    events: list[Event] = []
    return LoadExport("docker", lambda: load, events.append), events


def test_the_end_is_kept_back_until_all_nodes_have_answered() -> None:
    """Without it, and without the end of the request, an engine loads nothing."""
    load = FakeLoad()
    export, events = _export(load)
    receiver = export.receiver(0)
    receiver.write([b"x" * 10_000, memoryview(b"y" * 5000)])
    receiver.finish()
    assert 0 < len(load.data) <= 15_000 - 1024
    assert not load.ended
    export.stage()
    export.commit()
    export.abort()
    assert load.data == b"x" * 10_000 + b"y" * 5000
    assert (load.ended, load.aborted) == (True, False)
    steps = [event for event in events if isinstance(event, Vertex)]
    assert [(one.name, one.completed is None, one.error) for one in steps] == [
        ("importing to docker", True, ""),
        ("importing to docker", False, ""),
    ]
    shown = {event.id: event.completed is not None for event in events if isinstance(event, VertexStatus)}
    assert shown == {"sending image": True, "loading layer ab": True}
    assert [event.data for event in events if isinstance(event, Log)] == [b"Loaded image: a:1\n"]


def test_an_abort_breaks_it_off() -> None:
    """What still comes is refused, and the step is shown as cancelled."""
    load = FakeLoad()
    export, events = _export(load)
    receiver = export.receiver(0)
    receiver.write([b"x" * 9000])
    export.abort()
    assert load.aborted
    with pytest.raises((Cancelled, OSError)):
        receiver.write([b"x"])
    assert export.failure is None
    last = [event for event in events if isinstance(event, Vertex)][-1]
    assert last.error == "context canceled"


@pytest.mark.parametrize(("refuses", "fails"), [(True, False), (False, True)])
def test_the_engine_s_reason_is_kept(refuses: bool, fails: bool) -> None:
    """The daemon, whose archive is not taken, says it less well."""
    export, events = _export(FakeLoad(refuses, fails))
    with pytest.raises((OSError, EngineError)):
        _all_of(export)
    assert str(export.failure) in ("refused", "no space")
    with pytest.raises(EngineError):
        export.stage()
    assert [event for event in events if isinstance(event, Vertex)][-1].error == str(export.failure)


def _all_of(export: LoadExport) -> None:
    receiver = export.receiver(0)
    receiver.write([b"x" * 9000])
    receiver.finish()
    export.stage()


def test_an_archive_that_did_not_come_whole_is_not_loaded() -> None:
    """The daemon has to end it; an export that no node was asked for is nothing."""
    load = FakeLoad()
    export, _ = _export(load)
    export.receiver(0).write([b"x" * 9000])
    with pytest.raises(BuildFailed, match="sent no result"):
        export.stage()
    assert not load.ended
    _export(load)[0].stage()


def test_an_engine_that_names_layers_without_end_is_not_followed() -> None:
    """The progress of the first ones is shown, by the beginnings of their names."""

    class Talkative(FakeLoad):
        def finish(self, tell: Callable[[LoadMessage], None]) -> None:
            for number in range(3000):
                tell(LoadMessage(f"{number}{'x' * 1000}", "", 1, 2, has_progress=True))

    export, events = _export(Talkative())
    receiver = export.receiver(0)
    receiver.write([b"x" * 9000])
    receiver.finish()
    export.stage()
    shown = {event.id for event in events if isinstance(event, VertexStatus)}
    assert len(shown) == 1000
    assert max(map(len, shown)) < 200
