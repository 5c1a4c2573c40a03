"""The language host stand-in, driven by the real Pulumi CLI. The programs make no cluster objects."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.load import busy

pytestmark = pytest.mark.cluster

STANDINS = Path(__file__).resolve().parents[2] / "standins" / "bin"


class Program:
    """A project with its program in a folder of its own, as `main:` of Pulumi.yaml names it."""

    def __init__(self, folder: Path, environment: dict[str, str], virtualenv: str = sys.prefix) -> None:
        self.folder = folder
        runtime = {"name": "python", "options": {"virtualenv": virtualenv}}
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": "words", "runtime": runtime, "main": "program"}))
        for name in ("program", "home", "state"):
            (folder / name).mkdir()
        self.write("")
        self.environment = {
            **{key: value for key, value in environment.items() if not key.startswith(("PULUMI_", "STANDINS_"))},
            "PATH": f"{STANDINS}:{environment['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        assert self.run("stack", "init", "dev").returncode == 0

    def write(self, text: str) -> None:
        """The program's text."""
        (self.folder / "program" / "__main__.py").write_text(text)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A Pulumi command."""
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs after an update."""
        done = self.run("up", "--yes", "--skip-preview")
        assert done.returncode == 0, done.stdout
        found: dict[str, Any] = json.loads(self.run("stack", "output", "--json", "--show-secrets").stdout)
        return found


@pytest.fixture
def program(cluster: dict[str, str], tmp_path: Path) -> Program:
    """A program in a project of its own."""
    return Program(tmp_path, cluster)


def test_program_runs_where_pulumi_yaml_says(program: Program) -> None:
    """The folder of `main` is the working directory and first on sys.path; Python and commands the virtualenv's."""
    (program.folder / "program" / "neighbour.py").write_text("NAME = 'neighbour'")
    program.write(
        "import os, sys, pulumi, neighbour\n"
        "pulumi.export('folder', os.getcwd())\n"
        "pulumi.export('first', sys.path[0])\n"
        "pulumi.export('prefix', sys.prefix)\n"
        "pulumi.export('commands', os.environ['PATH'].split(os.pathsep)[0])\n"
        "pulumi.export('name', neighbour.NAME + __name__)\n"
    )
    folder = str(program.folder / "program")
    assert program.outputs() == {
        "folder": folder,
        "first": folder,
        "prefix": sys.prefix,
        "commands": f"{sys.prefix}/bin",
        "name": "neighbour__main__",
    }


def test_config_reaches_the_program(program: Program) -> None:
    """Plain, structured and secret configuration; a secret stays one."""
    program.run("config", "set", "plain", "a")
    program.run("config", "set", "--path", "list[0]", "x")
    program.run("config", "set", "--secret", "hidden", "hunter2")
    program.write(
        "import pulumi\n"
        "config = pulumi.Config()\n"
        "pulumi.export('plain', config.require('plain'))\n"
        "pulumi.export('list', config.require_object('list'))\n"
        "pulumi.export('hidden', config.require_secret('hidden'))\n"
        "pulumi.export('where', f'{pulumi.get_project()}/{pulumi.get_stack()}/{pulumi.get_organization()}')\n"
    )
    assert program.outputs() == {
        "plain": "a",
        "list": ["x"],
        "hidden": "hunter2",
        "where": "words/dev/organization",
    }
    assert "hunter2" not in program.run("stack", "output", "--json").stdout


def test_what_the_program_prints_is_shown(program: Program) -> None:
    """Standard output and error both reach the user."""
    program.write("import sys\nprint('to output')\nprint('to error', file=sys.stderr)\n")
    done = program.run("preview")
    assert done.returncode == 0
    assert "to output" in done.stdout
    assert "to error" in done.stdout


def test_uncaught_exception_is_shown_from_the_program_on(program: Program) -> None:
    """The traceback begins at the program's own frame, and nothing more is said of it."""
    program.write("def wrong():\n    raise ValueError('too bad')\n\nwrong()\n")
    done = program.run("preview")
    assert done.returncode != 0
    text = done.stdout
    assert "error: Program failed with an unhandled exception:" in text
    assert "ValueError: too bad" in text
    assert str(program.folder / "program" / "__main__.py") in text
    assert "execute.py" not in text
    assert "non-zero exit code" not in text


def test_syntax_error_is_shown(program: Program) -> None:
    """A program that can't be parsed fails with where and what."""
    program.write("import pulumi\nif :\n")
    done = program.run("preview")
    assert done.returncode != 0
    assert "SyntaxError" in done.stdout
    assert "line 2" in done.stdout


