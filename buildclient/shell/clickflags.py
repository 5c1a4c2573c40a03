"""Flags that `buildclient` and `builders` have in common: every spelling of either is taken by both, one is shown."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["FormatType", "SpelledOption"]

_PLAIN = ("text", "table")
"""What is no JSON is called either, whichever of the two a command prints."""


class SpelledOption(click.Option):
    """An option of several spellings; help shows the first `shown` of them."""

    def __init__(self, names: list[str], *, shown: int = 1, **settings: Any) -> None:
        """`names` are as click takes them, its destination last."""
        super().__init__(names, **settings)
        self._shown = shown

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The line of help, without the other spellings."""
        every = self.opts
        self.opts = every[: self._shown]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = every


class FormatType(click.Choice[str]):
    """`text` (or `table`) and `json`; gives the name that the command has for it."""

    def __init__(self, plain: str) -> None:
        """`plain` is the command's name for what is no JSON."""
        super().__init__([plain, "json"])
        self._plain = plain

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The format of a text. Raises click's BadParameter."""
        return super().convert(self._plain if value in _PLAIN else value, param, ctx)
