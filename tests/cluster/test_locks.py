"""Two updates of one stack at once, with the real Pulumi engine and its file backend; nothing goes to a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from buildkit_builders.automation import LockedError, Project, Stack, StackError

from tests.cluster.infra_project import ROOT, PulumiProject
from tests.load import busy

pytestmark = [pytest.mark.cluster]


class Held(PulumiProject):
    """A stack whose program goes on for as long as the test wants."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(folder, environment)
        self.runs = threading.Event()
        self.go_on = threading.Event()

        def program() -> None:
            self.runs.set()
            assert self.go_on.wait(600)

        self.stack: Stack = Project(self.folder, program=program, environment=self.environment).stack(
            "test", create=True
        )

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Lets the program go on at the end, also of a test that fails."""
        try:
            yield
        finally:
            self.go_on.set()

    def locks(self) -> list[Path]:
        """The lock files of the backend."""
        return list((self.folder / "state" / ".pulumi" / "locks").rglob("*.json"))


@pytest.fixture
def held(cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """The stack; whatever waits in its program goes on at the end."""
    monkeypatch.setenv("PATH", cluster["PATH"])  # The Automation API looks for the Pulumi CLI there.
    found = Held(tmp_path / "project", cluster)
    with found.released():
        yield found


def test_a_second_update_waits_for_the_first_and_says_who_it_is(held: Held) -> None:
    """It names the machine and process that hold the lock, and goes on by itself; without a wait it fails at once."""
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if "is locked by" in line:
            held.go_on.set()

    with ThreadPoolExecutor(2) as pool, held.released():
        first = pool.submit(held.stack.up)
        assert held.runs.wait(busy(30))
        (lock,) = held.locks()
        pid = json.loads(lock.read_text())["pid"]
        with pytest.raises(LockedError) as caught:
            held.stack.up(lock_timeout=0)
        assert f"{socket.gethostname()} (pid {pid}) since 2" in str(caught.value)
        builders = str(ROOT / ".venv" / "bin" / "builders")
        done = held.run(builders, "destroy", "--stack", "test", "--yes", "--no-wait")
        assert done.status == 1
        assert done.output.splitlines()[-1].startswith("ERROR: destroy of stack test: the stack is locked by ")
        second = pool.submit(held.stack.up, on_output=tell)
        assert second.result(busy(60)).stack == first.result(busy(60)).stack == "test"
    assert f"(pid {pid})" in "".join(told)
    assert held.locks() == []


def test_a_lock_left_behind_is_told_with_its_remedy(held: Held) -> None:
    """The update ends soon, and after `pulumi cancel` goes through."""
    held.go_on.set()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = held.folder / "state" / ".pulumi" / "locks" / "organization" / "builder" / "test"
    folder.mkdir(parents=True, exist_ok=True)
    lock = {"pid": ended.pid, "username": "ada", "hostname": socket.gethostname(), "timestamp": "2026-11-25T10:00:00Z"}
    (folder / "11111111-2222-3333-4444-555555555555.json").write_text(json.dumps(lock))
    with pytest.raises(StackError) as caught:
        held.stack.up()
    assert f"ada@{os.uname().nodename} (pid {ended.pid}) since 2026-11-25T10:00:00Z" in str(caught.value)
    assert str(caught.value).endswith("pulumi cancel --stack test")
    assert held.pulumi("cancel", "--yes").status == 0
    held.stack.up()
    assert held.locks() == []
