"""Regular expressions that are compiled at their first use: a command uses few of those that its modules have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["pattern"]

_Text = TypeVar("_Text", str, bytes)


class _Pattern:
    """Takes on the methods of the compiled expression, one by one, as they are asked for."""

    def __init__(self, text: str | bytes, flags: int = 0) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # `re` keeps what it has compiled.
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)
        return found


if TYPE_CHECKING:

    def pattern(text: _Text, flags: int = 0) -> re.Pattern[_Text]:
        """Returns what has the methods of `re.compile(text, flags)`; a fault in the text shows at its first use."""

else:
    pattern = _Pattern
