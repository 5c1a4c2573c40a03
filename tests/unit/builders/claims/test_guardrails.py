"""Each guardrail finds its bad example, as an object and as a claim, and passes the good one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders.claims import resolve
from buildkit_builders.claims.guardrails import GUARDRAILS, Rules, find
from buildkit_builders.claims.policies import check_policies

from tests.unit.builders.claims.examples import BAD, GOOD, changed
from tests.unit.builders.claims.files import PLATFORM, TODAY, lines, read

RULES = Rules(("cost-center",), lambda namespace: namespace == "builders-a")


def _found(objects: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in find(objects, RULES):
        found.setdefault(one.guardrail.name, []).append(one.text)
    return found


def test_a_good_builder_passes_every_guardrail() -> None:
    """Nothing is found in objects that are as they should be."""
    assert _found(GOOD) == {}


@pytest.mark.parametrize(("name", "path", "value", "said"), BAD)
def test_each_guardrail_finds_its_bad_example(name: str, path: str, value: Any, said: str) -> None:
    """One field is changed, and the guardrail that is about it says so."""
    found = _found(changed(path, value))
    assert name in found
    assert said in " ".join(found[name])
    if path not in ("0.metadata.namespace",):  # another namespace has none of its other objects
        assert set(found) == {name}


def test_every_guardrail_has_a_bad_example() -> None:
    """The examples above are of all guardrails."""
    assert {name for name, *_ in BAD} == {one.name for one in GUARDRAILS}


_MAIN = {"name": "main", "owner": "ada"}
_CLAIMS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (
        "requests",
        {"sizes": {"small": {"requests": {"cpu": 1}}}},
        {},
        "platform.yaml:{sizes}: sizes.small: container buildkitd requests no memory (policy requests)",
    ),
    (
        "image-digest",
        {"images": {"buildkit": "moby/buildkit:v1"}},
        {},
        "platform.yaml:{images}: images: image moby/buildkit:v1 of container buildkitd has no digest: name@sha256:… "
        "(policy image-digest)",
    ),
    (
        "disruption-budget",
        {"driver-opts": {"disruption-budget.enabled": False}},
        {},
        "platform.yaml:{driver-opts}: driver-opts: there is no PodDisruptionBudget: a drain may evict all its pods at "
        "once (policy disruption-budget)",
    ),
    (
        "privileged",
        {"privileged": ["others-*"]},
        {"privileged": True},
        "claims/a.yaml:3: a/main: privileged: container buildkitd is privileged: namespace builders-a may not have "
        "such pods (policy privileged)",
    ),
    (
        "required-labels",
        {"required-labels": ["cost-center"]},
        {"labels": {"tier": "1"}},
        "claims/a.yaml:3: a/main: labels: it needs label cost-center (policy required-labels)",
    ),
]


@pytest.mark.parametrize(("name", "platform", "claim", "line"), _CLAIMS)
def test_a_claim_that_breaks_a_policy_is_refused_at_its_line(
    name: str, platform: dict[str, Any], claim: dict[str, Any], line: str, tmp_path: Path
) -> None:
    """The key that decides it is named, in the claim or once in the platform's file; off, nothing is said."""
    given = {**PLATFORM, **platform}
    found = read(tmp_path, given, a={**_MAIN, **claim}, b={**_MAIN, **claim})
    text = (tmp_path / "platform.yaml").read_text().splitlines()
    numbers = {key: number for number, key in enumerate((one.partition(":")[0] for one in text), 1)}
    numbers["sizes"] += 1
    for key, number in numbers.items():
        line = line.replace(f"{{{key}}}", str(number))
    assert found.claims == ()
    assert lines(found, tmp_path)[0] == line
    assert len(found.problems) == (1 if line.startswith("platform") else 2)
    warned = read(tmp_path, {**given, "policies": {name: "warning"}}, a={**_MAIN, **claim})
    assert warned.errors == ()
    assert [one.id for one in warned.claims] == ["a/main", "b/main"]
    assert ": warning: " in lines(warned, tmp_path)[0]
    assert "warning: " not in warned.problems[0].unmarked
    off = read(tmp_path, {**given, "policies": {name: False}}, a={**_MAIN, **claim})
    assert off.problems == ()


def test_a_policy_that_there_is_not_is_named(tmp_path: Path) -> None:
    """A misspelt policy would be nobody's."""
    found = read(tmp_path, {**PLATFORM, "policies": {"image-digests": "off"}})
    assert 'there is no policy "image-digests" (did you mean "image-digest"?)' in lines(found, tmp_path)[0]


def test_claims_as_they_are_by_default_pass_every_policy(tmp_path: Path) -> None:
    """Every kind of builder that a claim can ask for passes: rootless, autoscaled, at rest, expired."""
    claims = [
        {**_MAIN, "privileged": False},
        {**_MAIN, "name": "b", "scaling": {"min": 1, "max": 2}},
        {**_MAIN, "name": "c", "scaling": {"min": 0, "to-zero-after": "30m"}, "clients": ["group:a"]},
        {**_MAIN, "name": "d", "expires": "2026-01-01"},
        {**_MAIN, "name": "e", "size": "large", "architectures": ["amd64", "arm64"]},
    ]
    found = read(tmp_path, PLATFORM, a=claims)
    assert len(found.claims) == 5
    specs = {claim.id: resolve(claim, found.platform, TODAY).spec() for claim in found.claims}
    assert check_policies(found.claims, found.platform, specs) == ([], set())
