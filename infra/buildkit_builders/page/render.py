"""Makes HTML of a snapshot, by the templates beside it.

Every text is escaped; control characters and marks that turn the order of what is read are shown as escapes, and
passwords in URLs are masked (`buildclient.base.visible`). Times are relative to the moment of rendering, with the exact
one in a `<time>`.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from buildclient.base.units import human_size, short_duration
from buildclient.base.visible import one_line
from buildkit_builders.page.model import BuilderView, Owner, Snapshot, cached_share

__all__ = ["ASSETS", "CONTENT_POLICY", "Place", "Renderer", "asset", "copy_lines"]

ASSETS = {
    "icon.svg": "image/svg+xml",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
"""The page's own files, with their types."""
CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'"
)
"""The Content-Security-Policy: nothing inline, nothing from elsewhere."""
_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_DAY = 86400


class Place(NamedTuple):
    """Where a page stands: what its links begin and end with."""

    root: str = "./"
    """The way to the first page."""
    suffix: str = ""
    """The ending of a builder's page: `.html` among files."""
    live: float = 0.0
    """Seconds between two updates by JavaScript; 0 for none."""
    user: str = ""
    """Who looks, as a reverse proxy says."""

    def below(self) -> Place:
        """The place of a page one folder further down."""
        return self._replace(root="../")


class Renderer:
    """Renders pages and the parts of them that are updated."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("buildkit_builders.page"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_harmless,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            age=_age, ago=_ago, size=human_size, duration=short_duration, percent=_percent, moment=_moment
        )
        self._templates.globals.update(
            asset=lambda name: f"assets/{name}?{asset(name)[1]}",
            cached_share=cached_share,
            contact_link=contact_link,
            content_policy=CONTENT_POLICY,
            copy_lines=copy_lines,
            expired=_expired,
        )

    def index(self, snapshot: Snapshot, place: Place, query: str = "") -> str:
        """The page of all builders, or of those that a search finds."""
        return self._render("index.html", place, query=query, **_listed(snapshot, query))

    def rows(self, snapshot: Snapshot, place: Place, query: str = "") -> str:
        """The part of the first page that changes."""
        return self._render("rows.html", place, query=query, **_listed(snapshot, query))

    def builder(self, view: BuilderView, place: Place) -> str:
        """The page of one builder."""
        return self._render("builder.html", place, view=view)

    def facts(self, view: BuilderView, place: Place) -> str:
        """The part of a builder's page that changes."""
        return self._render("facts.html", place, view=view)

    def message(self, title: str, text: str, place: Place) -> str:
        """A page that only says something."""
        return self._render("message.html", place, title=title, text=text)

    def _render(self, template: str, place: Place, **values: Any) -> str:
        return self._templates.get_template(template).render(place=place, now=time.time(), **values)


@cache
def asset(name: str) -> tuple[bytes, str]:
    """A file of ASSETS, and a text that changes with it."""
    data = (files("buildkit_builders.page") / "assets" / name).read_bytes()
    return data, hashlib.sha256(data).hexdigest()[:12]


def copy_lines(view: BuilderView) -> tuple[str, ...]:
    """What to type to build on a builder."""
    output = view.found.output
    where = shlex.quote(f"{output.namespace}/{output.name}")
    platforms = ",".join(dict.fromkeys(str(platform) for node in output.nodes for platform in node.platforms))
    chosen = f" --platform {shlex.quote(platforms)}" if platforms else ""
    return (f"export BUILDX_BUILDER={where}", f"buildclient build{chosen} --push -t REGISTRY/IMAGE:TAG .")


def contact_link(owner: Owner) -> str:
    """Where a contact leads to: a page over TLS or an address of mail; empty for anything else."""
    if owner.contact.startswith("https://") and "@" not in owner.contact:
        return owner.contact
    return f"mailto:{owner.contact}" if _MAIL.fullmatch(owner.contact) else ""


def _listed(snapshot: Snapshot, query: str) -> Mapping[str, Any]:
    views = snapshot.builders
    return {
        "snapshot": snapshot,
        "views": snapshot.search(query),
        "counts": {
            "running": sum(view.running or 0 for view in views),
            "trouble": sum(view.state == "trouble" for view in views),
            "unreachable": sum(view.state == "unreachable" for view in views),
            "drifted": sum(view.drifted for view in views),
        },
    }


def _harmless(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _ago(moment: float, now: float) -> Markup:
    """How long ago, with the moment itself for machines and on pointing."""
    return Markup("{} ago").format(_age(moment, now))


def _age(moment: float, now: float) -> Markup:
    """As `_ago`, without the word."""
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(
        _moment(moment), _coarse(max(0.0, now - moment))
    )


def _moment(moment: float) -> str:
    return datetime.fromtimestamp(max(0.0, moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _coarse(seconds: float) -> str:
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (2 * _DAY, 3600, "h"), (10**12, _DAY, "d")):
        if seconds < limit:
            # Tens of seconds: a page that is read must not change at every look.
            return f"{int(seconds // 10) * 10 or '<10'} s" if unit == 1 else f"{int(seconds // unit)} {name}"
    return "long"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _expired(owner: Owner) -> bool:
    try:
        return date.fromisoformat(owner.expires) < datetime.now(UTC).date()
    except ValueError:
        return False
