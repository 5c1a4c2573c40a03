"""Two comparisons of another kind: how long two nodes take to be ready, and what our client's imports cost."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.ground import ARCHITECTURES, ROOT, Ground
from bench.measure import Pair, Ran

__all__ = ["GOAL", "Imports", "bootstrap", "imports"]

GOAL = 0.08
"""The ratio that is aimed at for two nodes from nothing to ready."""

# Runs a build, then tells what had been imported for it, in that order.
_TRACED = """
import sys
before = set(sys.modules)
from buildclient.cli.main import status_of
status = status_of(sys.argv[2:])
names = [name for name in sys.modules if name not in before and sys.modules[name] is not None]
import json
with open(sys.argv[1], "w") as file:
    json.dump(names, file)
sys.exit(status)
"""
# The same in a fresh process, collection being off and the end being abrupt as in the client's own.
_IMPORTED = """
import gc
gc.disable()
import json, os, sys
for name in json.load(open(sys.argv[1])):
    if name not in sys.modules:
        try:
            __import__(name)
        except ModuleNotFoundError:
            pass  # put into the table by another module
os._exit(0)
"""
# By top module; whatever is not here is the standard library's.
_PACKAGES = {"h2": "h2", "hpack": "h2", "hyperframe": "h2",
             "google": "protobuf", "click": "click", "yaml": "PyYAML", "buildclient": "buildclient"}  # fmt: skip
_TRACE = re.compile(r"import time: +(\d+) \| +\d+ \| +([\w.]+)")
_TRACES = 5


class Imports(NamedTuple):
    """What the imports of a cached build cost, in seconds."""

    whole: float
    """The bare interpreter included."""
    bare: float
    """The interpreter alone."""
    shares: Mapping[str, float]
    """By package, without what it imports of others; the tracing costs a little too."""


def bootstrap(ground: Ground, namespace: str) -> Pair:
    """`pulumi up` beside `docker buildx create --bootstrap`, one call a node; images are on the nodes already.

    `namespace` is an empty one for docker buildx, which makes none.
    """
    ours = ground.up()
    begun = time.perf_counter()
    memory = 0
    for number, architecture in enumerate(ARCHITECTURES):
        ran = ground.run(
            ground.buildx, "create", *(["--append"] if number else []), "--bootstrap", "--name", "fresh",
            "--driver", "kubernetes", "--node", f"fresh-{architecture}", "--platform", f"linux/{architecture}",
            "--driver-opt", f"namespace={namespace},nodeselector=kubernetes.io/arch={architecture}",
        )  # fmt: skip
        memory = max(memory, ran.memory)
    return Pair((ours,), (Ran(time.perf_counter() - begun, memory),))


def imports(ground: Ground, context: Path, rounds: int = 15) -> Imports:
    """What all modules of a cached build take.

    The least of several runs each, byte code being there. `context` is of a build whose steps are cached.
    """
    names = ground.folder / "modules.json"
    environment = {**ground.environment, "BUILDCLIENT_BUILDER": str(ground.output_file("one"))}
    command = [sys.executable, "-c", _TRACED, str(names), "build", "--provenance=false", str(context)]
    subprocess.run(command, env=environment, check=True, cwd=ground.folder, capture_output=True, timeout=60)
    all_of_them = [sys.executable, "-c", _IMPORTED, str(names)]
    bare = [sys.executable, "-c", "pass"]
    whole, alone = _least(all_of_them, environment, rounds), _least(bare, environment, rounds)
    traced = min((_shares(all_of_them, environment) for _ in range(_TRACES)), key=lambda shares: sum(shares.values()))
    return Imports(whole, alone, traced)


def _shares(command: list[str], environment: dict[str, str]) -> Mapping[str, float]:
    done = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]],
        env=environment, check=True, cwd=ROOT, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    shares = Counter[str]()
    for taken, module in _TRACE.findall(done.stderr):
        shares[_PACKAGES.get(module.partition(".")[0], "the standard library")] += int(taken)
    return {name: taken / 1e6 for name, taken in shares.most_common()}


def _least(command: list[str], environment: dict[str, str], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run(command, env=environment, check=True, cwd=ROOT, timeout=60, capture_output=True)
        taken.append(time.perf_counter() - begun)
    return min(taken)
