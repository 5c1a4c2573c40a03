"""A build's record as a page of HTML that needs nothing else."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from buildclient.base.units import short_duration
from buildclient.base.visible import log_text, one_line
from buildclient.cli.records import record_text
from buildclient.contract.patterns import pattern
from buildclient.daemon.buildname import build_name
from buildclient.progress.events import Event, Log, Vertex
from buildclient.upkeep import replay_record

if TYPE_CHECKING:
    from buildclient.api import Builder
    from buildclient.upkeep import FoundRecord

__all__ = ["page_name", "record_page"]

_MOST = 256 << 10
"""Bytes of a step's output that are shown: the last ones."""
_FILE_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.4rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #d8dee4;vertical-align:top}td:last-child{text-align:right;white-space:nowrap}
pre{background:#f6f8fa;padding:.8rem;overflow:auto;max-height:30rem;font-size:13px}
.error{color:#b42318}.cached{color:#57606a}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}pre{background:#161b22}td,th{border-color:#30363d}}
"""


class _Steps:
    """The steps of a build, in the order in which they began."""

    def __init__(self) -> None:
        self.vertices: dict[str, Vertex] = {}
        self.logs: dict[str, bytearray] = {}

    def take(self, event: Event) -> None:
        if isinstance(event, Vertex):
            self.vertices[event.digest] = event
        elif isinstance(event, Log):
            log = self.logs.setdefault(event.vertex, bytearray())
            log.extend(event.data)
            del log[: max(0, len(log) - _MOST)]


def page_name(ref: str) -> str:
    """Returns the file name of a build's page: a daemon's id may be any text, such as a path."""
    if not _FILE_NAME.fullmatch(ref):
        ref = hashlib.sha256(ref.encode(errors="surrogatepass")).hexdigest()
    return f"{ref}.html"


async def record_page(builder: Builder, found: FoundRecord) -> str:
    """Returns the page: what the build was given, its steps with their times and output. Raises ClientError."""
    steps = _Steps()
    await replay_record(builder, found, steps.take)
    return "".join(_page(found, steps))


def _page(found: FoundRecord, steps: _Steps) -> Iterator[str]:
    title = escape(one_line(build_name(found.record.attrs) or found.record.ref))
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    yield f"<h1>{title}: {found.record.status.lower()}</h1>"
    yield f"<pre>{escape(record_text(found, (), ('', ()), time.time()))}</pre>"
    yield "<table><tr><th>Step</th><th>Time</th></tr>"
    begun = [one for one in steps.vertices.values() if one.started is not None]
    for one in sorted(begun, key=lambda vertex: vertex.started or 0.0):
        kind = "error" if one.error else "cached" if one.cached else ""
        took = short_duration((one.completed or time.time()) - (one.started or 0.0))
        yield f'<tr class="{kind}"><td>{escape(one_line(one.name))}'
        if one.error:
            yield f"<br>{escape(one_line(one.error))}"
        if log := steps.logs.get(one.digest):
            opened = " open" if one.error else ""
            lines = "\n".join(_plain(line) for line in log.decode(errors="replace").splitlines())
            yield f"<details{opened}><summary>output</summary><pre>{escape(lines)}</pre></details>"
        yield f"</td><td>{'CACHED' if one.cached else took}</td></tr>"
    yield "</table></html>\n"


def _plain(line: str) -> str:
    """A line without colours."""
    return re.sub(r"\x1b\[[0-9;:]*m", "", log_text(line))
