"""A claim becomes the arguments of a builder."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders.claims import Claim, Platform, Resolved, resolve
from buildkit_builders.options.problems import Problems

from tests.unit.builders.claims.files import DIGEST, PLATFORM, TODAY, lines, read

_MAIN = {"name": "main", "owner": "ada"}


def _resolved(folder: Path, platform: dict[str, Any] | None = None, **claim: Any) -> Resolved:
    found = read(folder, {**PLATFORM, **(platform or {})}, payments={**_MAIN, **claim})
    assert found.problems == ()
    return resolve(found.claims[0], found.platform, TODAY)


def test_a_claim_is_a_node_of_each_architecture_in_the_teams_namespace(tmp_path: Path) -> None:
    """With the size's resources, the platform's image and registries, and a ServiceAccount for CI jobs."""
    platform = {
        "registries": {"docker.io": {"mirrors": ["mirror.example"]}},
        "driver-opts": {"nodeselector": "disk=ssd"},
    }
    resolved = _resolved(
        tmp_path, platform, architectures=["amd64", "arm/v7"], clients=["group:devs", "ci"], labels={"tier": 1}
    )
    assert (resolved.stack, resolved.context, resolved.namespace) == ("payments-main", "prod-eu", "builders-payments")
    assert (resolved.service_account, resolved.makes_namespace) == ("main-client", False)
    assert json.loads(json.dumps(resolved.args)) == resolved.args
    problems = Problems()
    spec = resolved.spec(problems)
    assert problems.found == []
    assert [(node.name, str(node.platforms[0])) for node in spec.nodes] == [
        ("main-amd64", "linux/amd64"),
        ("main-arm-v7", "linux/arm/v7"),
    ]
    options = spec.nodes[1].options
    assert options.nodeselector == {"disk": "ssd", "kubernetes.io/arch": "arm"}
    assert options.labels == {"tier": "1", "team": "payments"}
    assert (options.image, options.rootless) == (f"moby/buildkit@{DIGEST}", False)
    assert options.requests() == {"cpu": "500m", "memory": "1Gi"}
    assert str(options.persistent_volume_claim_requests_storage) == "20Gi"
    assert options.buildkitd_gc_max_used_space == str(16 * 1024**3)
    assert options.buildkitd_registry == {"docker.io": {"mirrors": ["mirror.example"]}}
    assert [client.subject["name"] for client in spec.clients] == ["devs", "ci"]
    assert spec.clients[1].namespace == "builders-payments"


@pytest.mark.parametrize(
    ("scaling", "replicas", "most", "rests"),
    [
        ({}, 1, None, False),
        ({"min": 2}, 2, None, False),
        ({"max": 2}, 1, 2, False),
        ({"min": 0, "to-zero-after": "30m"}, 1, None, True),
        ({"min": 0, "max": 2, "to-zero-after": "30m"}, 1, 2, True),
    ],
)
def test_scaling_becomes_replicas_or_an_autoscaler(
    scaling: dict[str, Any], replicas: int, most: int | None, rests: bool, tmp_path: Path
) -> None:
    """One number is replicas; two are an autoscaler's bounds; to-zero-after goes with both."""
    options = _resolved(tmp_path, scaling=scaling).spec().nodes[0].options
    assert (options.replicas, options.autoscale_max_replicas, options.rests) == (replicas, most, rests)


def test_an_expired_claim_has_no_pods_and_no_build_starts_it(tmp_path: Path) -> None:
    """The day itself is still its own; a warning tells how long it has."""
    scaling = {"min": 1, "max": 2, "to-zero-after": "30m"}
    found = read(tmp_path, payments={**_MAIN, "scaling": scaling, "expires": TODAY + timedelta(days=3)})
    assert lines(found, tmp_path) == [
        "claims/payments.yaml:7: warning: payments/main: expires: it ends in 3 days, on 2026-06-04: then its builder "
        "has no pods"
    ]
    claim = found.claims[0]
    assert [claim.expired(TODAY + timedelta(days=days)) for days in (3, 4)] == [False, True]
    resolved = resolve(claim, found.platform, TODAY + timedelta(days=4))
    options = resolved.spec().nodes[0].options
    assert resolved.at_rest
    assert (options.replicas, options.is_autoscaled, options.rests) == (0, False, False)


