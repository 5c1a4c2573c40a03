"""Image references: what is one, what it means, and the words for what is none.

`reference_cases.jsonl` holds what github.com/distribution/reference 0.6.0 says of each text: `parse` is the error of
Parse, `normal` or `normal_error` the result of ParseNormalizedNamed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.registry.reference import InvalidReference, parse_reference, parse_tag, registry_host

CASES = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data/reference_cases.jsonl").read_text().splitlines()
]

names = st.from_regex(r"[a-z0-9]{1,4}([._-][a-z0-9]{1,3}){0,2}", fullmatch=True)
domains = st.one_of(
    st.just("localhost"),
    st.from_regex(r"[a-z]{1,5}\.[a-z]{2,3}(:[0-9]{1,5})?", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}\.[0-9]\.[0-9]\.[0-9]:[0-9]{1,5}", fullmatch=True),
)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}", fullmatch=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["text"][:40]))
def test_the_same_as_distributions_own(case: dict[str, Any]) -> None:
    """Accepted, refused and normalised as the reference implementation does, with its words."""
    error = ""
    try:
        assert parse_tag(case["text"]) == case["text"]
    except InvalidReference as problem:
        error = str(problem)
    assert error == case.get("parse", "")
    normal = error = ""
    try:
        normal = str(parse_reference(case["text"]))
    except InvalidReference as problem:
        error = str(problem)
    assert (normal, error) == (case.get("normal", ""), case.get("normal_error", ""))


@given(domains, st.lists(names, min_size=1, max_size=3), tags)
def test_parts_come_back_out(domain: str, parts: list[str], tag: str) -> None:
    """A full reference is taken apart into what it was put together from."""
    found = parse_reference(f"{domain}/{'/'.join(parts)}:{tag}")
    assert found == (domain, "/".join(parts), tag, "")
    assert parse_reference(str(found)) == found


@given(st.text(max_size=30))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    """Nothing else than InvalidReference is raised, and a normalised reference stays as it is."""
    try:
        found = parse_reference(text)
    except InvalidReference:
        return
    assert parse_reference(str(found)) == found


@pytest.mark.parametrize(
    ("domain", "host"),
    [("docker.io", "registry-1.docker.io"), ("10.77.0.1:5000", "10.77.0.1:5000"), ("ghcr.io", "ghcr.io")],
)
def test_docker_hub_is_served_elsewhere(domain: str, host: str) -> None:
    """Only Docker Hub's images are named otherwise than their host."""
    assert registry_host(domain) == host
