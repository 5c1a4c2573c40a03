"""Inputs on which readers failed once, shrunk and made readable; they must not fail again."""

from __future__ import annotations

import base64
import json

DEEP = b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
"""Deeper than Python's calls go."""


def _kubeconfig(**user: object) -> bytes:
    return json.dumps(
        {
            "clusters": [{"name": "c", "cluster": {"server": "https://a", "extensions": user.pop("extensions", None)}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
    ).encode()


def _source(data: object, start: object) -> bytes:
    return json.dumps({"info": {"data": data}, "ranges": [{"start": start}]}).encode()


def _index(**entry: object) -> bytes:
    media_type = "application/vnd.oci.image.index.v1+json"
    return json.dumps([{"descriptor": {"mediaType": media_type}, "manifest": {"manifests": [entry, entry]}}]).encode()


def _compressed_point() -> bytes:
    """An OpenSSH key of ECDSA whose public point is in a form that the library does not read."""
    kind, curve = b"ecdsa-sha2-nistp256", b"nistp256"
    public = b"".join(len(one).to_bytes(4, "big") + one for one in (kind, curve, b"\x02" + bytes(32)))
    none = b"\0\0\0\x04none"
    parts = (b"openssh-key-v1\0", none, none, bytes(4), b"\0\0\0\1", len(public).to_bytes(4, "big"), public, bytes(4))
    text = base64.encodebytes(b"".join(parts))
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + text + b"-----END OPENSSH PRIVATE KEY-----\n"


FOUND: dict[str, tuple[bytes, ...]] = {
    "engine-messages": (b'\x00{"stream":"' + b"x" * 300_000,),
    "builder-output": (b'{"version": Infinity}', b'{"version": NaN}', b"[" * 100_000, DEEP),
    "kubeconfig": (
        b"contexts:\n- name: x\n  context: x",
        b"current-context: 2020-99-99",
        b"current-context: " + b"1" * 5000,
        b"users:\n- name: u\n  user: u\ncontexts:\n- name: x\n  context: {user: u}",
        _kubeconfig(**{"as-groups": True}),
        _kubeconfig(**{"as-user-extra": [1]}),
        _kubeconfig(**{"as-user-extra": {"a": 1}}),
        _kubeconfig(exec={"command": "c", "args": 1}),
        _kubeconfig(exec={"command": "c", "env": ["a"]}),
        _kubeconfig(exec={"command": "c", "provideClusterInfo": True}, extensions=1),
        DEEP,
    ),
    "builders-kubeconfig": (b"a" * 5000, b"a: 1\nb: 2020-99-99\n", b"~nobody-of-that-name/config", DEEP),
    "docker-config": (b'{"credsStore": "\\u0000"}', DEEP),
    "sizes": (b"9" * 400, b"1" * 50_000 + b"-"),
    "ulimits": (b"core=" + b"1" * 5000,),
    "challenge": (b"Bearer " + b"e" * 90_000,),
    "token": (DEEP,),
    "registry-error": (b'{"errors": 1}', DEEP),
    "merge": (
        _index(platform="a"),
        _index(platform=""),
        _index(platform=[1]),
        _index(annotations="a"),
        _index(annotations=6),
    ),
    "provenance-1": (DEEP,),
    "provenance-0.2": (b"1", b"[null]", DEEP),
    "workers": (b"\n\x1f\n\x01w\x12\x06\n\x01a\x12\x01b\x1a\x12\n\x05arm64\x12\x05linu'\x1a\x02v8",),
    "error-details": (b"b",),
    "error-source": (
        b"1",
        *(_source(data, {"line": 1}) for data in ("T", [], "é", None)),
        *(_source("", start) for start in (1, {"line": ""}, {"line": []}, {"line": float("inf")})),
        DEEP,
    ),
    "error-vertex": (b"[null]", DEEP),
    "pulumi-state": (b'{"checkpoint": {"latest": {"resources": true}}}', DEEP),
    "exec-status": (DEEP,),
    "ssh-key": (_compressed_point(),),
}
