"""`-D` and BUILDCLIENT_DEBUG: what the client does, on standard error, one line an event.

Every room logs to a logger of its own below `buildclient` (`buildclient.kube`, `buildclient.registry`, …). No secret is
logged: not a token, a password, a header, the output of a helper, a build argument or a URL's user part.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from buildclient.base.clickflags import SpelledOption
from buildclient.base.gotext import parse_bool
from buildclient.base.visible import one_line

if TYPE_CHECKING:
    import logging

__all__ = ["asked", "debug_option", "disable", "enable", "enabled", "held"]

_ROOT = "buildclient"
_handler: logging.Handler | None = None
_held: list[str] | None = None


def asked(environ: Mapping[str, str]) -> bool:
    """Whether BUILDCLIENT_DEBUG asks for the log: any value but those that Go's ParseBool takes for false."""
    value = environ.get("BUILDCLIENT_DEBUG", "")
    return bool(value) and parse_bool(value, default=True)


def enabled() -> bool:
    """Whether the log is on."""
    return _handler is not None


def enable() -> None:
    """Switches the log on."""
    global _handler
    if _handler is not None:
        return
    import logging

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _write(_line(record))

    _handler = Lines()
    logger = logging.getLogger(_ROOT)
    logger.addHandler(_handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def disable() -> None:
    """Switches the log off."""
    global _handler
    if _handler is None:
        return
    import logging

    logger = logging.getLogger(_ROOT)
    logger.removeHandler(_handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    _handler = None


@contextlib.contextmanager
def held(hold: bool) -> Iterator[None]:
    """Keeps lines back until the block's end, as docker buildx does, where they would tear a live display."""
    global _held
    if not hold or not enabled():
        yield
        return
    _held = []
    try:
        yield
    finally:
        lines, _held = _held, None
        for line in lines:
            _write(line)


def debug_option(command: Any) -> Any:
    """Adds `-D`, which may stand before the command or behind it."""

    def given(_: click.Context, __: click.Parameter, value: bool) -> None:
        if value:
            enable()

    text = "Log what is done to standard error, and show where an error arose (also BUILDCLIENT_DEBUG=1)."
    names = ("-D", "--debug", "--traceback", "debug")
    settings: dict[str, Any] = {"is_flag": True, "expose_value": False, "is_eager": True, "callback": given}
    return click.option(*names, cls=SpelledOption, shown=2, help=text, **settings)(command)


def _line(record: logging.LogRecord) -> str:
    """`HH:MM:SS.mmm kube: text`, on one line whatever the text holds."""
    import time

    clock = time.strftime("%H:%M:%S", time.localtime(record.created))
    text = one_line(" ".join(record.getMessage().split()))
    return f"{clock}.{int(record.msecs):03d} {record.name.removeprefix(f'{_ROOT}.')}: {text}\n"


def _write(line: str) -> None:
    if _held is not None:
        _held.append(line)
        return
    # A log that cannot be written is no reason to fail.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line)
        sys.stderr.flush()
