"""Session services put together."""

from __future__ import annotations

import pytest

from buildclient.session.call import Call, methods_of


async def _serve(call: Call) -> None:
    """A handler that is never called."""


def test_services_are_served_together() -> None:
    """A build that needs nothing of a service has an empty one."""
    assert sorted(methods_of([{"/a": _serve}, {}, {"/b": _serve, "/c": _serve}])) == ["/a", "/b", "/c"]


def test_no_two_services_claim_one_method() -> None:
    """One of them would never be called."""
    with pytest.raises(ValueError, match="two session services claim /a"):
        methods_of([{"/a": _serve, "/b": _serve}, {}, {"/a": _serve}])
