"""Many stacks at once with the real Pulumi engine and its file backend; nothing goes to a cluster."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pulumi
import pytest
from buildkit_builders.automation import Job, Project, Stack, StepEnded, Told, start

from tests.cluster.infra_project import PulumiProject

pytestmark = [pytest.mark.cluster]


class Thing(pulumi.ComponentResource):
    """A resource without a cluster."""

    def __init__(self, name: str) -> None:
        super().__init__("test:index:Thing", name, {})
        self.register_outputs({})


@pytest.fixture
def folder(cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PulumiProject:
    """A Pulumi project with no stack."""
    found = PulumiProject(tmp_path / "project", cluster)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


def _locks(folder: PulumiProject) -> list[Path]:
    return list((folder.folder / "state" / ".pulumi" / "locks").rglob("*.json"))


def test_three_stacks_tell_what_they_do_and_one_fails(folder: PulumiProject) -> None:
    """Every stack's steps come as typed events, the failed one's reason too; the others are up."""

    def program() -> None:
        Thing(f"thing-of-{pulumi.get_stack()}")
        if pulumi.get_stack() == "two":
            raise pulumi.RunError("two has a fault")

    project = Project(folder.folder, program=program)
    jobs = [Job(name, lambda name=name: project.stack(name, create=True)) for name in ("one", "two", "three")]  # type: ignore[misc]
    run = start(jobs, Stack.up, at_once=3)
    events = list(run)
    assert {event.step.name for event in events if isinstance(event, StepEnded)} >= {"thing-of-one", "thing-of-three"}
    assert any(isinstance(event, Told) and event.severity == "error" and "a fault" in event.text for event in events)
    assert {name: one.error is None for name, one in run.outcomes.items()} == {"one": True, "two": False, "three": True}
    assert run.outcomes["one"].result is not None
    assert run.outcomes["one"].result.changes["create"] == 2
    assert start([project.stack("one")], Stack.preview).results()["one"].result.changes == {}  # type: ignore[union-attr]


def test_an_interrupt_cancels_all_and_leaves_no_lock(folder: PulumiProject) -> None:
    """Ctrl-C while two stacks are under way: Pulumi ends both in order, a third is not begun, no stack is locked."""
    at_work, go_on = threading.Barrier(3, timeout=280), threading.Event()

    def program() -> None:
        at_work.wait()
        go_on.wait(60)

    project = Project(folder.folder, program=program)
    stacks = [project.stack(name, create=True) for name in ("one", "two", "three")]

    def interrupt() -> None:
        at_work.wait()
        os.kill(os.getpid(), signal.SIGINT)

    run = start(stacks, Stack.up, at_once=2)
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in run:
                pass
    finally:
        go_on.set()
    assert {name: one.cancelled for name, one in run.outcomes.items()} == {"one": True, "two": True, "three": True}
    assert run.outcomes["three"].attempts == 0
    assert _locks(folder) == []
