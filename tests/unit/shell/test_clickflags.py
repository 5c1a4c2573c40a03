"""One flag, one set of spellings, in `buildclient` and `builders`."""

from __future__ import annotations

import click
import pytest
from buildkit_builders.cli.main import main as builders

from buildclient.cli.main import main as buildclient

_SAME = (
    {"--stack", "-s"},
    {"--project", "-C"},
    {"--debug", "--traceback", "-D"},
    {"--format", "--output", "-o"},
)


def options(program: click.Group, command: str) -> list[click.Option]:
    """The options of a command."""
    found = program.get_command(click.Context(program), command)
    assert found is not None
    return [option for option in found.params if isinstance(option, click.Option)]


@pytest.mark.parametrize("spellings", _SAME)
@pytest.mark.parametrize(
    ("program", "command"), [(buildclient, "ls"), (buildclient, "inspect"), (builders, "up"), (builders, "drift")]
)
def test_both_programs_take_every_spelling(program: click.Group, command: str, spellings: set[str]) -> None:
    """What one calls a flag the other takes too."""
    assert [set(option.opts) for option in options(program, command) if spellings & set(option.opts)] == [spellings]


@pytest.mark.parametrize(
    ("program", "command", "told", "untold"),
    [
        (buildclient, "ls", "--format [table|json]", "--output"),
        (buildclient, "inspect", "--format [text|json]", "-o,"),
        (buildclient, "build", "--debug", "--traceback"),
        (builders, "up", "-o, --output [text|json]", "--format"),
        (builders, "up", "-D, --debug", "--traceback"),
    ],
)
def test_help_shows_one_spelling(program: click.Group, command: str, told: str, untold: str) -> None:
    """The one that its documentation uses."""
    found = program.get_command(click.Context(program), command)
    assert found is not None
    text = found.get_help(click.Context(found, info_name=command, help_option_names=["-h", "--help"]))
    assert told in text
    assert untold not in text


@pytest.mark.parametrize("value", ["text", "table", "json"])
@pytest.mark.parametrize(("program", "command"), [(buildclient, "ls"), (buildclient, "inspect"), (builders, "ls")])
def test_both_names_of_plain_output_are_taken(program: click.Group, command: str, value: str) -> None:
    """`table` and `text` are one; a value that is neither, nor JSON, is refused."""
    option = next(option for option in options(program, command) if "-o" in option.opts)
    context = click.Context(program)
    plain = option.type.convert("text", option, context)
    assert option.type.convert(value, option, context) == ("json" if value == "json" else plain)
    with pytest.raises(click.BadParameter, match="is not one of"):
        option.type.convert("yaml", option, context)
