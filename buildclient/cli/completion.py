"""`buildclient completion`: what a shell reads to complete command lines."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", metavar="{bash|fish|zsh}", type=click.Choice(["bash", "fish", "zsh"]))
def command(shell: str) -> int:
    """Print completion for a shell.

    Completes flags and their values: builders, stacks, contexts of the kubeconfig, platforms, stages, files. Values
    come from this machine's disk; nothing is asked over the network.

    \b
    Examples:
      source <(buildclient completion bash)
      buildclient completion fish > ~/.config/fish/completions/buildclient.fish
    """
    from buildclient.cli.main import main
    from buildclient.shell.completion import script

    print(script(main, "buildclient", shell))
    return 0