def test_a_namespace_with_the_builders_name_is_the_stacks_own(tmp_path: Path) -> None:
    """A cluster may have a pattern of its own."""
    clusters = {"main": {"context": "c", "namespaces": "builders-{team}-{name}"}}
    resolved = _resolved(tmp_path, {"clusters": clusters})
    assert (resolved.namespace, resolved.makes_namespace) == ("builders-payments-main", True)


def test_without_privileged_the_rootless_image_is_taken(tmp_path: Path) -> None:
    """The platform's default may be either."""
    images = {**PLATFORM["images"], "rootless": f"rootless@{DIGEST}"}
    options = _resolved(tmp_path, {"images": images, "defaults": {"size": "small"}}).spec().nodes[0].options
    assert (options.rootless, options.image) == (True, f"rootless@{DIGEST}")


def test_options_that_do_not_go_together_are_told_at_the_claims_line(tmp_path: Path) -> None:
    """What the options' own check finds is a problem of the claim's key."""
    images = {key: one for key, one in PLATFORM["images"].items() if key != "client"}
    claim = {**_MAIN, "clients": ["user:ada", "ci/CI"], "scaling": {"min": 0, "to-zero-after": "30m"}}
    found = read(tmp_path, {**PLATFORM, "images": images}, payments=claim)
    told = lines(found, tmp_path)
    assert "claims/payments.yaml:5: payments/main: clients[1]" in told[0]
    assert told[1].startswith("claims/payments.yaml:8: payments/main: scaling.to-zero-after: ")
    assert "scale-to-zero.image" in told[1]


def test_stacks_and_namespaces_that_clash_are_refused(tmp_path: Path) -> None:
    """Teams a and a-b would both have stack a-b-c; a name twice is one stack, too."""
    found = read(tmp_path, **{"a": [{**_MAIN, "name": "b-c"}, {**_MAIN, "name": "b-c"}], "a-b": {**_MAIN, "name": "c"}})
    assert [claim.id for claim in found.claims] == ["a-b/c"]
    assert [line.partition(": name")[0] for line in lines(found, tmp_path)] == [
        "claims/a.yaml:1: a/b-c",
        "claims/a.yaml:3: a/b-c",
    ]


@pytest.mark.parametrize(
    ("platform", "claim", "said"),
    [
        ({"expiry": {"required": True, "most-days": 90}}, {}, "expires: give the last day of the builder, at most 90"),
        ({"expiry": {"most-days": 90}}, {"expires": date(2027, 1, 1)}, "give a day at most 90 days ahead"),
        ({}, {"expires": "soon"}, "give a day, such as 2027-06-30"),
        ({}, {"expires": "2027-02-30"}, "no calendar has that day"),
        ({}, {"scaling": {"min": 0}}, "a builder goes to no pods with to-zero-after"),
        ({}, {"scaling": {"min": 3, "max": 2}}, "give at most max, 2"),
        ({}, {"cluster": "mian"}, 'there is no cluster "mian" (did you mean "main"?)'),
        ({"clusters": {"main": {"context": "c", "architectures": ["arm64"]}}}, {}, "cluster main has arm64"),
        ({"defaults": {"privileged": True}}, {}, "size: give one of small, large"),
        ({}, {"labels": {"team": "search"}}, 'that label is the team\'s name, "payments"'),
        ({}, {"clients": [{"user": "ada"}]}, 'did you mean "user:ada"?'),
        ({}, {"name": "x" * 60}, "its namespace would be"),
    ],
)
def test_what_the_platform_does_not_allow_is_told(
    platform: dict[str, Any], claim: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """Each with what is allowed."""
    if "name" in claim:
        platform = {"namespaces": "builders-{team}-{name}"}
    found = read(tmp_path, {**PLATFORM, **platform}, payments={**_MAIN, **claim})
    assert found.claims == ()
    assert said in lines(found, tmp_path)[0]


def test_claims_are_values() -> None:
    """A claim that differs in its lines alone is the same claim."""
    claim = Claim(
        "a", "b", "f", 1, "o", "", "c", ("amd64",), "s", None, 1, 1, None, (), "b-client", True, None, {}, {"name": 1}
    )
    assert claim == replace(claim, lines={"name": 2})
    assert Platform() == Platform(lines={"sizes": 3})
