"""A stack that a killed process left is taken up again: its lock, its unrecorded operations, half-written files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders.automation import LockedError, Project, StackError, StackEvent, StaleLockError, Told
from buildkit_builders.automation import project as project_module
from buildkit_builders.automation.recovery import destroy_recovering, up_recovering

LOCKED = LockedError("update of stack x", "x", ())


class LeftStack:
    """Stands for a stack that answers with these faults first, and has these operations pending."""

    name = "x"

    def __init__(self, *faults: StackError, pending: tuple[str, ...] = ()) -> None:
        self.faults, self.pending, self.calls = list(faults), pending, list[str]()
        self.adopts = False

    def take_pending(self, *, lock_timeout: float) -> tuple[str, ...]:
        """As Stack's."""
        taken, self.pending = self.pending, ()
        return taken

    @contextmanager
    def adopting(self) -> Iterator[None]:
        """As Stack's."""
        self.adopts = True
        yield
        self.adopts = False

    def up(self, **options: Any) -> str:
        """As Stack's."""
        self.calls.append("up, adopting" if self.adopts else "up")
        if self.faults:
            raise self.faults.pop(0)
        return "done"

    def destroy(self, **options: Any) -> str:
        """As Stack's."""
        return self.up()

    def clear_lock(self) -> None:
        """As Stack's."""
        self.calls.append("clear")


def _up(stack: Any, **options: Any) -> tuple[Any, list[str]]:
    told: list[StackEvent] = []
    result = up_recovering(stack, on_event=told.append, **options)
    return result, [event.text for event in told if isinstance(event, Told)]


def test_a_lock_left_behind_is_cleared_and_told() -> None:
    """One whose process has ended; the operation is then done."""
    stack = LeftStack(StaleLockError("no such process"))
    assert _up(stack) == ("done", ["the lock of a process that was killed is cleared"])
    assert stack.calls == ["up", "clear", "up"]


def test_a_lock_of_another_machine_is_cleared_only_where_asked() -> None:
    """By default the error is raised, and nothing is cleared."""
    stack = LeftStack(LOCKED)
    with pytest.raises(LockedError):
        _up(stack)
    assert stack.calls == ["up"]
    stack = LeftStack(LOCKED)
    assert _up(stack, clear_locks=True)[0] == "done"
    assert stack.calls == ["up", "clear", "up"]


def test_what_was_made_and_not_recorded_is_taken_over() -> None:
    """With operations pending, objects that are there become the stack's; without, they would be refused as ever."""
    stack = LeftStack(pending=("main-deployment",))
    assert _up(stack) == ("done", ["a killed process left 1 operations unrecorded: what they made is taken over"])
    assert stack.calls == ["up, adopting"]
    assert _up(LeftStack())[1] == []


def test_a_destroy_names_what_may_be_left() -> None:
    """What a killed process made and did not record is not the stack's to delete."""
    told: list[StackEvent] = []
    stack: Any = LeftStack(pending=("main-deployment", "main-output"))
    destroy_recovering(stack, on_event=told.append)
    assert [event.text for event in told if isinstance(event, Told)] == [
        "a killed process did not record these, and they may be left in the cluster: main-deployment, main-output"
    ]


def test_files_that_a_kill_left_empty_are_taken_out_of_a_backend_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only empty `.attrs` beside states and locks go; states, full ones, and backends elsewhere are left alone."""
    monkeypatch.setattr(project_module, "Command", object)
    (tmp_path / "Pulumi.yaml").write_text("name: builder-claims\nruntime: python\n")
    states, locks = tmp_path / ".pulumi" / "stacks" / "builder-claims", tmp_path / ".pulumi" / "locks" / "x"
    for folder in (states, locks):
        folder.mkdir(parents=True)
        (folder / "a.json").touch()
        (folder / "a.json.attrs").touch()
        (folder / "b.json.attrs").write_text("{}")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    assert Project(tmp_path).mend() == ()
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    assert sorted(Project(tmp_path).mend()) == sorted(str(folder / "a.json.attrs") for folder in (states, locks))
    assert {one.name for one in states.iterdir()} == {"a.json", "b.json.attrs"}
