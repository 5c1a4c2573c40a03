"""The table of flags is docker buildx's own: a flag that a new version has is missed here."""

from __future__ import annotations

import re
import subprocess

import pytest

from localcluster import tools
from tests.unit.cli.flag_table import FLAGS, HIDDEN

pytestmark = pytest.mark.cluster
_LINE = re.compile(r"^  (?:(-\w), |    )(--[\w-]+)(?: (\w+))?  ", re.MULTILINE)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(tools.ensure("buildx")), "build", *arguments]
    return subprocess.run(command, timeout=60, capture_output=True, text=True, check=False)


def test_the_table_names_every_flag_of_the_help() -> None:
    """Names, short forms, and whether a value follows."""
    shown = {name: (short, bool(value)) for short, name, value in _LINE.findall(_run("--help").stdout)}
    assert shown == {name: (held.short, bool(held.value)) for name, held in FLAGS.items()}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_flag_is_known(name: str) -> None:
    """Without its value, or with one that is no boolean, docker buildx complains of that, not of the flag."""
    held = HIDDEN[name]
    said = _run(name).stderr if held.value else _run(f"{name}=x").stderr
    shown = f"{held.short}, {name}" if held.short else name
    assert f"flag needs an argument: {name}" in said or f'for "{shown}" flag' in said, said
