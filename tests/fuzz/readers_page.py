"""Readers of what the page shows, and of the name that it is asked by."""

from __future__ import annotations

from html.parser import HTMLParser

from buildkit_builders.page.app import host_of
from buildkit_builders.page.model import BuilderView, Owner, Snapshot
from buildkit_builders.page.render import Place, Renderer

from tests.fuzz.harness import Reader
from tests.page_views import view

__all__ = ["PAGE"]

_RENDERER = Renderer()
_LONGEST = 500
"""Bytes of a text that stands in some twenty places."""
_TAGS = {"link": 2, "script": 1, "style": 0, "img": 0, "iframe": 0, "base": 0}
"""How many of each a page has."""


class _Tags(HTMLParser):
    """Counts the tags, and raises AssertionError for what runs or leads elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.counts = dict.fromkeys(_TAGS, 0)
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.counts:
            self.counts[tag] += 1
        for name, value in attrs:
            odd = (value or "").strip().lower().startswith(("javascript:", "data:", "vbscript:"))
            if name.startswith("on") or name == "style" or (odd and name in ("href", "src", "action")):
                raise AssertionError(f"{tag} {name}={value!r}")


def _host(data: bytes) -> None:
    """A header as HTTP gives it."""
    found = host_of(data.decode("latin-1"))
    if found in ("localhost", "127.0.0.1") and b"evil" in data:
        raise AssertionError(f"{data!r} passes for {found}")


def _shown(data: bytes) -> None:
    """One text wherever somebody else writes one."""
    text = data[:_LONGEST].decode(errors="surrogateescape")
    known = view("team")
    assert known.seen
    build = known.seen.builds[0]._replace(ref=text, name=text, status=text)
    (node,) = known.seen.nodes
    pod = node.pods[0]._replace(name=text, state=text, version=text, error=text)
    node = node._replace(name=text, where=text, platforms=(text,), error=text, pods=(pod,))
    seen = known.seen._replace(builds=(build,), nodes=(node,), problems=(text,))
    found = known.found._replace(owner=Owner(text, text, text, text), stack=text, kube_context=text)
    one = BuilderView(found, seen, text)
    pages = (
        _RENDERER.index(Snapshot((one,), (text,)), Place(user=text), text),
        _RENDERER.builder(one, Place().below()),
    )
    for html in pages:
        if "\u202e" in html or "\x1b" in html:
            raise AssertionError("a sign that steers a display is shown as it is")
        if (counts := _Tags(html).counts) != _TAGS:
            raise AssertionError(f"tags: {counts}")
        html.encode()


PAGE = (
    Reader(
        "page-host",
        _host,
        (b"localhost:8080", b"[::1]:8080", b"127.0.0.1", b"evil.example"),
        (b"localhost", b"evil", b"[", b"]", b":", b"@", b"/", b"%00", b"\xff"),
        (),
    ),
    Reader(
        "page-texts",
        _shown,
        (
            b'"><script>alert(1)</script>',
            b"javascript:alert(1)",
            b"https://a.example/?q=1",
            b"ada@example.com",
            b"2027-06-30",
        ),
        (
            b"<",
            b">",
            b'"',
            b"'",
            b"&",
            b"{{",
            b"}}",
            b"{%",
            b"onload=",
            b"\xe2\x80\xae",
            b"\x1b[2J",
            b"://",
            b"@",
            b"\n",
        ),
        (),
    ),
)
