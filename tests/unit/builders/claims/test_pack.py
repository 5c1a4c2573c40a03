"""The guardrails as a policy pack: asked as Pulumi's engine asks, by gRPC, with the same examples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import json_format, struct_pb2
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from tests.unit.builders.claims.examples import BAD, GOOD, changed
from tests.unit.builders.claims.files import PLATFORM

_RULES = {
    **PLATFORM,
    "required-labels": ["cost-center"],
    "privileged": ["builders-a"],
    "policies": {"image-digest": "warning"},
}


class _Pack:
    """A running pack."""

    def __init__(self, port: str) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._stub: Any = analyzer_pb2_grpc.AnalyzerStub(self._channel)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def names(self) -> set[str]:
        """The names of its policies."""
        return {one.name for one in self._stub.GetAnalyzerInfo(Empty(), timeout=60).policies}

    def found(self, objects: list[dict[str, Any]]) -> dict[tuple[str, int], str]:
        """What it says of objects, one by one and all together, by policy and level of enforcement."""
        said: dict[tuple[str, int], str] = {}
        for one in objects:
            said |= _said(self._stub.Analyze(analyzer_pb2.AnalyzeRequest(**_fields(one)), timeout=60))
        resources = [analyzer_pb2.AnalyzerResource(**_fields(one)) for one in objects]
        return said | _said(self._stub.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=resources), timeout=60))


def _said(response: Any) -> dict[tuple[str, int], str]:
    return {(one.policyName, one.enforcementLevel): one.message for one in response.diagnostics}


def _fields(one: dict[str, Any]) -> dict[str, Any]:
    properties = json_format.ParseDict(one, struct_pb2.Struct())
    name = f"{one['kind']}-{one['metadata']['name']}"
    kind = f"kubernetes:apps/v1:{one['kind']}"
    return {"type": kind, "urn": f"urn:pulumi:s::p::{kind}::{name}", "name": name, "properties": properties}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Pack]:
    """A pack with the rules above, in a process as the engine starts it."""
    file = tmp_path_factory.mktemp("pack") / "platform.yaml"
    file.write_text(yaml.safe_dump(_RULES))
    command = [sys.executable, "-m", "buildkit_builders.claims.pack", "127.0.0.1:1"]
    environment = {**os.environ, "BUILDERS_PLATFORM": str(file)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        one = _Pack(process.stdout.readline().strip())
        yield one
        one.close()
        process.kill()


def test_a_good_builder_passes_the_pack(pack: _Pack) -> None:
    """Nothing is said of objects that are as they should be."""
    assert pack.found(GOOD) == {}
    assert pack.names() == {name for name, *_ in BAD}


@pytest.mark.parametrize("name", sorted({name for name, *_ in BAD}))
def test_the_pack_finds_each_bad_example(pack: _Pack, name: str) -> None:
    """The same examples as of claims, with the same words, and the severity of the platform's file."""
    path, value, said = next(rest for one, *rest in BAD if one == name)
    found = pack.found(changed(path, value))
    level = analyzer_pb2.ADVISORY if name == "image-digest" else analyzer_pb2.MANDATORY
    assert said in found[name, level]


def test_a_wrong_file_of_rules_ends_the_pack_with_its_problems(tmp_path: Path) -> None:
    """Policies by rules that were not read would let anything through."""
    (tmp_path / "platform.yaml").write_text("polices: {}\n")
    command = [sys.executable, "-m", "buildkit_builders.claims.pack"]
    environment = {name: value for name, value in os.environ.items() if name != "BUILDERS_PLATFORM"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'platform.yaml:1: polices: there is no key "polices" (did you mean "policies"?)' in done.stderr
    assert "Traceback" not in done.stderr
