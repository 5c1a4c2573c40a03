"""What the command line imports on the way to a build, and what it prints without a builder."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from buildclient.cli.main import status_of
from buildclient.version import VERSION

DENIED = {
    "aiohttp",
    "cryptography",
    "dataclasses",
    "difflib",
    "hypothesis",
    "importlib.metadata",
    "buildclient.base.ociindex",
    "buildclient.base.ocilayout",
    "buildclient.request.localcache",
    "buildclient.session.content",
    "buildkit_builders",
    "kubernetes",
    "pulumi",
    "requests",
    "rich",
    "tempfile",
    "urllib3",
}
PARSED = """
import sys
from buildclient.cli.main import main
command = main.get_command(None, "build")
with command.make_context("build", ["-t", "a.example/b:1", "--platform", "linux/amd64", "--push", "."]) as context:
    from buildclient.cli.flags import request_of
    request_of("context" in context.params and ".", context.params, {})
import json
print(json.dumps(sorted(sys.modules)))
"""


def test_a_parsed_build_line_has_imported_nothing_heavy() -> None:
    """A cached build is mostly start-up, so modules that it does not need must not be loaded by then."""
    done = subprocess.run([sys.executable, "-c", PARSED], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(json.loads(done.stdout))
    assert not {name for name in DENIED if name in loaded} - _before()


def _before() -> set[str]:
    """What the bare interpreter of this environment loads by itself (its site hooks)."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, asyncio, click; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


def test_help_comes_quickly() -> None:
    """A generous limit that a heavy import at the top would break."""
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "buildclient.cli.main", "--help"], capture_output=True, timeout=60)
        took.append(time.perf_counter() - begun)
    assert min(took) < 1.0


@pytest.mark.parametrize("command", ["build", "ls", "inspect", "completion"])
def test_help_of_each_command_goes_to_standard_output(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`-h` and `--help` are the same, and succeed."""
    assert status_of([command, "-h"]) == 0
    first = capsys.readouterr()
    assert status_of([command, "--help"]) == 0
    assert capsys.readouterr().out == first.out
    assert f"buildclient {command}" in first.out
    assert first.err == ""


def test_build_help_shows_examples_and_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """The flags of docker buildx that are served all stand in the help, with their short forms."""
    assert status_of(["build", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Examples:" in shown
    for flag in (
        "-t, --tag",
        "-f, --file",
        "-o, --output",
        "-q, --quiet",
        "--platform",
        "--metadata-file",
        "--iidfile",
        "--secret",
        "--ssh",
    ):
        assert flag in shown
    assert "--squash" not in shown


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    """What the program prints is what the installed package is called."""
    from importlib.metadata import version

    assert status_of(["--version"]) == 0
    assert capsys.readouterr().out == f"buildclient {VERSION}\n"
    assert version("buildkit-builders") == VERSION


def test_the_package_runs_as_a_module() -> None:
    """`python -m buildclient` is the same program under the same name."""
    line = [sys.executable, "-m", "buildclient", "build", "--frob", "."]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ERROR: unknown flag: --frob; see buildclient build --help\n"


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_names_the_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed can be sourced by the shell."""
    assert status_of(["completion", shell]) == 0
    assert "_BUILDCLIENT_COMPLETE" in capsys.readouterr().out
