"""Readers of what a build's steps print."""

from __future__ import annotations

from buildclient.progress.logtext import LogLines
from tests.fuzz.harness import Reader

__all__ = ["PROGRESS"]


def _output(data: bytes) -> None:
    """In one piece, and in two; what comes out steers no terminal."""
    for pieces in ((data,), (data[: len(data) // 2], data[len(data) // 2 :])):
        lines = LogLines()
        found = [line.text for piece in pieces for line in lines.feed(piece, 1.0)]
        last = lines.close()
        for text in [*found, last.text if last else ""]:
            if any(sign in text for sign in "\r\n\b\x07\x9b"):
                raise AssertionError(f"{text!r} steers a terminal")


PROGRESS = (
    Reader(
        "step-output",
        _output,
        (b"10%\r20%\r\n", b"\x1b[31mred\x1b[0m\n", "größe 建\n".encode(), b"\x1b]0;title\x07\x1b[2K\x1b[3D\b\n"),
        (b"\x1b[", b"\x1b]", b"\r", b"\b", b"\x9b", b"K", b"31m", b"\n", b"\xc2\x9b"),
        (),
    ),
)
