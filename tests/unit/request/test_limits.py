"""Sizes, ulimits and hosts of the build's containers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UsageError
from buildclient.request.limits import HostEntry, Ulimit, parse_host, parse_size, parse_ulimits


@pytest.mark.parametrize(
    ("text", "count"), [("1024", 1024), ("64m", 64 << 20), ("1.5GiB", 3 << 29), ("5 kb", 5120), (".5k", 512), ("0", 0)]
)
def test_a_size_is_in_units_of_1024(text: str, count: int) -> None:
    """As Docker reads memory sizes."""
    assert parse_size(text, "--shm-size") == count


@given(st.text(max_size=8))
def test_any_size_is_read_or_refused(text: str) -> None:
    """Never negative, and no other error than that of usage."""
    try:
        assert parse_size(text, "--shm-size") >= 0
    except UsageError as error:
        assert "--shm-size" in str(error)  # noqa: PT017 - either end will do


def test_ulimits_come_sorted_with_both_limits() -> None:
    """The last of a name wins."""
    assert parse_ulimits(["nproc=3", "core=-1", "nproc=1:2"]) == (Ulimit("core", -1, -1), Ulimit("nproc", 1, 2))


def test_hosts_take_brackets_and_several_addresses() -> None:
    """One entry an address."""
    assert parse_host("a=[::1]") == (HostEntry("a", "::1"),)
    assert parse_host("a:1.2.3.4,::2") == (HostEntry("a", "1.2.3.4"), HostEntry("a", "::2"))
