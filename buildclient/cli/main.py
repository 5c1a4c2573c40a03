"""`buildclient`: strings in, exit status out. Only this module exits.

A cached build is mostly start-up time. So garbage collection is off until everything is loaded, a command's module is
imported only when needed, and the process exits with os._exit, skipping interpreter teardown.
"""

from __future__ import annotations

import gc

gc.disable()

import contextlib  # noqa: E402
import errno  # noqa: E402
import importlib  # noqa: E402
import io  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402

import click  # noqa: E402

from buildclient.base.errors import BuildFailed, ClientError, UsageError  # noqa: E402
from buildclient.base.oserrors import reason  # noqa: E402
from buildclient.base.visible import visible  # noqa: E402
from buildclient.cli import debug  # noqa: E402
from buildclient.version import VERSION  # noqa: E402

__all__ = ["has_command", "main", "run", "status_of"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a write that are not ours, and name no file."""
_OF_BUILD = "failed to build: "
"""What docker buildx puts before the message of a build that failed."""
_ALIKE = 0.75
"""How alike a flag must be to be offered for one that there is not: `--rm` is no slip of `--sbom`."""
_COMMANDS = {
    "build": ("buildclient.cli.build", "Start a build."),
    "completion": ("buildclient.cli.completion", "Print what a shell needs to complete command lines."),
    "dial-stdio": ("buildclient.cli.dial_stdio", "Connect standard input and output to a builder's BuildKit."),
    "du": ("buildclient.cli.du", "Show what the pods keep on their disks."),
    "history": ("buildclient.cli.history", "Look at the records of builds."),
    "inspect": ("buildclient.cli.inspect", "Show a builder, its nodes, pods and what BuildKit reports."),
    "ls": ("buildclient.cli.ls", "List builders."),
    "stop": ("buildclient.cli.stop", "Scale a builder to no pods; the next build starts it."),
    "prune": ("buildclient.cli.prune", "Remove build cache."),
}

_ALIASES = {"b": "build"}
"""Other names of commands, as docker buildx has them."""


def has_command(name: str) -> bool:
    """Whether there is such a command."""
    return name in _COMMANDS


class _Lazy(click.Group):
    """A group whose commands are imported when they are needed; their short help stands in the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = _ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in _ALIASES:
            args = [_ALIASES[args[0]], *args[1:]]
        if args and args[0] not in _COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UsageError(f"unknown command: {args[0]}{_near(args[0], _COMMANDS) or _help('buildclient')}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 the build failed, 2 wrong usage, 100 internal failure, 102 resources exhausted, "
    "125 no builder reached, 130 interrupted.",
)
@click.version_option(VERSION, message="%(prog)s %(version)s")
@debug.debug_option
@click.option("--builder", metavar="NAME", default="", help="The builder, as behind the command.")
@click.pass_context
def main(ctx: click.Context, builder: str) -> None:
    """Build images with BuildKit on Kubernetes, without Docker.

    \b
    Examples:
      buildclient build -t registry.example/app:1 --push .
      buildclient build --platform linux/amd64,linux/arm64 -t registry.example/app:1 --push .
      buildclient inspect --bootstrap
    """
    ctx.meta["buildclient.builder"] = builder


def run(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and leaves the process."""
    # None where it was closed when the process began. What is written to a closed standard output would be lost, so
    # it is opened for reading alone; progress and messages may go nowhere.
    for name, mode in (("stdin", "r"), ("stdout", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    status = status_of(sys.argv[1:] if arguments is None else list(arguments))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            # Whoever reads has enough.
            status = status or 1
        except OSError as error:
            status = status or _say(f"ERROR: cannot write to standard output: {(error.strerror or '').lower()}", 1)
    os._exit(status)


def status_of(arguments: list[str]) -> int:
    """Runs the command line; gives its exit status."""
    if debug.asked(os.environ):
        debug.enable()
    try:
        status = _run(arguments)
        if debug.enabled():
            import logging

            logging.getLogger("buildclient.cli").debug("exit status %d", status)
        return status
    finally:
        debug.disable()


def _run(arguments: list[str]) -> int:
    if "_BUILDCLIENT_COMPLETE" in os.environ:
        from buildclient.shell.completion import complete

        if (completed := complete(main, "buildclient", os.environ)) is not None:
            return completed
    if not arguments:  # click's own answer to that differs between its versions
        return _say(main.get_help(main.make_context("buildclient", [], resilient_parsing=True)), 2)
    try:
        result = main.main(arguments, prog_name="buildclient", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (click.Abort, KeyboardInterrupt):
        from buildclient.cli.running import cancelled_build

        return _say(*_words(cancelled_build()))
    except BrokenPipeError:
        return 1
    except Exception as error:
        if debug.enabled() and not isinstance(error, click.UsageError):
            import traceback

            traceback.print_exc()
        return _say(*_words(error))


def _words(error: Exception) -> tuple[str, int]:
    """What to say of an error, its last line starting with `ERROR: `, and the exit status."""
    if isinstance(error, click.UsageError):
        return f"ERROR: {_usage(error)}", 2
    if isinstance(error, click.ClickException):
        return f"ERROR: {error.format_message()}", 1
    if isinstance(error, ClientError):
        return f"{_above(error)}ERROR: {_OF_BUILD if error.of_build else ''}{error}", error.exit_status
    if isinstance(error, OSError) and error.filename is not None:
        return f"ERROR: {_OF_BUILD}{error.filename}: {reason(error)}", 1
    if isinstance(error, io.UnsupportedOperation) and not sys.stdout.writable():
        return "ERROR: cannot write to standard output: it is closed", 1
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"ERROR: cannot write: {reason(error)}", 1
    return f"ERROR: {type(error).__name__}: {error} (a fault of buildclient; -D shows where)", 100


def _above(error: ClientError) -> str:
    """Lines above the message: what the flag at fault takes, or the lines of the Dockerfile that failed."""
    if isinstance(error, UsageError) and error.flag:
        from buildclient.cli.hints import takes

        return takes(error.flag)
    return "".join(f"{source}\n" for source in error.sources) if isinstance(error, BuildFailed) else ""


def _usage(error: click.UsageError) -> str:
    """Click's errors in one line, in the words of docker buildx where it has some."""
    command = error.ctx.command_path if error.ctx else ""
    if isinstance(error, click.NoSuchOption):
        name = error.option_name if error.option_name.startswith("-") else f"--{error.option_name}"
        known = [
            flag
            for option in (error.ctx.command.params if error.ctx else ())
            for flag in option.opts
            if not getattr(option, "hidden", False) and flag.startswith("--") == name.startswith("--")
        ]
        return f"unknown flag: {name}{_near(name, known) or _help(command)}"
    if isinstance(error, click.BadOptionUsage) and "requires an argument" in error.message:
        return f"flag needs an argument: {error.option_name}"
    if isinstance(error, click.MissingParameter) and error.ctx:
        wanted = error.param.metavar or error.param.human_readable_name if error.param else "more"
        return f"{command} wants {wanted}{_help(command)}"
    message = error.format_message().rstrip(".")
    return f"{message[:1].lower()}{message[1:]}{_help(command)}"


def _help(command: str) -> str:
    return f"; see {command} --help" if command else ""


def _near(name: str, known: Sequence[str] | dict[str, tuple[str, str]]) -> str:
    import difflib

    # The dashes, which all have, make short names no more alike.
    bare = {one.lstrip("-"): one for one in known}
    near = difflib.get_close_matches(name.lstrip("-"), list(bare), n=1, cutoff=_ALIKE)
    return f"; did you mean {bare[near[0]]}?" if near else ""


def _say(text: str, status: int) -> int:
    # Texts of users, daemons, registries and clusters stand in it.
    with contextlib.suppress(OSError):
        print(visible(text), file=sys.stderr)
    return status


if __name__ == "__main__":
    run()
