"""When a build that lost its daemon is taken up again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import BuildFailed, ClientError, ConfigurationError, DaemonLost, UnreachableError
from buildclient.nodes.retries import Fault, Retries, decide, fault_of

_CHANCE = st.floats(0, 1, exclude_max=True)


def test_only_a_daemon_that_was_lost_is_a_reason() -> None:
    """A failed step, a missing permission and an address where nothing is are none."""
    others: list[ClientError] = [BuildFailed("x"), ConfigurationError("x"), UnreachableError("x")]
    assert not any(fault_of(error).lost for error in others)
    assert fault_of(DaemonLost("x", silent=True)) == Fault(lost=True, silent=True)


@given(st.booleans(), st.booleans(), st.text(max_size=3), st.integers(0, 200), st.integers(0, 100), _CHANCE)
def test_tries_are_bounded_and_pauses_too(
    lost: bool, silent: bool, final: str, made: int, limit: int, chance: float
) -> None:
    """Never without a lost daemon, never more than the limit, never once a result is out; pauses have a bound."""
    rules = Retries(limit=limit)
    found = decide(Fault(lost, silent, final), made, rules, chance)
    assert found.again is (lost and not final and made < limit)
    if found.again:
        assert 0 < found.pause <= rules.longest_pause
        assert found.avoid is silent


@given(st.integers(0, 20), _CHANCE, _CHANCE)
def test_pauses_grow_and_are_spread(made: int, one: float, other: float) -> None:
    """Each next pause is at least as long as the one before by the same chance; chance takes at most half of it."""
    rules = Retries(limit=100)
    now, later = (decide(Fault(True), count, rules, one).pause for count in (made, made + 1))
    assert now <= later
    assert decide(Fault(True), made, rules, other).pause >= decide(Fault(True), made, rules, 0.0).pause
