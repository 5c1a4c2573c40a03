"""Which node builds what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UsageError
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


def test_what_nobody_builds_is_named_with_what_each_node_offers() -> None:
    """The error says which platforms, which nodes, and what to do."""
    with pytest.raises(UsageError, match=r"linux/s390x.*a: linux/amd64.*qemu\.install"):
        plan([Candidate("a", (AMD,), (AMD,))], [AMD, S390])


def test_no_platform_is_the_first_node_s_own() -> None:
    """As with docker buildx."""
    assert plan([Candidate("a", (AMD,)), Candidate("b", (ARM,))], [])[0] == (0, ())


@given(st.lists(st.tuples(_SOME, _SOME), min_size=1, max_size=4), _SOME)
def test_a_plan_covers_each_platform_once_by_a_node_that_can(
    offers: list[tuple[tuple[Platform, ...], tuple[Platform, ...]]], wanted: tuple[Platform, ...]
) -> None:
    """Every platform exactly once, on a node that declares or reports it; the same again for the same question."""
    nodes = [Candidate(str(number), declared, reported) for number, (declared, reported) in enumerate(offers)]
    try:
        shares = plan(nodes, wanted)
    except UsageError as error:
        assert any(  # noqa: PT017 - a plan may end either way
            str(platform) in str(error)
            and not any(offer.runs(platform) for node in nodes for offer in (*node.declared, *(node.reported or ())))
            for platform in wanted
        )
        return
    assert sorted(platform for share in shares for platform in share.platforms) == sorted(wanted)
    assert len({share.node for share in shares}) == len(shares)
    for share in shares:
        node = nodes[share.node]
        for platform in share.platforms:
            assert any(offer.runs(platform) for offer in (*node.declared, *(node.reported or ())))
            declared = any(offer.runs(platform) for other in nodes for offer in other.declared)
            assert not declared or any(offer.runs(platform) for offer in node.declared)
    assert plan(nodes, wanted) == shares
