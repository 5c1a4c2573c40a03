"""Says what is being made."""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["Report", "to_stderr"]

Report = Callable[[str], None]
"""Takes one line."""


def to_stderr(text: str) -> None:
    """One line on standard error."""
    print(f"  {text} …", file=sys.stderr, flush=True)
