"""Completion of command lines in a shell, for `buildclient` and `builders`.

The shell's function runs the program with a variable set, and click answers with what may stand at the cursor. Values
come from this machine's disk alone: no network, and no Pulumi CLI, whose start takes a second.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from buildclient.discovery.pulumi_state import ProjectFolder

__all__ = ["SHELLS", "complete", "files", "folders", "project_of", "script", "stacks", "starting"]

SHELLS = ("bash", "fish", "zsh")
_BREAKS = ":=@"
"""Characters at which bash splits a word, though no shell syntax does."""
_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' completion type value
    COMPREPLY=()
    for completion in $(env COMP_WORDS="${COMP_LINE:0:$COMP_POINT}" \\
        %(complete_var)s_WORD="${COMP_WORDS[COMP_CWORD]}" %(complete_var)s=bash_complete "$1"); do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """Bash, with names that hold a `:` or `@` (clusters of EKS, users of kubeadm), which bash takes for several words.

    The line up to the cursor is read as the shell would; the answer lacks what bash has in the words before.
    """

    source_template = _BASH

    def source(self) -> str:
        """The shell's function; bash is not asked for its version, which another shell than this may run."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor's, and that one as far as the cursor."""
        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(line)[1:]
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words, incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Click's, cut to the part of the word that bash replaces."""
        seen = os.environ.get(f"{self.complete_var}_WORD", "").strip(_BREAKS)
        typed = incomplete.partition("=")[2] if incomplete.startswith("--") and "=" in incomplete else incomplete
        before = len(typed) - len(seen) if typed.endswith(seen) and any(mark in typed for mark in _BREAKS) else 0
        found = super().get_completions(args, incomplete)
        for item in found:
            if item.type == "plain":
                item.value = item.value[before:]
        return found


def script(program: click.Command, name: str, shell: str) -> str:
    """What a shell evaluates to complete the lines of program `name`."""
    add_completion_class(_Bash, "bash")
    found = get_completion_class(shell)
    assert found is not None
    return found(program, {}, name, _variable(name)).source()


def complete(program: click.Command, name: str, environ: Mapping[str, str]) -> int | None:
    """Answers a shell that asks for completions; the exit status, or None where none asks.

    A line that cannot be completed gives nothing: an error would be written into the line that is being typed.
    """
    if not (instruction := environ.get(_variable(name), "")):
        return None
    add_completion_class(_Bash, "bash")
    shell, _, what = instruction.partition("_")
    found = get_completion_class(shell)
    if found is None or what != "complete":
        return 1
    with contextlib.suppress(Exception):
        print(found(program, {}, name, _variable(name)).complete())
        sys.stdout.flush()
    return 0


def stacks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The project's stacks: those with a state in a file backend, or with a config file."""
    project = project_of(ctx)
    return starting(incomplete, project.stacks_on_disk() if project else ())


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, by the shell itself."""
    return [CompletionItem(incomplete, type="file")]


def folders(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Folders, by the shell itself."""
    return [CompletionItem(incomplete, type="dir")]


def project_of(ctx: click.Context) -> ProjectFolder | None:
    """The Pulumi project that the line means."""
    given: Any = ctx.params.get("project")
    return ProjectFolder.find(given if isinstance(given, str) else "", os.environ)


def starting(incomplete: str, values: Iterable[str]) -> list[CompletionItem]:
    """Those that begin with what was typed."""
    return [CompletionItem(value) for value in values if value.startswith(incomplete)]


def _variable(name: str) -> str:
    return f"_{name.upper()}_COMPLETE"
