"""Every flag of `docker buildx build`, in every form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from buildclient.cli import debug
from buildclient.cli.build import command
from buildclient.cli.flags import FlagsCommand
from tests.unit.cli.flag_table import FLAGS, HIDDEN


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """`--debug` is one of the flags; its log ends with the test."""
    yield
    debug.disable()


EVERY = {**FLAGS, **HIDDEN}
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", [name for name in EVERY if name != "--help"])
def test_a_flag_is_taken_in_every_form(name: str) -> None:
    """Long and short, with a sign and with a space, repeated, behind the path and together with a switch."""
    held = EVERY[name]
    names = [name, *([held.short] if held.short else [])]
    if held.value:
        lines = [form for one in names for form in ([one, held.value], [f"{one}={held.value}"])]
        lines += [[f"{held.short}{held.value}"], [f"-q{held.short[1:]}", held.value]] if held.short else []
    else:
        lines = [form for one in names for form in ([one], [f"{one}=true"], [f"{one}=F", one])]
    for line in lines:
        assert isinstance(command, FlagsCommand)
        before = _params([*line, "."])
        assert before == _params([".", *line])
        assert before == _params([*lines[0], *(["-q"] if line[0].startswith("-q") and name != "--quiet" else []), "."])
        assert before["context"] == "."


def _params(line: list[str]) -> dict[str, object]:
    with command.make_context("build", list(line), help_option_names=["-h", "--help"]) as context:
        found = dict(context.params)
    # A switch that was given twice was given.
    return {
        key: bool(value) if key in ("compress", "force_rm", "rm", "squash") else value for key, value in found.items()
    }


def test_no_other_flag_is_docker_buildx_s() -> None:
    """What is ours alone is listed here, so that a name is never taken by accident."""
    ours = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    long = {name for name in ours if name.startswith("--")}
    assert set(EVERY) - long == {"--help"}
    assert long - set(EVERY) == {
        *(
            "--addr",
            "--builder-file",
            "--context",
            "--from-cluster",
            "--keep",
            "--project",
            "--retries",
            "--routing-key",
            "--stack",
            "--timeout",
        ),
        "--traceback",
    }
    assert {held.short for held in EVERY.values() if held.short} - ours == {"-h"}


def test_what_holds_a_flag_is_there() -> None:
    """Each test that the table names exists."""
    for name, held in EVERY.items():
        path, _, test = held.test.partition("::")
        assert (ROOT / path).is_file(), name
        assert not test or f"def {test}(" in (ROOT / path).read_text(), name
