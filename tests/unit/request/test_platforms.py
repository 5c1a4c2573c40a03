"""The platforms of --platform."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UsageError
from buildclient.contract.platform import Platform, parse_platform
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
        ("linux(+b+a+b)/amd64", "linux(+a+b)/amd64"),
        ("windows(1%2B%41)/amd64", "windows(1%2BA)/amd64"),
        ("wasi/wasm", "wasi/wasm"),
        ("foo/bar/baz", "foo/bar/baz"),
    ],
)
def test_platforms_of_any_system_are_the_daemon_s_to_judge(text: str, expected: str) -> None:
    """Normalised as containerd does it; versions and features of the system go along as they are."""
    assert [str(platform) for platform in read_platforms([text], lambda: "")] == [expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windows(1%zz)/amd64", 'has an invalid OS version "1%zz": invalid URL escape "%zz"'),
        ("linux(+a%2)/amd64", 'has invalid OS features: invalid os feature "a%2": invalid URL escape "%2"'),
    ],
)
def test_a_wrong_escape_is_refused_in_docker_buildx_s_words(text: str, message: str) -> None:
    """Version and features of a system may hold escapes."""
    with pytest.raises(UsageError) as caught:
        read_platforms([text], "")
    assert str(caught.value) == f'"{text}" {message}'


_OPTION = st.text("10.aA-_+()/% ", max_size=6)


@given(_OPTION, st.lists(_OPTION, max_size=3))
def test_versions_and_features_come_back(version: str, features: list[str]) -> None:
    """JSON and text say the same platform."""
    value = {"os": "windows", "architecture": "amd64", "os.version": version, "os.features": features}
    platform = Platform.from_json(value)
    written = platform.to_json()
    assert Platform.from_json(written) == platform
    assert written.get("os.version", "") == version
    assert written.get("os.features", []) == sorted({one for one in features if one})
    if " " not in str(platform):
        assert parse_platform(str(platform)) == platform


@given(st.text("lniux/amd64*,. (+)é", max_size=14))
def test_any_platform_text_is_read_or_refused(text: str) -> None:
    """No other error than that of usage."""
    try:
        read_platforms([text], "linux/amd64")
    except UsageError as error:
        assert str(error)  # noqa: PT017 - either end will do
