"""The simulation of the choice of pods."""

from __future__ import annotations

import pytest

from bench.choosing import Model, Policy, simulate
from bench.plot import bars

_MODEL = Model(pods=40, builds=2000, projects=200)


def test_a_limit_holds_and_the_queue_is_fair() -> None:
    """No pod runs more, nobody overtakes, and most builds still find their cache."""
    result = simulate(_MODEL._replace(use=0.9), Policy("p", "sticky", 2, keeps=True))
    assert result.most == 2
    assert result.waited > 0
    assert result.overtaken == 0
    assert result.hits > 0.5


def test_sticky_finds_caches_and_least_loaded_spreads() -> None:
    """Each does what it is for."""
    sticky, least, chance = (
        simulate(_MODEL, Policy(name, name, keeps=True)) for name in ("sticky", "least-loaded", "random")
    )
    assert sticky.hits > 1.5 * chance.hits
    assert least.most < chance.most < sticky.most


def test_the_same_seed_gives_the_same_result() -> None:
    """Another one gives another."""
    policy = Policy("p", "random")
    assert simulate(_MODEL, policy) == simulate(_MODEL, policy)
    assert simulate(_MODEL, policy, 2) != simulate(_MODEL, policy)


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0, 300.0]])
def test_bars_stay_in_their_panel(values: list[float]) -> None:
    """The longest has its whole width; names are escaped."""
    drawn = bars(["<a>", "b"], {"t & u": values})
    assert "&lt;a&gt;" in drawn
    assert "t &amp; u" in drawn
    assert f'width="{190.0 if values[1] else 0.0}"' in drawn
