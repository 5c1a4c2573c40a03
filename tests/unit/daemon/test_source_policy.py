"""EXPERIMENTAL_BUILDKIT_SOURCE_POLICY: its file becomes the daemon's message, or one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from buildclient.base.errors import UsageError
from buildclient.daemon.solve_message import solve_message
from buildclient.daemon.source_policy import VARIABLE, encode_source_policy, read_source_policy
from buildclient.proto import control_pb2, sourcepolicy_pb2
from buildclient.request.solve import SolveRequest

_RULE = {
    "action": "CONVERT",
    "selector": {
        "identifier": "docker-image://a:*",
        "match_type": "REGEX",
        "constraints": [{"key": "k", "value": "v", "condition": "NOTEQUAL"}],
    },
    "updates": {"identifier": "docker-image://b:1", "attrs": {"Http.Checksum": "sha256:0"}},
}


def _rule(value: Any) -> Any:
    return sourcepolicy_pb2.Policy.FromString(encode_source_policy(json.dumps({"rules": [value]}).encode())).rules[0]


def test_a_rule() -> None:
    """Every field; names of fields in any case, those of attributes as they are."""
    rule = _rule(_RULE)
    assert (rule.action, rule.selector.identifier, rule.selector.match_type) == (2, "docker-image://a:*", 2)
    constraint = rule.selector.constraints[0]
    assert (constraint.key, constraint.value, constraint.condition) == ("k", "v", 1)
    assert (rule.updates.identifier, dict(rule.updates.attrs)) == ("docker-image://b:1", {"Http.Checksum": "sha256:0"})
    assert _rule({"Action": 1, "SELECTOR": None, "more": 1}).action == 1


def test_a_message_is_sent_as_it_is() -> None:
    """docker buildx takes the file in this form too."""
    data = sourcepolicy_pb2.Policy(version=1).SerializeToString()
    assert encode_source_policy(data) == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"rules": {}}',
        '{"rules": [1]}',
        '{"rules": [{"action": "allow"}]}',
        '{"rules": [{"action": 3}]}',
        '{"rules": [{"selector": {"identifier": 1}}]}',
        '{"rules": [{"updates": {"attrs": {"a": 1}}}]}',
        '{"version": "1"}',
    ],
)
def test_what_is_no_policy(text: str) -> None:
    """One line says so. (An empty file is an empty message.)"""
    if not text:
        assert encode_source_policy(b"") == b""
        return
    with pytest.raises(UsageError, match=r"^failed to parse source policy: "):
        encode_source_policy(text.encode())


def test_the_environment(tmp_path: Path) -> None:
    """The variable names a file; empty is none."""
    assert read_source_policy({VARIABLE: ""}) == b""
    (tmp_path / "p.json").write_text(json.dumps({"version": 1}))
    assert read_source_policy({VARIABLE: f"{tmp_path}/p.json"}) == b"\x08\x01"
    with pytest.raises(UsageError, match=r"^failed to read policy file: open .*/nope: no such file or directory$"):
        read_source_policy({VARIABLE: f"{tmp_path}/nope"})
    with pytest.raises(UsageError, match="is no file"):
        read_source_policy({VARIABLE: str(tmp_path)})


def test_the_solve_carries_it() -> None:
    """In the daemon's own field, and not at all without one."""
    with_policy = solve_message(SolveRequest("r", "f", {}, source_policy=b"\x08\x01"), "s")
    assert control_pb2.SolveRequest.FromString(with_policy.SerializeToString()).source_policy == b"\x08\x01"
    assert not solve_message(SolveRequest("r", "f", {}), "s").HasField("source_policy")
