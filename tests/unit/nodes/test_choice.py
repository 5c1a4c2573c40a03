"""On which pod of a node a build runs."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from buildclient.kube.pod import Pod
from buildclient.nodes.choice import choose_pod


def pod(name: str, *, ready: bool = True, terminating: bool = False) -> Pod:
    """A pod by name."""
    return Pod(name, "ns", ready, terminating)


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


@given(st.binary().map(lambda data: data.decode(errors="surrogateescape")))
def test_any_key_chooses(key: str) -> None:
    """Also of a folder whose name is no UTF-8."""
    assert choose_pod([pod("a"), pod("b")], "sticky", key) is not None


def test_random_takes_any() -> None:
    """Each usable pod comes up."""
    pods = [pod("a"), pod("b")]
    assert {choose_pod(pods, "random", "key") for _ in range(200)} == set(pods)
