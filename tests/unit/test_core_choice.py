"""Which node builds what, on which pod, under which key."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UsageError
from buildclient.contract.platform import Platform, parse_platform
from buildclient.inputs.routing import Checkout, routing_key
from buildclient.kube.pod import Pod
from buildclient.nodes.choice import choose_pod
from buildclient.nodes.plan import Candidate, needs_reports, plan

AMD, ARM, ARM7, S390 = map(parse_platform, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"))
_PLATFORMS = st.sampled_from([AMD, ARM, ARM7, S390, parse_platform("linux/386"), parse_platform("linux/amd64/v3")])
_SOME = st.lists(_PLATFORMS, max_size=4, unique=True).map(tuple)


def pod(name: str, *, ready: bool = True, terminating: bool = False) -> Pod:
    """A pod by name."""
    return Pod(name, "ns", ready, terminating)


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


_NAMES = st.lists(st.text("abcdef0123", min_size=1, max_size=6), min_size=1, max_size=8, unique=True)


@given(_NAMES, st.text(max_size=12))
def test_a_sticky_choice_depends_on_the_key_and_the_pods_alone(names: list[str], key: str) -> None:
    """Not on their order: every client finds the same pod."""
    pods = [pod(name) for name in names]
    assert choose_pod(pods, "sticky", key) == choose_pod(pods[::-1], "sticky", key)


@given(_NAMES, st.text(max_size=12))
def test_a_pod_that_goes_moves_only_its_own_builds(names: list[str], key: str) -> None:
    """Whoever else is taken away, the chosen one stays."""
    pods = [pod(name) for name in names]
    chosen = choose_pod(pods, "sticky", key)
    for gone in pods:
        rest = [other for other in pods if other is not gone]
        if gone != chosen:
            assert choose_pod(rest, "sticky", key) == chosen


def test_sticky_keys_spread_over_the_pods() -> None:
    """Four pods get about a quarter each, and a fifth takes about a fifth, from all alike."""
    four = [pod(f"kube0-{name}") for name in ("aa", "bb", "cc", "dd")]
    five = [*four, pod("kube0-ee")]
    keys = [f"https://github.com/a/b#{number}" for number in range(2000)]
    counts = Counter(choose_pod(four, "sticky", key) for key in keys)
    assert min(counts.values()) > 400
    moved = [key for key in keys if choose_pod(four, "sticky", key) != choose_pod(five, "sticky", key)]
    assert all(choose_pod(five, "sticky", key) == five[-1] for key in moved)
    assert 300 < len(moved) < 500


def test_only_ready_pods_that_stay_are_chosen() -> None:
    """Neither one that is not ready nor one that terminates, however it is chosen; None where there is no other."""
    bad = [pod("a", ready=False), pod("b", terminating=True)]
    for how in ("sticky", "random"):
        assert choose_pod(bad, how, "key") is None
        assert choose_pod([*bad, pod("c")], how, "key") == pod("c")


def test_random_takes_any() -> None:
    """Each usable pod comes up."""
    pods = [pod("a"), pod("b")]
    assert {choose_pod(pods, "random", "key") for _ in range(200)} == set(pods)


def test_a_key_is_the_same_in_every_checkout() -> None:
    """Remote and path in the repository count, the folder on disk does not."""
    checkout = Checkout("https://github.com/a/b", "app")
    keys = {routing_key(folder, checkout, "", "", [AMD]) for folder in ("/ci/1/app", "/home/me/app")}
    assert len(keys) == 1
    other = routing_key("/ci/1/app", Checkout("https://github.com/a/b", "web"), "", "", [AMD])
    assert other not in keys


def test_without_a_repository_the_folder_s_name_counts() -> None:
    """And Dockerfile, target and platforms count with and without."""
    first = routing_key("/a/app", None, "", "", [])
    assert first == routing_key("/b/app/", None, "Dockerfile", "", [])
    others = {
        routing_key("/a/web", None, "", "", []),
        routing_key("/a/app", None, "Other", "", []),
        routing_key("/a/app", None, "", "final", []),
        routing_key("/a/app", None, "", "", [AMD]),
    }
    assert len({first, *others}) == 5