def test_run_error_is_shown_in_its_own_words(program: Program) -> None:
    """A `RunError` has no traceback; the host adds the exit status."""
    program.write("import pulumi\nraise pulumi.RunError('set the config, please')\n")
    done = program.run("preview")
    assert done.returncode != 0
    assert "error: set the config, please" in done.stdout
    assert "Program exited with non-zero exit code: 1" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("text", "said"), [("import sys; sys.exit(3)", "code: 3"), ("import os; os._exit(4)", "code: 4")]
)
def test_exit_status_of_the_program_is_told(program: Program, text: str, said: str) -> None:
    """A program that ends itself with a status fails with it."""
    program.write(text)
    done = program.run("preview")
    assert done.returncode != 0
    assert said in done.stdout


def test_missing_virtualenv_is_one_message(cluster: dict[str, str], tmp_path: Path) -> None:
    """It names the folder, and how to make it."""
    program = Program(tmp_path, cluster, virtualenv=".venv")
    done = program.run("preview")
    assert done.returncode != 0
    assert "the virtualenv option in Pulumi.yaml is '.venv'" in done.stdout
    assert f"python3 -m venv {tmp_path}/.venv" in done.stdout
    assert "Traceback" not in done.stdout


def test_virtualenv_without_the_sdk_is_one_message(cluster: dict[str, str], tmp_path: Path) -> None:
    """It names the interpreter and the package, and shows nothing of the host's own code."""
    venv.create(tmp_path / "bare", symlinks=True)
    done = Program(tmp_path, cluster, virtualenv="bare").run("preview")
    assert done.returncode != 0
    assert f"the Pulumi SDK is not installed for {tmp_path}/bare/bin/python: pip install pulumi" in done.stdout
    assert "Traceback" not in done.stdout


def test_interrupt_ends_the_program_quietly(program: Program) -> None:
    """^C ends a program that is busy: soon, without a traceback, and no process stays."""
    mark = program.folder / "pid"
    program.write(
        f"import os, pathlib, time\npathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\ntime.sleep(300)\n"
    )
    running = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--color", "never"],
        cwd=program.folder,
        env=program.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        while not (mark.exists() and mark.read_text()):
            assert running.poll() is None
            time.sleep(0.05)
        begun = time.monotonic()
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=60)
    finally:
        running.kill()
    assert time.monotonic() - begun < busy(8)
    assert running.returncode != 0
    assert "error: update canceled" in output
    assert "Traceback" not in output
    # The host is given a moment to end.
    while _alive(int(mark.read_text())):
        assert time.monotonic() - begun < busy(20)
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_program_leaves_running_does_not_hold_it_up(program: Program) -> None:
    """A process that outlives the program, with the program's output in its hands, is not waited for."""
    program.write("import subprocess\nprint('to output')\nsubprocess.Popen(['sleep', '30'])\n")
    begun = time.monotonic()
    done = program.run("preview")
    assert time.monotonic() - begun < busy(20)
    assert done.returncode == 0
    assert "to output" in done.stdout


def test_missing_program_is_one_message(program: Program) -> None:
    """A folder without `__main__.py` is told as such."""
    (program.folder / "program" / "__main__.py").unlink()
    done = program.run("preview")
    assert done.returncode != 0
    assert "unable to find main python program" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.alone
def test_an_empty_update_is_quick(program: Program) -> None:
    """Preview and update of an empty program take under six seconds: plugins start fast and leave when told."""
    begun = time.monotonic()
    assert program.run("up", "--yes").returncode == 0
    assert time.monotonic() - begun < busy(6)


def test_the_stand_in_says_what_it_is_once(program: Program) -> None:
    """A line names the language host as a stand-in unless the user was told; `pulumi about` says so in any case."""
    text = program.run("preview", "--json")
    messages = [one["message"] for one in json.loads(text.stdout)["diagnostics"]]
    assert sum("stand-in for Pulumi's Python language host" in message for message in messages) == 1
    program.environment["STANDINS_ANNOUNCED"] = "pulumi-language-python"
    assert "stand-in for Pulumi's Python language host" not in program.run("preview", "--json").stdout
    about = program.run("about")
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"executable='{sys.prefix}/bin/python' version='{version}' language host='stand-in'" in about.stdout
    assert "grpcio" in about.stdout


def test_automation_api_runs_the_program(program: Program) -> None:
    """The Automation API drives a local program through the stand-ins."""
    program.write("import pulumi\npulumi.export('answer', 42)\n")
    script = (
        "from pulumi import automation as auto\n"
        f"stack = auto.select_stack('dev', work_dir={str(program.folder)!r})\n"
        "print(stack.preview().change_summary)\n"
        "print(stack.up().outputs['answer'].value)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=program.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "42"
