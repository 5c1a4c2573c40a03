"""The platforms of --platform."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UsageError
from buildclient.request.platforms import read_platforms


def test_platforms_are_read_once_and_local_is_this_machine() -> None:
    """Aliases are the same platform."""
    found = read_platforms(["local,linux/x86_64", "aarch64"], "linux/amd64")
    assert [str(platform) for platform in found] == ["linux/amd64", "linux/arm64"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Windows(10.0.17763)/x86_64", "windows(10.0.17763)/amd64"),
        ("windows(10.0.1+win32k)/amd64/v1", "windows(10.0.1+win32k)/amd64"),
        ("macos(14.5)/aarch64", "darwin(14.5)/arm64"),
        ("linux()/amd64", "linux/amd64"),
        ("windows(10.0)", "windows(10.0)/amd64"),
        ("wasi/wasm", "wasi/wasm"),
        ("foo/bar/baz", "foo/bar/baz"),
    ],
)
def test_platforms_of_any_system_are_the_daemon_s_to_judge(text: str, expected: str) -> None:
    """Normalised as containerd does it; versions and features of the system go along as they are."""
    assert [str(platform) for platform in read_platforms([text], lambda: "")] == [expected]


@given(st.text("lniux/amd64*,. (+)é", max_size=14))
def test_any_platform_text_is_read_or_refused(text: str) -> None:
    """No other error than that of usage."""
    try:
        read_platforms([text], "linux/amd64")
    except UsageError as error:
        assert str(error)  # noqa: PT017 - either end will do
