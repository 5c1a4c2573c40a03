"""Text that others wrote, made safe for a terminal.

Names, messages and labels come from daemons, registries, clusters, helpers and files. A control character in one
could move the cursor, retitle the window or hide what stands before it; a bidirectional override turns the order of
what is read. Both are shown as escapes, `\\x1b`, `\\u202e`.
"""

from __future__ import annotations

import re

from buildclient.contract.patterns import pattern

__all__ = ["log_text", "one_line", "visible"]

# C0 without tab, DEL, C1; line and paragraph separators; bidirectional marks, overrides and isolates (Unicode UAX #9);
# surrogates, which stand for bytes that are no UTF-8.
_UNSAFE = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_ESCAPED = pattern(f"[{_UNSAFE}]")
_LINE_ESCAPED = pattern(f"[{_UNSAFE}\n]")
_USERINFO = pattern(r"\b(https?://)[^\s/?#@\"']+@|\b([a-z][a-z0-9+.-]*://)[^\s/?#@:\"']*:[^\s/?#@\"']*@", re.I)
_RAW = 0xDC00
"""What Python adds to a byte that is no UTF-8 (`surrogateescape`)."""
_RESET = "\x1b[0m"
_MASK = "xxxxx"
"""What BuildKit writes instead of a password."""
# ECMA-48: CSI, OSC and other strings with their ends, and two-byte sequences; then any control that is left.
_SEQUENCE = pattern(
    r"(\x1b\[[0-9;:]*m)|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]"
    f"|[{_UNSAFE}]"
)


def visible(text: str) -> str:
    """The text with what is unsafe as escapes, and passwords in URLs masked; line breaks and tabs stay."""
    return _shown(text.replace("\r\n", "\n"), _ESCAPED)


def one_line(text: str) -> str:
    """As `visible`, line breaks as escapes too: for names, and the cells of a table."""
    return _shown(text, _LINE_ESCAPED)


def log_text(text: str) -> str:
    """A line of a program's output: colours stay, up to the line's end; all else that steers a terminal is left out."""
    if text.isprintable():
        return text
    shown = _SEQUENCE.sub(lambda match: match[1] or "", text)
    # One of the "colours" hides all that follows.
    return f"{shown}{_RESET}" if "\x1b" in shown and not shown.endswith((_RESET, "\x1b[m")) else shown


def _shown(text: str, unsafe: re.Pattern[str]) -> str:
    if not text.isprintable():
        text = unsafe.sub(lambda match: _escape(match[0]), text)
    if "://" in text and "@" in text:
        text = _USERINFO.sub(lambda match: f"{match[1] or match[2]}{_MASK}@", text)
    return text


def _escape(sign: str) -> str:
    code = ord(sign)
    if _RAW <= code < _RAW + 0x100:
        code -= _RAW
    elif code > 0x7F:
        return f"\\u{code:04x}"
    return "\\n" if sign == "\n" else f"\\x{code:02x}"
