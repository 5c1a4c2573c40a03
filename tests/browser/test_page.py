"""The page in a real browser, with and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from buildkit_builders.page.export import export
from buildkit_builders.page.model import Snapshot
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.browser import browser
from tests.page_views import Served, served, snapshot

pytestmark = pytest.mark.slow

LINES = "export BUILDX_BUILDER=team-003/kube\nbuildclient build --platform linux/amd64 --push -t REGISTRY/IMAGE:TAG ."


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for all tests."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def shown() -> list[Snapshot]:
    """What the page shows: the last one. A test may add another."""
    return [snapshot(200)]


@pytest.fixture(scope="module")
def page(shown: list[Snapshot]) -> Iterator[Served]:
    """The page of 200 builders."""
    with served(lambda: shown[-1]) as one:
        yield one


@pytest.fixture(params=[True, False], ids=["javascript", "plain"])
def tab(chromium: Browser, page: Served, request: pytest.FixtureRequest) -> Iterator[tuple[Page, bool]]:
    """A tab with the page, and whether it runs JavaScript. Anything that the console says of a fault fails."""
    context = chromium.new_context(java_script_enabled=request.param, base_url=page.url)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab, said = context.new_page(), list[str]()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto("/")
    yield tab, request.param
    context.close()
    assert not said


def rows(tab: Page) -> list[str]:
    """The namespaces of the rows to be seen."""
    return tab.locator("#rows > tr:visible th .quiet").all_inner_texts()


def test_a_builder_is_found_by_search(tab: tuple[Page, bool]) -> None:
    """At every key with JavaScript, by the form without; the address has the search, and comes back to it."""
    one, javascript = tab
    assert len(rows(one)) == 200
    if javascript:
        one.get_by_role("searchbox").press_sequentially("Team-003 drift")
    else:
        one.get_by_role("searchbox").fill("Team-003 drift")
        one.get_by_role("button", name="Search").click()
    expect(one.locator("#matches")).to_contain_text("1 of 200 builders match")
    assert rows(one) == ["team-003 · staging"]
    one.goto(one.url)
    expect(one.locator("#rows > tr:visible")).to_have_count(1)
    one.get_by_role("searchbox").fill("")
    if javascript:
        expect(one.locator("#rows > tr:visible")).to_have_count(200)


def test_a_drifted_builder_is_marked_and_told_of_with_its_age(tab: tuple[Page, bool]) -> None:
    """The mark is in the list, and one link away is what differs and when that was found."""
    one, _ = tab
    row = one.locator("#rows > tr", has_text="team-003")
    expect(row.locator(".mark.warn")).to_have_text("drifted")
    expect(one.locator("#rows > tr", has_text="team-004").locator(".mark.warn")).to_have_count(0)
    row.get_by_role("link").click()
    expect(one.locator("#drift")).to_contain_text("spec.replicas: 2 -> 3")
    expect(one.locator("#drift")).to_contain_text("2 h ago")


def test_the_lines_to_build_are_there_to_copy(tab: tuple[Page, bool]) -> None:
    """With JavaScript a button copies them; without they are text, and there is no button that does nothing."""
    one, javascript = tab
    one.locator("#rows > tr", has_text="team-003").get_by_role("link").click()
    expect(one.locator("#lines")).to_have_text(LINES, use_inner_text=True)
    button = one.get_by_role("button", name="Copy")
    if javascript:
        button.click()
        expect(one.get_by_role("button", name="Copied")).to_be_visible()
        assert one.evaluate("navigator.clipboard.readText()") == LINES
    else:
        expect(button).to_have_count(0)


def test_a_page_follows_what_happens_and_keeps_focus_and_search(
    chromium: Browser, page: Served, shown: list[Snapshot]
) -> None:
    """A builder that comes, one that goes and one that changes are taken over; what is typed and focused stays."""
    tab = chromium.new_context().new_page()
    tab.goto(page.url)
    tab.get_by_role("searchbox").fill("team-00")
    expect(tab.locator("#rows > tr:visible")).to_have_count(10)
    focus(tab.get_by_role("link", name="kube").nth(1))
    first, second, third, *others = snapshot(201).builders
    shown.append(Snapshot((first._replace(error="gone <away>"), second, *others)))
    expect(tab.locator("#counts")).to_contain_text("11 unreachable")
    try:
        expect(tab.locator(f"#b-{third.found.id}")).to_have_count(0)
        expect(tab.locator(f"#b-{first.found.id} .mark.bad")).to_have_text("unreachable")
        expect(tab.locator("#rows > tr")).to_have_count(200)
        expect(tab.locator("#rows > tr:visible")).to_have_count(9)
        assert tab.evaluate("document.activeElement.closest('tr').id") == f"b-{second.found.id}"
        expect(tab.get_by_role("searchbox")).to_have_value("team-00")
    finally:
        shown.pop()
        tab.context.close()


def test_a_row_with_the_focus_keeps_it_where_others_go_and_come(
    chromium: Browser, page: Served, shown: list[Snapshot]
) -> None:
    """The row before it goes, and new ones come before and after."""
    tab = chromium.new_context().new_page()
    tab.goto(page.url)
    focus(tab.get_by_role("link", name="kube").nth(1))
    first, second, *others = snapshot(200).builders
    earlier = first._replace(found=first.found._replace(output=first.found.output._replace(namespace="a-team")))
    shown.append(Snapshot((earlier, second, *others)))
    try:
        expect(tab.locator(f"#b-{first.found.id}")).to_have_count(0)
        expect(tab.locator("#rows > tr")).to_have_count(200)
        assert rows(tab)[0].startswith("a-team")
        assert tab.evaluate("document.activeElement.closest('tr').id") == f"b-{second.found.id}"
    finally:
        shown.pop()
        tab.context.close()


def focus(link: Locator) -> None:
    """Gives a link the focus, also where its row is taken over at this moment, and the link with it."""
    for _ in range(20):
        link.focus()
        if link.evaluate("link => link === document.activeElement"):
            return
    expect(link).to_be_focused()


def test_the_page_says_when_it_is_no_longer_told(chromium: Browser) -> None:
    """Once the server is gone the page keeps what it has, and says since when."""
    last = snapshot(2)
    with served(lambda: last) as short:
        tab = chromium.new_context().new_page()
        tab.goto(short.url)
        expect(tab.locator("#live-state")).to_have_text("Updates by itself.")
    expect(tab.locator("#live-state")).to_contain_text("No updates since")
    assert len(rows(tab)) == 2
    tab.context.close()


def test_exported_files_need_no_server(chromium: Browser, tmp_path: Path) -> None:
    """Opened from a folder: found by search with JavaScript, links lead on, and it says when it was written."""
    export(snapshot(20), tmp_path)
    (tmp_path / "builder" / "old-00000000.html").touch()
    (tmp_path / "builder" / "own.html").touch()
    assert export(snapshot(20), tmp_path) == 20
    assert {path.name for path in (tmp_path / "builder").iterdir()} >= {"own.html"}
    assert not (tmp_path / "builder" / "old-00000000.html").exists()
    tab = chromium.new_context().new_page()
    tab.goto(f"file://{tmp_path}/index.html?q=team-003")
    expect(tab.locator("footer")).to_contain_text("Written 2")
    expect(tab.locator("#rows > tr:visible")).to_have_count(1)
    tab.get_by_role("link", name="kube").click()
    expect(tab.locator("#lines")).to_have_text(LINES, use_inner_text=True)
    tab.get_by_role("link", name="BuildKit builders").click()
    expect(tab.locator("#rows > tr:visible")).to_have_count(20)
    tab.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_and_nothing_moves(chromium: Browser, page: Served, scheme: str) -> None:
    """Marks and quiet text have the contrast of WCAG AA (4.5) in both schemes, and the layout does not shift."""
    tab = chromium.new_context(color_scheme=scheme).new_page()
    tab.goto(page.url)
    expect(tab.locator("#live-state")).to_have_text("Updates by itself.")
    for selector in (".quiet", ".mark.good", ".mark.bad", ".mark.warn", "tbody a", "thead th"):
        assert tab.locator(selector).first.evaluate(CONTRAST) >= 4.5, selector
    assert tab.evaluate(SHIFTS) == 0
    tab.context.close()


CONTRAST = """element => {
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(part => {
      const value = part / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = element;
  while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
  const back = light(getComputedStyle(behind || document.body).backgroundColor);
  const fore = light(getComputedStyle(element).color);
  return (Math.max(back, fore) + 0.05) / (Math.min(back, fore) + 0.05);
}"""
SHIFTS = """() => new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => list.getEntries().forEach(entry => { sum += entry.value; }))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 500);
})"""
