"""Which node builds what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.contract.platform import Platform, parse_platform
from buildclient.nodes.plan import Candidate, needs_reports, plan

AMD, ARM, ARM7, S390 = map(parse_platform, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"))
_PLATFORMS = st.sampled_from([AMD, ARM, ARM7, S390, parse_platform("linux/386"), parse_platform("linux/amd64/v3")])
_SOME = st.lists(_PLATFORMS, max_size=4, unique=True).map(tuple)


def test_each_platform_goes_to_the_node_that_declares_it() -> None:
    """In the order asked, and without asking any daemon."""
    nodes = [Candidate("a", (AMD,)), Candidate("b", (ARM,))]
    assert not needs_reports(nodes, [ARM, AMD])
    assert [(share.node, share.platforms) for share in plan(nodes, [ARM, AMD])] == [(1, (ARM,)), (0, (AMD,))]


def test_the_same_platform_goes_before_one_that_runs_it_too() -> None:
    """An arm64 machine runs arm/v7, but a node that declares arm/v7 itself takes it."""
    nodes = [Candidate("a", (ARM,)), Candidate("b", (ARM7,))]
    assert plan(nodes, [ARM7])[0].node == 1
    assert plan(nodes[:1], [ARM7])[0].node == 0


def test_what_nobody_declares_goes_to_who_reports_it() -> None:
    """Emulated platforms are known by the daemons alone."""
    nodes = [Candidate("a", (AMD,), (AMD,)), Candidate("b", (ARM,), (ARM, S390))]
    assert needs_reports(nodes, [S390])
    assert plan(nodes, [AMD, S390])[1].node == 1


_TWO = [Candidate("a", (ARM,), (ARM, ARM7)), Candidate("b", (AMD,), (AMD, parse_platform("linux/386")))]
_UNLISTED = ("darwin/arm64", "windows/amd64", "windows(10.0.17763)/amd64", "wasi/wasm", "linux/riscv64", "foo/bar")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        *(((name,), {0: (name,)}) for name in (*_UNLISTED, "linux/amd64/v9")),
        (("linux/amd64", "darwin/arm64", "windows/amd64"), {1: ("linux/amd64",), 0: ("darwin/arm64", "windows/amd64")}),
        (("darwin/arm64", "linux/arm/v7", "linux/386"), {0: ("darwin/arm64", "linux/arm/v7"), 1: ("linux/386",)}),
        (("linux(1.2)/amd64", "linux/arm64"), {1: ("linux(1.2)/amd64",), 0: ("linux/arm64",)}),
    ],
)
def test_what_no_node_lists_goes_to_the_first(asked: tuple[str, ...], expected: dict[int, tuple[str, ...]]) -> None:
    """As with docker buildx: its daemon says what cannot be built; on one node, everything goes there unasked."""
    wanted = [parse_platform(text) for text in asked]
    shares = plan(_TWO, wanted)
    assert {share.node: tuple(map(str, share.platforms)) for share in shares} == expected
    assert [share.node for share in shares] == list(expected)
    assert not needs_reports(_TWO[:1], wanted)
    assert plan([_TWO[0]._replace(reported=None)], wanted) == ((0, tuple(wanted)),)


def test_no_platform_is_the_first_node_s_own() -> None:
    """As with docker buildx."""
    assert plan([Candidate("a", (AMD,)), Candidate("b", (ARM,))], [])[0] == (0, ())


@given(st.lists(st.tuples(_SOME, _SOME), min_size=1, max_size=4), _SOME)
def test_a_plan_covers_each_platform_once_by_a_node_that_can_if_any(
    offers: list[tuple[tuple[Platform, ...], tuple[Platform, ...]]], wanted: tuple[Platform, ...]
) -> None:
    """On a node that declares it, else reports it, else the first; the same again for the same question."""
    nodes = [Candidate(str(number), declared, reported) for number, (declared, reported) in enumerate(offers)]
    shares = plan(nodes, wanted)
    assert sorted(platform for share in shares for platform in share.platforms) == sorted(wanted)
    assert len({share.node for share in shares}) == len(shares)
    for share in shares:
        node = nodes[share.node]
        for platform in share.platforms:
            able = [n for n in nodes if any(o.runs(platform) for o in (*n.declared, *(n.reported or ())))]
            assert node in able if able else share.node == 0
            declared = any(offer.runs(platform) for other in nodes for offer in other.declared)
            assert not declared or any(offer.runs(platform) for offer in node.declared)
    assert plan(nodes, wanted) == shares
