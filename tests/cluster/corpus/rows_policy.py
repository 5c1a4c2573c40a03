"""Policies about a build's sources: Rego files, and rules that the environment names."""

from __future__ import annotations

from tests.cluster.corpus.row import Row

__all__ = ["ROWS"]

_REGO = 'package docker\ndecision := {"allow": false}\n'
_DENY = '{"rules": [{"action": "DENY", "selector": {"identifier": "docker-image://REGISTRY/*"}}]}'
_CONVERT = """{"rules": [{
  "action": "CONVERT",
  "selector": {"identifier": "docker-image://docker.io/library/no-such-image:1", "match_type": "EXACT"},
  "updates": {"identifier": "docker-image://BASE"}
}]}"""
_STATIC = {"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": "CONTEXT/policy.json"}
_OWN = "exit status 2: nothing is sent"
_OUT = ("-o", "OUT", "CONTEXT")

ROWS = (
    Row("policy-denied", ("CONTEXT",), "FROM BASE\n", files={"policy.json": _DENY}, env=_STATIC, fails=True),
    Row(
        "policy-converted",
        ("--no-cache", *_OUT),
        "FROM no-such-image:1 AS base\nFROM scratch\nCOPY --from=base /bin/sh /\n",
        files={"policy.json": _CONVERT},
        env=_STATIC,
    ),
    Row("policy-none", _OUT, env={"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": ""}),
    Row("policy-no-file", env=_STATIC, fails=True, unlike=_OWN),
    Row("policy-disabled", ("--policy", "disabled=true", *_OUT), files={"Dockerfile.rego": _REGO}),
    Row("policy-reset", ("--policy=reset=true,strict=true", *_OUT), files={"Dockerfile.rego": _REGO}),
    Row("policy-contradiction", ("--policy", "disabled=true", "--policy", "reset=true", "CONTEXT"), fails=True),
    Row("policy-wrong", ("--policy", "file=a.rego", "CONTEXT"), fails=True),
    Row(
        "policy-refused", dockerfile="FROM BASE\n", files={"Dockerfile.rego": _REGO}, fails=True,
        unlike="no evaluator here: one line instead of its decision",
    ),
)  # fmt: skip
