"""`buildclient completion`: what a shell reads to complete command lines."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", metavar="{bash|fish|zsh}", type=click.Choice(["bash", "fish", "zsh"]))
def command(shell: str) -> int:
    """Print completion for a shell.

    \b
    Examples:
      source <(buildclient completion bash)
      buildclient completion fish > ~/.config/fish/completions/buildclient.fish
    """
    from click.shell_completion import get_completion_class

    from buildclient.cli.main import main

    found = get_completion_class(shell)
    assert found is not None
    print(found(main, {}, "buildclient", "_BUILDCLIENT_COMPLETE").source())
    return 0
