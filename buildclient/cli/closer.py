"""The command that shows more of a build that failed."""

from __future__ import annotations

import shlex

from buildclient.progress.state import Progress

__all__ = ["closer_look"]


def closer_look(progress: Progress, where: str) -> str:
    """A line with the command that shows the whole log of the build that failed; empty where no step failed.

    `where` are the flags that lead to its builder.
    """
    from buildclient.cli.main import has_command

    failed = progress.failed()
    solve = progress.solves.get((failed[0].build, failed[0].node)) if failed else None
    if solve is None or not has_command("history"):
        return ""
    return f"View its log: buildclient history logs {shlex.quote(solve.ref)}{where and ' '}{where}"
