"""`buildclient stop --if-idle`: its words, and what it refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buildclient.base.errors import UsageError
from buildclient.cli import stop
from buildclient.nodes.idle import Rest


def _run(*arguments: str) -> int:
    return int(stop.command.main(list(arguments), standalone_mode=False) or 0)


def test_each_node_has_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What stopped, what was left and why; what could not be asked is an error, and its status."""
    asked: list[Any] = []

    async def stopped(builder: Any, seconds: float, pick: Any) -> list[Rest]:
        asked.append((seconds, pick.node))
        await asyncio.sleep(0)
        return [Rest("a", stopped=2), Rest("b"), Rest("c", busy="p is not ready"), Rest("d", failed="no way")]

    monkeypatch.setattr(stop, "stop_if_idle", stopped)
    assert _run("--if-idle", "1h30m", "--node", "a") == 125
    assert asked == [(5400.0, "a")]
    told = capsys.readouterr()
    assert told.out.splitlines() == ["a: stopped 2 pods", "b: had no pods", "c: left running: p is not ready"]
    assert told.err == "ERROR: d: left running: no way\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--if-idle", "soon"), 'invalid argument "soon" for "--if-idle" flag'),
        (("--if-idle", "-5m"), 'invalid argument "-5m" for "--if-idle" flag'),
        (("--if-idle", "5m", "--force"), "cannot be used together"),
    ],
)
def test_wrong_times_are_refused(arguments: tuple[str, ...], told: str) -> None:
    """Before anything is looked for."""
    with pytest.raises(UsageError, match=told):
        _run(*arguments)
