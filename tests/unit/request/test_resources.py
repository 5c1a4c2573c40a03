"""Limits of RUN instructions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import InvalidBuild
from buildclient.request.resources import RESOURCES, Resources, parse_resources


def test_every_limit_becomes_its_attribute() -> None:
    """The names are those that BuildKit's frontend reads."""
    texts = ["memory=2g", "memory-swap=-1", "cpu-shares=512", "cpu-period=1", "cpu-quota=2", "cpuset-cpus=0-3"]
    assert parse_resources([*texts, " cpuset-mems = 0,1 ", "memory=1k"]).attrs == {
        "memory": "1024",
        "memswap": "-1",
        "cpushares": "512",
        "cpuperiod": "1",
        "cpuquota": "2",
        "cpusetcpus": "0-3",
        "cpusetmems": "0,1",
    }


def test_no_limit_is_no_attribute() -> None:
    """A daemon without the feature builds as before."""
    assert parse_resources(["memory=0", "cpu-quota=-5", "cpuset-cpus="]).attrs == {}
    assert Resources().attrs == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("memory", 'invalid resource "memory", expected key=value'),
        ("", 'invalid resource "", expected key=value'),
        ("disk=1", 'unknown resource "disk"'),
        ("memory=64q", "invalid value \"64q\" for resource memory: invalid suffix: 'q'"),
        ("memory-swap=x", "invalid value \"x\" for resource memory-swap: invalid size: 'x'"),
        ("cpu-shares=x", 'invalid value "x" for resource cpu-shares: strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
def test_a_wrong_limit_is_refused_in_docker_buildx_s_words(text: str, message: str) -> None:
    """Name, value and reason are said."""
    with pytest.raises(InvalidBuild) as caught:
        parse_resources([text])
    assert str(caught.value) == message


@given(st.sampled_from([*RESOURCES, "x"]), st.text("-0123456789kmgx. ,", max_size=8))
def test_any_text_is_read_or_refused(name: str, value: str) -> None:
    """No other error than that of usage."""
    try:
        parse_resources([f"{name}={value}"])
    except InvalidBuild as error:
        assert name in str(error)  # noqa: PT017 - either end will do
