"""`builders`: stacks from the command line, a thin face on infra.automation.

Results go to standard output, Pulumi's progress to standard error. Exit status: 0 done, 1 failed, 2 wrong usage,
3 `drift` found some, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from infra.cli.commands import COMMANDS

__all__ = ["main", "run"]


@click.group(
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BUILDERS"},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 drift was found, 130 interrupted.",
)
@click.option("--traceback", "-D", is_flag=True, help="Show where in the program an error arose.")
@click.pass_context
def main(context: click.Context, traceback: bool) -> None:
    """Provision BuildKit builders on Kubernetes.

    \b
    Examples:
      builders preview --stack dev
      builders up --stack dev --yes
      builders drift --stack prod || echo "status $?"
    """
    context.obj = traceback


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    sys.exit(_status(arguments))


def _status(arguments: Sequence[str]) -> int:
    try:
        result = main.main(list(arguments), prog_name="builders", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        click.echo(f"ERROR: {error.format_message()}", err=True)
        click.echo("hint: builders --help", err=True)
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("ERROR: interrupted", err=True)
        return 130
    except click.ClickException as error:
        click.echo(f"ERROR: {error.format_message()}", err=True)
        return 1
    except Exception as error:
        if "-D" in arguments or "--traceback" in arguments:
            raise
        click.echo(f"ERROR: {error}", err=True)
        return 1


if __name__ == "__main__":
    run()
