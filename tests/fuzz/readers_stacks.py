"""Readers of what Pulumi says of a stack; `readers.py` says what a Reader is."""

from __future__ import annotations

import json
from typing import Any

from buildkit_builders.buildx import RecordError, read_instance, stack_config
from buildkit_builders.drift.compare import Object, compare, mended
from buildkit_builders.drift.lookout import provider_inputs
from buildkit_builders.drift.managed import handed_over
from buildkit_builders.locks import locks_in

from tests.fuzz.harness import Reader

_LOCK = b"\n  file:///s/.pulumi/locks/organization/p/dev/1.json: created by ada@laptop (pid 12) at 2026-11-25T10:00:00Z"

_RECORD = (
    b'{"Name":"kube","Driver":"kubernetes","Nodes":[{"Name":"a_b","Endpoint":"kubernetes:///kube?deployment=a_b&kubeconfig='
    b'%2Fk","Platforms":[{"architecture":"amd64","os":"linux"}],"DriverOpts":{"namespace":"n","replicas":"2"},"Flags":'
    b'["--debug"],"Files":{"buildkitd.toml":"ZGVidWcgPSB0cnVlCg=="}}],"Dynamic":false}'
)
_OBJECT = {
    "metadata": {
        "labels": {"a": "b"},
        "managedFields": [
            {
                "manager": "kubectl-edit",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:a": {}}},
                    "f:spec": {
                        "f:list": {'k:{"name":"x"}': {".": {}, "f:value": {}}},
                        "f:set": {'v:"y"': {}},
                        "f:one": {},
                    },
                },
            }
        ],
    },
    "spec": {"list": [{"name": "x", "value": 1}], "set": ["y"], "one": {"z": [1]}},
}
_WHICH = Object("urn", "Deployment", "n", "a")


def _compared(data: bytes) -> None:
    """What a cluster says of an object, beside what a stack declares."""
    live: Any = json.loads(data)
    if isinstance(live, dict):
        found = compare(_WHICH, {"spec": _OBJECT["spec"], "metadata": {"labels": {"a": "c"}}}, live, _OBJECT)
        mended(live, found.drift)
        managed = live.get("metadata")
        handed_over(managed.get("managedFields") or () if isinstance(managed, dict) else (), "us")


STACKS = (
    Reader(
        "managed-fields",
        _compared,
        (json.dumps(_OBJECT).encode(), b'{"metadata": {"managedFields": [{"fieldsV1": {"f:spec": {"v:1": {}}}}]}}'),
        (b'"f:a"', b'"k:{}"', b'"v:1"', b'"k:"', b"{}", b"[]", b"null", b'"fieldsV1"', b'"metadata"', b'"spec"'),
        (ValueError, RecursionError),
    ),
    Reader(
        "exported-providers",
        lambda data: provider_inputs(data.decode("utf-8", "surrogateescape")),
        (
            b'{"deployment": {"resources": [{"type": "pulumi:providers:kubernetes", "urn": "u", "inputs": {'
            b'"context": "c", "kubeconfig": {"4dabf18193072939515e22adb298388d": "1", "plaintext": "\\"k\\""}}}]}}',
        ),
        (b"{}", b"[]", b"null", b'"inputs"', b'"plaintext"', b'"pulumi:providers:kubernetes"'),
    ),
    Reader(
        "stack-locks",
        lambda data: [(str(lock), lock.is_stale()) for lock in locks_in(data.decode("utf-8", "surrogateescape"))],
        (b"error: the stack is currently locked by 1 lock(s)." + _LOCK, _LOCK + _LOCK),
        (b": created by ", b"@", b" (pid ", b") at ", b"99999999999", b"\n  "),
    ),
    Reader(
        "buildx-record",
        lambda data: stack_config(read_instance(data.decode("utf-8", "replace"), "kube")),
        (_RECORD, b'{"Driver":"kubernetes","Nodes":[{"Name":"a"}]}'),
        (b'"Files":', b'"Platforms":', b"null", b"[]", b"{}", b'"ZGVidWcgPSB0cnVlCg=="', b"kubernetes:///", b"&"),
        (RecordError,),
    ),
)
