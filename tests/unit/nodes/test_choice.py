"""On which pod of a node a build runs."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from buildclient.kube.pod import Pod
from buildclient.nodes.choice import ranked


def pod(name: str, *, ready: bool = True, terminating: bool = False) -> Pod:
    """A pod by name."""
    return Pod(name, "ns", ready, terminating)


_NAMES = st.lists(st.text("abcdef0123", min_size=1, max_size=6), min_size=1, max_size=8, unique=True)


@given(_NAMES, st.text(max_size=12))
def test_a_sticky_choice_depends_on_the_key_and_the_pods_alone(names: list[str], key: str) -> None:
    """Not on their order: every client finds the same pod."""
    pods = [pod(name) for name in names]
    assert ranked(pods, "sticky", key) == ranked(pods[::-1], "sticky", key)


@given(_NAMES, st.text(max_size=12))
def test_a_pod_that_goes_moves_only_its_own_builds(names: list[str], key: str) -> None:
    """Whoever else is taken away, the chosen one stays."""
    pods = [pod(name) for name in names]
    chosen = ranked(pods, "sticky", key)[0]
    for gone in pods:
        rest = [other for other in pods if other is not gone]
        if gone != chosen:
            assert ranked(rest, "sticky", key)[0] == chosen


def test_sticky_keys_spread_over_the_pods() -> None:
    """Four pods get about a quarter each, and a fifth takes about a fifth, from all alike."""
    four = [pod(f"kube0-{name}") for name in ("aa", "bb", "cc", "dd")]
    five = [*four, pod("kube0-ee")]
    keys = [f"https://github.com/a/b#{number}" for number in range(2000)]
    counts = Counter(ranked(four, "sticky", key)[0] for key in keys)
    assert min(counts.values()) > 400
    moved = [key for key in keys if ranked(four, "sticky", key)[0] != ranked(five, "sticky", key)[0]]
    assert all(ranked(five, "sticky", key)[0] == five[-1] for key in moved)
    assert 300 < len(moved) < 500


def test_only_ready_pods_that_stay_are_chosen() -> None:
    """Neither one that is not ready nor one that terminates, however it is chosen; None where there is no other."""
    bad = [pod("a", ready=False), pod("b", terminating=True)]
    for how in ("sticky", "random", "least-loaded"):
        assert ranked(bad, how, "key") == []
        assert ranked([*bad, pod("c")], how, "key") == [pod("c")]


@given(st.binary().map(lambda data: data.decode(errors="surrogateescape")))
def test_any_key_chooses(key: str) -> None:
    """Also of a folder whose name is no UTF-8."""
    assert len(ranked([pod("a"), pod("b")], "sticky", key)) == 2


def test_random_takes_any() -> None:
    """Each usable pod comes up."""
    pods = [pod("a"), pod("b")]
    assert {ranked(pods, "random", "key")[0] for _ in range(200)} == set(pods)


def test_an_eleventh_pod_takes_its_share_and_a_roll_of_a_statefulset_moves_nothing() -> None:
    """Of 1,000 keys at most 1/11 and 2 % move; pods that come back under their names have their keys again."""
    ten = [pod(f"builder-{number}") for number in range(10)]
    keys = [f"https://example.com/{number}" for number in range(1000)]
    before = [ranked(ten, "sticky", key)[0].name for key in keys]
    after = [ranked([*ten, pod("builder-10")], "sticky", key)[0].name for key in keys]
    assert sum(one != two for one, two in zip(before, after, strict=True)) <= 1000 * (1 / 11 + 0.02)
    rolled = [one._replace(kubernetes_node="other", ready_since=9.0) for one in reversed(ten)]
    assert [ranked(rolled, "sticky", key)[0].name for key in keys] == before
