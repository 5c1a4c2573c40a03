"""docker buildx's record of a builder is read as the config of a stack."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from buildkit_builders.buildx import RecordError, read_instance, stack_config

_NODE = {
    "Name": "one_a",
    "Endpoint": "kubernetes:///kube?deployment=other&kubeconfig=%2Fhome%2Fa%2Fconfig",
    "Platforms": [{"architecture": "arm", "os": "linux", "variant": "v7"}],
    "DriverOpts": {"namespace": "builds", "replicas": "2", "env.A": "b"},
    "Flags": ["--debug", "--allow-insecure-entitlement=network.host"],
    "Files": {
        "buildkitd.toml": base64.b64encode(b"debug = true\n").decode(),
        "certs/registry/ca.crt": "",
    },
}


def _record(*nodes: Any, **fields: Any) -> str:
    return json.dumps({"Name": "kube", "Driver": "kubernetes", "Nodes": nodes, "Dynamic": False, **fields})


def test_a_record_is_a_config() -> None:
    """Names, platforms and options are kept; docker buildx's own flag is left out."""
    other = {"Name": "two", "Endpoint": _NODE["Endpoint"], "Platforms": None, "DriverOpts": {"namespace": "other"}}
    instance = read_instance(_record(_NODE, other), "kube")
    assert stack_config(instance) == {
        "builder:name": "kube",
        "builder:namespace": "builds",
        "builder:kubeconfig": "/home/a/config",
        "builder:nodes": [
            {
                "name": "one-a",
                "platforms": ["linux/arm/v7"],
                "driver-opts": {
                    "replicas": "2",
                    "env.A": "b",
                    "buildkitd.flags": ["--debug"],
                    "buildkitd.config": {"debug": True},
                },
            },
            {"name": "two", "driver-opts": {"namespace": "other"}},
        ],
    }
    assert instance.nodes[0].files == ("certs/registry/ca.crt",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has no nodes"),
        (_record(), "has no nodes"),
        (_record(_NODE, Driver="docker-container"), "has driver docker-container"),
        (_record(_NODE, {**_NODE, "Endpoint": ""}), "several kubeconfigs"),
        (_record(5), "is no mapping"),
        (_record({**_NODE, "Name": ""}), "has no name"),
        (_record({**_NODE, "DriverOpts": {"replicas": 2}}), "are no texts"),
        (_record({**_NODE, "Flags": 5}), "flags of node one_a are no texts"),
        (_record({**_NODE, "Platforms": ["linux"]}), "platforms of node one_a cannot be read"),
        (_record({**_NODE, "Files": {"buildkitd.toml": "?"}}), "buildkitd.toml of node one_a cannot be read"),
        (_record({**_NODE, "Files": ["a"]}), "files of node one_a are no mapping"),
    ],
)
def test_what_is_no_record_is_refused(text: str, words: str) -> None:
    """In one line that says what is wrong."""
    with pytest.raises(RecordError, match=words):
        read_instance(text, "kube")
