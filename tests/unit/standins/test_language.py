"""The language host stand-in's choices: interpreter, packages, exit statuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from standins.language.environment import NoInterpreter, Program, activated, interpreter
from standins.language.packages import PluginNeed, installed, plugin_needs, site_folders
from standins.language.runner import outcome


def program(root: Path, **options: object) -> Program:
    """A program under `root`."""
    return Program(root, root / "stacks", ".", options)


def executable(file: Path) -> Path:
    """An executable file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_virtualenv_is_found_from_pulumi_yamls_folder(tmp_path: Path) -> None:
    """Relative to Pulumi.yaml, not to the program; absolute as it is."""
    python = executable(tmp_path / ".venv" / "bin" / "python")
    assert interpreter(program(tmp_path, virtualenv=".venv")) == python
    assert interpreter(program(tmp_path / "else", virtualenv=str(tmp_path / ".venv"))) == python


def test_missing_virtualenv_says_how_to_make_it(tmp_path: Path) -> None:
    """One message with the folder."""
    with pytest.raises(NoInterpreter, match=r"python3 -m venv .*/\.venv"):
        interpreter(program(tmp_path, virtualenv=".venv"))


def test_without_the_option_the_first_python_on_path_runs(tmp_path: Path) -> None:
    """python3 before python; none at all is an error."""
    python = executable(tmp_path / "bin" / "python")
    environment = {"PATH": str(tmp_path / "bin")}
    assert interpreter(program(tmp_path), environment) == python
    better = executable(tmp_path / "bin" / "python3")
    assert interpreter(program(tmp_path), environment) == better
    with pytest.raises(NoInterpreter, match="no python3 on PATH"):
        interpreter(program(tmp_path), {"PATH": os.devnull})


def test_a_virtual_environment_is_activated_for_its_program(tmp_path: Path) -> None:
    """Its commands come first on PATH; another Python's home is forgotten; without one nothing is changed."""
    python = executable(tmp_path / ".venv" / "bin" / "python")
    environment = {"PATH": "/bin", "PYTHONHOME": "/usr", "STEP": "1"}
    assert activated(python, environment) == {"PATH": "/bin", "STEP": "1"}
    (tmp_path / ".venv" / "pyvenv.cfg").touch()
    bin_folder, root = str(tmp_path / ".venv" / "bin"), str(tmp_path / ".venv")
    assert activated(python, environment) == {"PATH": f"{bin_folder}:/bin", "VIRTUAL_ENV": root, "STEP": "1"}
    assert activated(python, {})["PATH"] == bin_folder


def test_packages_tell_which_plugins_they_need(tmp_path: Path) -> None:
    """Only those with a resource plugin; a broken file is passed over; the first of a name counts."""
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    contents = {
        "pulumi_one": json.dumps({"resource": True, "name": "one", "version": "1.2.3"}),
        "pulumi_two": json.dumps({"resource": True, "server": "https://example.com"}),
        "pulumi_none": json.dumps({"resource": False, "name": "none"}),
        "pulumi_bad": "{",
        "pulumi_list": "[]",
    }
    for name, text in contents.items():
        (site / name).mkdir(parents=True)
        (site / name / "pulumi-plugin.json").write_text(text)
    (site / "some_thing-4.5.dist-info").mkdir()
    folders = site_folders(tmp_path / "bin" / "python")
    assert folders == [site]
    assert plugin_needs([*folders, *folders]) == [
        PluginNeed("one", "1.2.3"),
        PluginNeed("two", "", "https://example.com"),
    ]
    assert installed(folders) == [("some_thing", "4.5")]


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (0, ("", False)),
        (32, ("", True)),
        (1, ("Program exited with non-zero exit code: 1", False)),
        (-9, ("Program ended by signal 9", False)),
    ],
)
def test_exit_statuses(status: int, wanted: tuple[str, bool]) -> None:
    """32 means that all has been said; anything else but 0 is told."""
    assert outcome(status) == wanted
