"""Messages that are made by upb alone are those that protobuf's own builder makes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import buildclient.proto
from buildclient.proto import control_pb2
from buildclient.proto.lighten import lightened

_FOLDER = Path(buildclient.proto.__path__[0])
_MODULES = sorted(path.stem for path in _FOLDER.glob("*_pb2.py"))
_BY_BUILDER = """
import sys
sys.modules["google._upb._message"] = None  # as where it is not installed
from buildclient.proto import loading
from importlib import import_module
for module in sys.argv[1:]:
    names = vars(import_module(f"buildclient.proto.{module}"))
    print({name: one.__name__ for name, one in names.items() if isinstance(one, type) and name[0].isupper()})
"""


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_the_builder_makes_the_same_names(implementation: str) -> None:
    """Where upb is not there, as with protobuf's implementation in Python."""
    program = _BY_BUILDER if implementation == "python" else _BY_BUILDER.replace('sys.modules["goo', "#")
    environment = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation, "PYTHONPATH": str(_FOLDER.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program, *_MODULES], env=environment, capture_output=True, text=True, check=True
    )
    made = [vars(importlib.import_module(f"buildclient.proto.{module}")) for module in _MODULES]
    expected = [
        {name: one.__name__ for name, one in names.items() if isinstance(one, type) and name[0].isupper()}
        for names in made
    ]
    assert done.stdout.splitlines() == [str(one) for one in expected]


def test_a_message_goes_over_the_wire_and_back() -> None:
    """Nested ones, moments and repeated ones too."""
    sent = control_pb2.StatusResponse(vertexes=[control_pb2.Vertex(digest="sha256:a", name="RUN")])
    sent.vertexes[0].started.seconds = 3
    back = control_pb2.StatusResponse.FromString(sent.SerializeToString())
    assert back == sent
    assert back.vertexes[0].HasField("started")
    assert not back.vertexes[0].HasField("completed")


def test_only_what_protoc_wrote_is_rewritten() -> None:
    """Not what was rewritten already."""
    with pytest.raises(ValueError, match="this is not what protoc writes"):
        lightened((_FOLDER / "auth_pb2.py").read_text(), "auth_pb2")
