"""Pulumi as a child: it comes to its own end whatever happens to the script that drives it; a script stands for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from buildkit_builders.automation import each, many
from buildkit_builders.cli.main import main
from buildkit_builders.command import Command, interrupt_all
from pulumi import automation as auto

Fake = Callable[[str], Command]

HEAD = f"""\
#!{sys.executable} -IS
import signal, sys, time
from pathlib import Path
if "version" in sys.argv:
    sys.exit(print("v3.999.0"))
here = Path(__file__).parent
def told(*_):
    (here / "ended").touch()
    sys.exit(1)
signal.signal(signal.SIGINT, told)
(here / "started").touch()
"""
UNTIL_TOLD = "print('at work', flush=True); time.sleep(20)"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Makes a `pulumi` of a few lines of Python; it notes its start, and its end if it is interrupted."""

    def make(body: str) -> Command:
        program = tmp_path / "pulumi"
        program.write_text(HEAD + body)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return Command()

    return make


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The children started from here on."""
    started: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def popen(*args: Any, **kwargs: Any) -> subprocess.Popen[str]:
        started.append(real(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    return started


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_callback_that_fails_does_not_end_pulumi(fake: Fake, tmp_path: Path, stream: str) -> None:
    """Pulumi prints more than a pipe holds and ends; then the error is raised, and the callback was not asked again."""
    command = fake(f"for _ in range(50_000): print('line', file=sys.{stream})\n(here / 'ended').touch()")
    calls = []

    def callback(line: str) -> None:
        calls.append(line)
        raise BrokenPipeError("no one reads")

    with pytest.raises(BrokenPipeError, match="no one reads"):
        command.run(
            ["up"], str(tmp_path), {}, **{"stdout": {"on_output": callback}, "stderr": {"on_error": callback}}[stream]
        )
    assert (tmp_path / "ended").exists()
    assert calls == ["line"]


def test_pulumis_own_failure_comes_before_a_callbacks(fake: Fake, tmp_path: Path) -> None:
    """Both failed: the error is Pulumi's, with the callback's as its cause."""
    command = fake("print('line'); print('error: why', file=sys.stderr); sys.exit(1)")
    with pytest.raises(auto.CommandError, match="error: why") as caught:
        command.run(["up"], str(tmp_path), {}, on_output=lambda line: [][0])
    assert isinstance(caught.value.__cause__, IndexError)


def test_bytes_that_are_no_text_are_shown_as_such(fake: Fake, tmp_path: Path) -> None:
    """A byte that is not UTF-8 becomes a replacement character; what follows is read."""
    command = fake(r"sys.stdout.buffer.write(b'a\xffb\nend\n')")
    assert command.run(["up"], str(tmp_path), {}).stdout == "a\N{REPLACEMENT CHARACTER}b\nend"


def test_an_interrupt_right_after_the_start_is_passed_on(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: list[subprocess.Popen[str]]
) -> None:
    """Ctrl-C between the child's start and the wait for it: the child is told and waited for, handlers are put back."""
    command = fake(UNTIL_TOLD)
    recorded = subprocess.Popen

    def popen(*args: Any, **kwargs: Any) -> subprocess.Popen[str]:
        process = recorded(*args, **kwargs)
        signal.raise_signal(signal.SIGINT)
        return process

    before = signal.getsignal(signal.SIGINT)
    del children[:]
    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        command.run(["up"], str(tmp_path), {})
    assert [child.returncode is None for child in children] == [False]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_pulumi_that_is_in_no_list_yet_is_interrupted(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: list[subprocess.Popen[str]]
) -> None:
    """`interrupt_all` just after a start reaches that child too; the next command runs again."""
    command = fake(UNTIL_TOLD)
    recorded = subprocess.Popen

    def popen(*args: Any, **kwargs: Any) -> subprocess.Popen[str]:
        process = recorded(*args, **kwargs)
        interrupt_all()
        return process

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        command.run(["up"], str(tmp_path), {})
    monkeypatch.setattr(subprocess, "Popen", recorded)
    assert children[-1].returncode is not None
    assert fake("print('done')").run(["up"], str(tmp_path), {}).stdout == "done"


def test_an_interrupted_worker_starts_no_other_pulumi(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a worker is between two commands: the second is not begun; the script itself may go on."""
    command = fake("print('done')")
    passed_on, ends = threading.Event(), []

    def interrupt() -> None:
        interrupt_all()
        passed_on.set()

    def act(stack: Any) -> None:
        command.run(["one"], str(tmp_path), {})
        (tmp_path / "started").unlink()
        os.kill(os.getpid(), signal.SIGINT)
        assert passed_on.wait(60)
        try:
            command.run(["two"], str(tmp_path), {})
        except BaseException as error:
            ends.append(type(error))

    monkeypatch.setattr(many, "interrupt_all", interrupt)
    stacks: Any = [SimpleNamespace(name="one")]
    with pytest.raises(KeyboardInterrupt):
        each(stacks, act)
    assert ends == [KeyboardInterrupt]
    assert not (tmp_path / "started").exists()
    assert each(stacks, lambda stack: command.run(["up"], str(tmp_path), {}).stdout) == {"one": "done"}


def _builders(folder: Path, hangup: str) -> subprocess.Popen[str]:
    (folder / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
    script = (
        f"import signal; signal.signal(signal.SIGHUP, signal.{hangup})\n"
        "from buildkit_builders.cli.main import run; run()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, "ls", "-o", "json"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _await(path: Path) -> None:
    for _ in range(200):
        if path.exists():
            return
        threading.Event().wait(0.1)
    raise AssertionError(f"{path.name} is not there")


@pytest.mark.parametrize(("hangup", "status"), [("SIG_DFL", 130), ("SIG_IGN", 0)])
def test_a_terminal_that_goes_away_interrupts_pulumi(fake: Fake, tmp_path: Path, hangup: str, status: int) -> None:
    """SIGHUP ends `builders` as Ctrl-C does, and Pulumi is told; under nohup both go on."""
    fake("while not (here / 'go').exists(): time.sleep(0.05)\nprint('[]')")
    process = _builders(tmp_path, hangup)
    try:
        _await(tmp_path / "started")
        process.send_signal(signal.SIGHUP)
        if status == 0:
            (tmp_path / "go").touch()
        out, rest = process.communicate(timeout=60)
    finally:
        (tmp_path / "go").touch()
        process.kill()
    assert process.returncode == status, out + rest
    assert (tmp_path / "ended").exists() == (status == 130)


@pytest.mark.parametrize("name", ["up", "refresh", "destroy"])
def test_a_closed_standard_input_is_no_one_to_ask(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without `--yes` and with `<&-` it is wrong usage, as with any input that is no terminal."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(click.UsageError, match="there is no terminal to ask at"):
        main.main([name, "--stack", "one"], standalone_mode=False)
