"""What a keeper is asked, and what it does not do."""

from __future__ import annotations

import json

import pytest

from buildclient.keep.wire import MAX_LINE, End, Get, Tunnel, line, read_request


def test_what_a_build_needs_is_read() -> None:
    """Lists of pods, a ConfigMap, a tunnel, the end."""
    pods = {"get": "/api/v1/namespaces/n/pods", "query": {"labelSelector": "a=b"}}
    assert read_request(line(pods)) == Get("/api/v1/namespaces/n/pods", (("labelSelector", "a=b"),))
    config = {"get": "/api/v1/namespaces/n/configmaps/kube-builder", "query": {}}
    assert read_request(line(config)) == Get("/api/v1/namespaces/n/configmaps/kube-builder", ())
    tunnel = {"tunnel": "p-0", "namespace": "n", "container": ""}
    assert read_request(line(tunnel)) == Tunnel("n", "p-0", "")
    assert read_request(line({"end": True})) == End()


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        7,
        {"end": "yes"},
        {"get": "/api/v1/namespaces/n/secrets", "query": {}},
        {"get": "/api/v1/namespaces/n/configmaps/../secrets/x", "query": {}},
        {"get": "/api/v1/namespaces/n/pods"},
        {"tunnel": "p/../x", "namespace": "n", "container": "c"},
        {"tunnel": "p", "namespace": "n"},
        {"tunnel": "p", "namespace": "n", "container": "c d"},
    ],
)
def test_everything_else_is_refused(value: object) -> None:
    """It is no way to whatever the credentials allow."""
    with pytest.raises(ValueError, match=r"."):
        read_request(json.dumps(value).encode() + b"\n")
    with pytest.raises(ValueError, match=r"."):
        read_request(b'{"end": true, "x": "' + b"x" * MAX_LINE + b'"}\n')
