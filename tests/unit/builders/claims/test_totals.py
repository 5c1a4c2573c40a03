"""Requests, limits and volumes are added up, and a claim that breaks a limit is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from buildkit_builders.claims import Amounts, Claim, Platform, amounts_of
from buildkit_builders.claims.platform import Limits, LimitsOf
from buildkit_builders.claims.totals import check_totals, shown
from buildkit_builders.options.quantity import Quantity, parse_quantity
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders.claims.files import PLATFORM, TODAY, lines, read

_GI = 1024**3


def _main(**given: Any) -> dict[str, Any]:
    return {"name": "main", "owner": "ada", **given}


def test_a_claim_counts_with_every_pod_that_it_may_have(tmp_path: Path) -> None:
    """Two architectures of at most two pods are four pods, of which each has requests, a limit and a volume."""
    claim = _main(architectures=["amd64", "arm64"], scaling={"min": 1, "max": 2})
    found = read(tmp_path, payments=claim)
    amounts = amounts_of(found.claims[0], found.platform, TODAY)
    assert amounts == Amounts(
        cpu=Fraction(2), memory=Fraction(4 * _GI), limits_memory=Fraction(8 * _GI), storage=Fraction(80 * _GI),
        builders=1, pods=4,
    )  # fmt: skip


def test_an_expired_claim_counts_with_its_volumes_alone(tmp_path: Path) -> None:
    """Its pods are gone, and its volumes are not."""
    found = read(tmp_path, payments=_main(scaling={"max": 2}, expires="2026-05-31"))
    assert amounts_of(found.claims[0], found.platform, TODAY) == Amounts(storage=Fraction(40 * _GI), builders=1)


def test_the_claims_that_break_a_limit_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    """In the order of file and line: the second claim is too much for its team, the third fits."""
    platform = {**PLATFORM, "limits": {"team": {"cpu": "1500m"}, "total": {"pods": 3, "storage": "70Gi"}}}
    claims = "- {name: one, owner: a}\n- {name: two, owner: a, size: large}\n- {name: three, owner: a}\n"
    found = read(tmp_path, platform, a=claims, b="name: main\nowner: b\nscaling: {max: 2}\n")
    assert [claim.id for claim in found.claims] == ["a/one", "a/three"]
    assert lines(found, tmp_path) == [
        "claims/a.yaml:2: a/two: size: with its 4 requested CPU, team a would have 4500m, and may have 1500m (left: 1)",
        "claims/a.yaml:2: a/two: size: with its 100Gi volumes, all teams together would have 120Gi, and may have 70Gi "
        "(left: 50Gi)",
        "claims/b.yaml:1: b/main: size: with its 40Gi volumes, all teams together would have 80Gi, and may have 70Gi "
        "(left: 30Gi)",
        "claims/b.yaml:3: b/main: scaling: with its 2 pods, all teams together would have 4, and may have 3 (left: 1)",
    ]


def test_a_team_may_have_limits_of_its_own(tmp_path: Path) -> None:
    """What its own limits do not say is as for each team."""
    limits = {"team": {"builders": 1, "pods": 1}, "teams": {"big": {"pods": 4}}}
    two = [_main(scaling={"max": 2}), _main(name="two")]
    found = read(tmp_path, {**PLATFORM, "limits": limits}, big=two, small=_main(scaling={"max": 2}))
    assert [claim.id for claim in found.claims] == ["big/main"]
    assert [(one.claim, one.text.partition(":")[0]) for one in found.problems] == [
        ("big/two", "name"),
        ("small/main", "scaling"),
    ]


def _claims() -> st.SearchStrategy[list[Claim]]:
    one = st.builds(
        Claim,
        team=st.sampled_from(["a", "b", "c"]), name=st.uuids().map(lambda one: f"n{one}"), file=st.just("f"),
        line=st.just(1), owner=st.just("o"), contact=st.just(""), cluster=st.just("main"),
        architectures=st.sampled_from([("amd64",), ("amd64", "arm64")]), size=st.sampled_from(["small", "large"]),
        cache=st.none(), least=st.just(1), most=st.integers(1, 4), to_zero_after=st.none(), clients=st.just(()),
        service_account=st.just("s"), privileged=st.just(True), labels=st.just({}),
        expires=st.sampled_from([None, TODAY.replace(year=2025), TODAY]),
    )  # fmt: skip
    return st.lists(one, max_size=8)


def _bytes(number: int) -> Quantity:
    return parse_quantity(f"{number}Gi")


_LIMITS = st.builds(
    Limits,
    cpu=st.none() | st.integers(0, 20).map(lambda one: parse_quantity(str(one))),
    memory=st.none() | st.integers(1, 40).map(_bytes),
    storage=st.none() | st.integers(1, 400).map(_bytes),
    builders=st.none() | st.integers(0, 4),
    pods=st.none() | st.integers(0, 10),
)


@settings(max_examples=60, deadline=None)
@given(_claims(), _LIMITS, _LIMITS)
def test_what_goes_through_fits_and_what_is_refused_does_not(
    claims: Sequence[Claim], total: Limits, team: Limits
) -> None:
    """Whatever the claims and limits: the sum of those that go through is within each limit, a refused one would not
    have fitted beside those before it, and without limits all go through."""
    platform = replace(_platform(), limits=LimitsOf(total, team))
    refused = {one.claim for one in check_totals(claims, platform, TODAY)}
    sums: dict[str, Amounts] = {}
    for claim in claims:
        own = amounts_of(claim, platform, TODAY)
        after = {name: sums.get(name, Amounts()).plus(own) for name in ("", claim.team)}
        fits = all(_fits(after[name], own, limits) for name, limits in (("", total), (claim.team, team)))
        assert fits == (claim.id not in refused)
        if fits:
            sums |= after
    assert not list(check_totals(claims, replace(platform, limits=LimitsOf()), TODAY))


@given(st.integers(0, 2**50), st.sampled_from(["cpu", "memory"]))
def test_a_shown_amount_is_read_as_the_same(number: int, name: str) -> None:
    """What a message says is the amount itself."""
    value = Fraction(number, 1000) if name == "cpu" else Fraction(number)
    assert parse_quantity(shown(name, value)).value == value


def _fits(sum: Amounts, own: Amounts, limits: Limits) -> bool:
    """Whether the sum is within the limits of what the claim itself adds to."""
    for name in Amounts._fields:
        limit: Any = getattr(limits, name)
        most = limit.value if isinstance(limit, Quantity) else limit
        if most is not None and getattr(own, name) and getattr(sum, name) > most:
            return False
    return True


def _platform() -> Platform:
    from buildkit_builders.claims.platform_file import PLATFORM as SHAPE
    from buildkit_builders.options.problems import Problems

    found = SHAPE.read(PLATFORM, Problems())
    assert found is not None
    return found
