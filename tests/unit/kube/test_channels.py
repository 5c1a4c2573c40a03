"""The channels of an exec, and how it ends."""

from __future__ import annotations

import pytest

from buildclient.kube.channels import close_frame, exit_message


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (b'{"metadata":{},"status":"Success"}', ""),
        (
            b'{"status":"Failure","message":"command terminated with\\n non-zero exit code"}',
            "command terminated with non-zero exit code",
        ),
        (b'{"status":"Failure","reason":"NotFound"}', "NotFound"),
        (b"not json", "not json"),
        (b"[]", ""),
    ],
)
def test_the_end_of_an_exec_is_understood(status: bytes, message: str) -> None:
    """The status of an exec is empty for success, else its message in one line."""
    assert exit_message(status) == message
    assert close_frame(0) == b"\xff\x00"
