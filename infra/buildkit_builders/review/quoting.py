"""Text that others wrote, as Markdown that shows it and does nothing: code, without links, mentions or commands in it.

GitHub and GitLab render CommonMark with tables. In code nothing is interpreted; kept out is what would end the code.
"""

from __future__ import annotations

import re

from buildclient.base.visible import one_line, visible

__all__ = ["block", "cell", "code"]

_MOST = 300
"""Characters of a text within a line; an error's whole text goes into a block."""


def code(text: str, most: int = _MOST) -> str:
    """A code span on one line, at most so many characters of the text."""
    text = one_line(text).replace("\t", " ")
    text = text if len(text) <= most else text[: most - 1] + "…"
    if not text.strip():
        return "` `"
    fence = "`" * (_longest_run(text) + 1)
    # A space on each side is taken off again, and keeps a backtick of the text from the fence.
    return f"{fence} {text} {fence}"


def cell(text: str) -> str:
    """The same for a cell of a table, which a vertical bar would end even in code."""
    return code(text.replace("|", "¦"), 100)


def block(text: str, most: int) -> str:
    """A code block, at most about so many characters of the text."""
    text = visible(text).strip("\n")
    text = text if len(text) <= most else text[: most - 1] + "…"
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
