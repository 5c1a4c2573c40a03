"""The page's answers over a real socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from buildkit_builders.page.model import Owner, Snapshot

from tests.page_views import HOSTILE, Served, served, snapshot, view


@pytest.fixture(scope="module")
def page() -> Iterator[Served]:
    """The page of twenty builders."""
    shown = snapshot(20)
    with served(lambda: shown) as one:
        yield one


class Reader(HTMLParser):
    """What a browser without JavaScript has of a page: its rows, links, scripts and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        self.text += data

    @property
    def rows(self) -> list[str]:
        """The ids of the builders' rows."""
        return [str(attrs["id"]) for tag, attrs in self.tags if tag == "tr" and "data-text" in attrs]


def test_every_builder_is_a_row_with_its_owner_load_cache_and_last_build(page: Served) -> None:
    """The first page lists all builders and what they do."""
    read = Reader(page.get("/").text)
    assert len(read.rows) == 20
    for text in ("team-team-000", "v0.34.2", "3GB", "drifted", "unreachable", "50% cached", "19 builds running"):
        assert text in read.text


def test_the_server_searches_for_all_words(page: Served) -> None:
    """Without JavaScript `?q=` finds a builder by words of its name, team, state and version, in any order."""
    assert len(Reader(page.get("/?q=V0.34.2+team-004").text).rows) == 1
    assert len(Reader(page.get("/?q=drifted").text).rows) == 2
    assert len(Reader(page.get("/?q=drifted+team-003").text).rows) == 1
    nothing = Reader(page.get("/?q=no-such").text)
    assert not nothing.rows
    assert "No builder matches." in nothing.text


def test_a_builders_page_says_how_to_build_there_and_what_was_built(page: Served) -> None:
    """The lines to copy, the nodes, the builds with their cached share, and the drift with its age."""
    drifted = snapshot(20).builders[3]
    read = Reader(page.get(f"/builder/{drifted.found.id}").text)
    for text in (
        "export BUILDX_BUILDER=team-003/kube",
        "buildclient build --platform linux/amd64 --push",
        "builder-amd64-1",
        "worker-1",
        "4 builds a pod · 3 waiting",
        "75% of the steps",
        "spec.replicas: 2 -> 3",
        "2 h ago",
    ):
        assert text in read.text
    assert page.get("/builder/none").status == 404


def test_names_that_others_wrote_are_escaped_everywhere() -> None:
    """A hostile name, owner, contact and error make no tag, no attribute and no turned text."""
    hostile = Owner(HOSTILE, HOSTILE, "javascript:alert(1)", HOSTILE)
    one = view("team")._replace(error=HOSTILE)
    one = one._replace(found=one.found._replace(owner=hostile, stack=HOSTILE, kube_context=HOSTILE))
    shown = Snapshot((one,), (HOSTILE,))
    with served(lambda: shown) as page:
        for path in ("/", f"/builder/{one.found.id}", f"/?q={'%22%3E%3Cscript%3E'}"):
            text = page.get(path).text
            scripts = [attrs for tag, attrs in Reader(text).tags if tag == "script"]
            assert [list(attrs) for attrs in scripts] == [["src", "defer"]]
            assert "\u202e" not in text
            assert 'href="javascript:' not in text
        assert "&lt;script&gt;" in text


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(page: Served) -> None:
    """The policy allows only the page's own files, and the page has no style, script or handler in it."""
    answer = page.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for tag, attrs in Reader(answer.text).tags:
        assert tag != "style"
        assert not {name for name in attrs if name == "style" or name.startswith("on")}
        for name in ("src", "href", "action"):
            assert ":" not in (attrs.get(name) or "")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


def test_another_host_name_is_refused(page: Served) -> None:
    """A name of someone else's that leads here (DNS rebinding) gets nothing, known names get the page."""
    assert page.get("/", Host="evil.example").status == 421
    assert "team-000" not in page.get("/", Host="evil.example").text
    assert page.get("/", Host="127.0.0.1.evil.example:80").status == 421
    assert page.get("/", Host="[").status == 421
    assert page.get("/", Host="PAGE.example:8443").status == 200


def test_it_only_reads(page: Served) -> None:
    """No other method than GET and HEAD is answered."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert page.get("/", method=method).status == 405
    assert page.get("/", method="HEAD").status == 200


def test_a_users_header_counts_only_where_it_is_switched_on(page: Served) -> None:
    """Without the switch the header shows nothing; with it, who comes without, or with two, is refused."""
    assert "signed in" not in page.get("/", X_User="ada").text
    shown = snapshot(1)
    with served(lambda: shown, user_header="X-User") as proxied:
        assert "signed in as ada&lt;b&gt;" in proxied.get("/", X_User="ada<b>").text
        assert proxied.get("/").status == 403
        assert "team-000" not in proxied.get("/").text
        for empty_or_twice in ({"X-User": " "}, {"X-User": "ada", "x-user": "root"}):
            assert proxied.get("/", **empty_or_twice).status == 403


def test_an_unchanged_part_is_not_sent_again(page: Served) -> None:
    """Who has the newest rows gets 304."""
    first = page.get("/rows")
    assert first.status == 200
    assert page.get("/rows", If_None_Match=first.headers["etag"]).status == 304


def test_files_are_served_by_name_alone(page: Served) -> None:
    """Style and script are there, and no other file of the package."""
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        answer = page.get(f"/assets/{name}")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
    for path in ("/assets/../render.py", "/assets/%2e%2e%2frender.py", "/assets/page.html", "/templates/page.html"):
        assert page.get(path).status == 404


def test_two_hundred_builders_are_shown_in_well_under_a_second() -> None:
    """The page of 200 builders over a socket: the processor's time of server and client, in the median of five."""
    shown = snapshot(200)
    with served(lambda: shown) as page:
        assert len(Reader(page.get("/").text).rows) == 200
        times = []
        for _ in range(5):
            began = time.process_time()
            page.get("/")
            times.append(time.process_time() - began)
    assert sorted(times)[2] < 0.3, times
