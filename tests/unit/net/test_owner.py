"""A Unix socket of this user's is told from others'."""

from __future__ import annotations

import os
import socket

import pytest

from buildclient.net.owner import is_own


@pytest.mark.parametrize(("stranger", "own"), [(0, True), (1, False)])
def test_the_other_end_s_user_is_known(monkeypatch: pytest.MonkeyPatch, stranger: int, own: bool) -> None:
    """The kernel says it, whatever the socket's name and its permissions."""
    user = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: user + stranger)
    here, there = socket.socketpair()
    with here, there:
        assert is_own(here) is own
