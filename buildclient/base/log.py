"""The log of a command line: one line an event on standard error, `HH:MM:SS.mmm name: text`.

`logging` is imported once a log is switched on. A log that cannot be written is no reason to fail.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from buildclient.base.gotext import parse_bool
from buildclient.base.visible import one_line

if TYPE_CHECKING:
    import logging

__all__ = ["LineLog", "asked"]


def asked(environ: Mapping[str, str], variable: str) -> bool:
    """Whether a variable asks for the log: any value but those that Go's ParseBool takes for false."""
    value = environ.get(variable, "")
    return bool(value) and parse_bool(value, default=True)


class LineLog:
    """What the loggers below one or more packages say, on standard error."""

    def __init__(self, *packages: str) -> None:
        self._packages = packages
        self._handler: logging.Handler | None = None
        self._held: list[str] | None = None

    @property
    def enabled(self) -> bool:
        """Whether the log is on."""
        return self._handler is not None

    def enable(self) -> None:
        """Switches the log on."""
        if self._handler is not None:
            return
        import logging

        log = self

        class Lines(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                log._write(log._line(record))

        self._handler = Lines()
        for logger in map(logging.getLogger, self._packages):
            logger.addHandler(self._handler)
            logger.setLevel(logging.DEBUG)
            logger.propagate = False

    def disable(self) -> None:
        """Switches the log off."""
        if self._handler is None:
            return
        import logging

        for logger in map(logging.getLogger, self._packages):
            logger.removeHandler(self._handler)
            logger.setLevel(logging.NOTSET)
            logger.propagate = True
        self._handler = None

    @contextlib.contextmanager
    def held(self, hold: bool) -> Iterator[None]:
        """Keeps lines back until the block's end, as docker buildx does, where they would tear a live display."""
        if not hold or not self.enabled:
            yield
            return
        self._held = []
        try:
            yield
        finally:
            lines, self._held = self._held, None
            for line in lines:
                self._write(line)

    def _line(self, record: logging.LogRecord) -> str:
        """`HH:MM:SS.mmm kube: text`, on one line whatever the text holds."""
        import time

        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = one_line(" ".join(record.getMessage().split()))
        package = next((one for one in self._packages if record.name.startswith(f"{one}.")), "")
        return f"{clock}.{int(record.msecs):03d} {record.name.removeprefix(f'{package}.')}: {text}\n"

    def _write(self, line: str) -> None:
        if self._held is not None:
            self._held.append(line)
            return
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line)
            sys.stderr.flush()
