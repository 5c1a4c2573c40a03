"""Values of flags: keys and values, attestations, caches, named contexts."""

from __future__ import annotations

import pytest

from buildclient.request.flagtext import key_values, parse_attests, parse_cache, parse_context_names
from buildclient.request.solve import CacheEntry


def test_a_build_argument_may_come_from_the_environment() -> None:
    """`K` alone takes its value, and is left out where there is none."""
    assert key_values(["A=1", "B", "C", "D="], "--build-arg", {"B": "x"}) == {"A": "1", "B": "x", "D": ""}


@pytest.mark.parametrize(
    ("items", "provenance", "found"),
    [
        ([], "false", {"provenance": None}),
        ([], "true", {"provenance": "type=provenance"}),
        ([], "mode=max", {"provenance": "type=provenance,mode=max"}),
        (["type=sbom,generator=x"], "", {"sbom": "type=sbom,generator=x"}),
    ],
)
def test_attestations_are_read(items: list[str], provenance: str, found: dict[str, str | None]) -> None:
    """The short forms are the long ones."""
    assert parse_attests(items, provenance) == found


def test_caches_are_references_or_types() -> None:
    """A list of references is one entry each; GitHub's is left out without its token and filled in with it."""
    assert parse_cache(["a,b", "type=inline"], {}) == (
        CacheEntry("registry", {"ref": "a"}),
        CacheEntry("registry", {"ref": "b"}),
        CacheEntry("inline"),
    )
    assert parse_cache(["type=gha"], {}) == ()
    found = parse_cache(["type=gha,scope=x"], {"ACTIONS_RUNTIME_TOKEN": "t", "ACTIONS_RESULTS_URL": "u"})
    assert found == (CacheEntry("gha", {"token": "t", "url": "u", "scope": "x"}),)


def test_a_context_s_name_is_an_image_s() -> None:
    """Docker Hub's own parts and `latest` are left out."""
    found = parse_context_names(["docker.io/library/alpine:latest=a", "q.example/r:1=b"])
    assert found == {"alpine": "a", "q.example/r:1": "b"}
