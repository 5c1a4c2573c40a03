"""`builders`: stacks from the command line, a thin layer over buildkit_builders.automation.

Results go to standard output, Pulumi's progress to standard error. Exit status: 0 done, 1 failed, 2 wrong usage,
3 `drift` found some, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

import click

from buildclient.base.visible import visible
from buildkit_builders import debug
from buildkit_builders.cli import comment as _comment  # noqa: F401 (adds its command to claims)
from buildkit_builders.cli.claims import claims
from buildkit_builders.cli.commands import COMMANDS, debug_option
from buildkit_builders.cli.serve import serve

__all__ = ["main", "run"]

_EXTRAS = {
    "pulumi": "infra",
    "pulumi_kubernetes": "infra",
    "jinja2": "infra,page",
    "starlette": "infra,page",
    "uvicorn": "infra,page",
}
"""By module, the extras that bring it; the client alone needs none."""


@click.group(
    commands={**COMMANDS, "claims": claims, "serve": serve},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 drift was found, 130 interrupted.",
)
@click.version_option(package_name="buildkit-builders", message="%(prog)s %(version)s")
@debug_option
def main() -> None:
    """Provision BuildKit builders on Kubernetes.

    \b
    Examples:
      builders preview --stack dev
      builders up --stack dev --yes
      builders drift --stack prod || echo "status $?"
      builders destroy --stack dev --yes
    """


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug.enable_if_asked(os.environ, arguments)
    try:
        # what CI runners and init systems send, and a terminal that goes away: Pulumi has a lock to give back
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                signal.signal(number, signal.default_int_handler)
        status = _status(arguments)
        # there is nothing to give back while the interpreter is taken apart
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        status = 130
    _flush()
    sys.exit(status)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream:
                stream.flush()
        except OSError:
            # or the interpreter tries again, says so, and ends with a status of its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _status(arguments: Sequence[str]) -> int:
    if "_BUILDERS_COMPLETE" in os.environ:
        from buildclient.shell.completion import complete

        if (completed := complete(main, "builders", os.environ)) is not None:
            return completed
    if not arguments:  # click's own answer to that differs between its versions
        click.echo(main.get_help(main.make_context("builders", [], resilient_parsing=True)), err=True)
        return 2
    try:
        result = main.main(list(arguments), prog_name="builders", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        # one line: what is wrong, the nearest that is right, and where to read on
        command = error.ctx.command_path if error.ctx else "builders"
        _say(f"ERROR: {_sentence(error)} See {command} --help")
        return 2
    except (click.Abort, KeyboardInterrupt):
        _say("ERROR: interrupted")
        return 130
    except click.ClickException as error:
        _say(f"ERROR: {error.format_message()}")
        return 1
    except Exception as error:
        if debug.enabled():
            import traceback

            traceback.print_exc()
        if isinstance(error, ModuleNotFoundError) and (extras := _EXTRAS.get((error.name or "").partition(".")[0])):
            _say(f"ERROR: {error.name} is not installed: pip install 'buildkit-builders[{extras}]'")
            return 1
        from buildkit_builders.results import StackError

        fault = "" if isinstance(error, StackError) else f"{type(error).__name__}: "
        _say(f"ERROR: {fault}{error}" + (" (-D shows where)" if fault else ""))
        return 1


def _say(text: str) -> None:
    # the status counts, whether or not standard error is still there
    with contextlib.suppress(OSError):
        click.echo(visible(text), err=True)


def _sentence(error: click.UsageError) -> str:
    said = " ".join(error.format_message().split())
    return said if said.endswith((".", "?")) else f"{said}."


if __name__ == "__main__":
    run()
