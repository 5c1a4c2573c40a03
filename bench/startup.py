"""Two comparisons of another kind: how long two nodes take to be ready, and what our client's imports cost."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.ground import ARCHITECTURES, ROOT, Ground
from bench.measure import Pair, Ran

__all__ = ["bootstrap", "imports"]

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
import importlib, json, os, sys
for name in json.load(open(sys.argv[1])):
    if name not in sys.modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            pass  # put into the table by another module
os._exit(0)
"""


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


def imports(ground: Ground, context: Path, rounds: int = 15) -> tuple[float, float]:
    """Seconds that all modules of a cached build take, bare interpreter included; and those of the interpreter.

    The least of several runs each, byte code being there. `context` is of a build whose steps are cached.
    """
    names = ground.folder / "modules.json"
    environment = {**ground.environment, "BUILDCLIENT_BUILDER": str(ground.output_file("one"))}
    command = [sys.executable, "-c", _TRACED, str(names), "build", "--provenance=false", str(context)]
    subprocess.run(command, env=environment, check=True, cwd=ground.folder, capture_output=True, timeout=60)
    all_of_them = [sys.executable, "-c", _IMPORTED, str(names)]
    bare = [sys.executable, "-c", "pass"]
    return _least(all_of_them, environment, rounds), _least(bare, environment, rounds)


def _least(command: list[str], environment: dict[str, str], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run(command, env=environment, check=True, cwd=ROOT, timeout=60, capture_output=True)
        taken.append(time.perf_counter() - begun)
    return min(taken)
