"""The platforms of --platform."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UsageError
from buildclient.request.platforms import read_platforms


def test_platforms_are_read_once_and_local_is_this_machine() -> None:
    """Aliases are the same platform."""
    found = read_platforms(["local,linux/x86_64", "aarch64"], "linux/amd64")
    assert [str(platform) for platform in found] == ["linux/amd64", "linux/arm64"]


@given(st.text("lniux/amd64*,. ()é", max_size=14))
def test_any_platform_text_is_read_or_refused(text: str) -> None:
    """No other error than that of usage."""
    try:
        read_platforms([text], "linux/amd64")
    except UsageError as error:
        assert str(error)  # noqa: PT017 - either end will do
