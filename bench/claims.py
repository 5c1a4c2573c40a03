"""`python -m bench.claims`: plan and apply of many claims on the local cluster, in time and memory.

Two of the claims are not good: one has a mistake, one is over its team's limit. The rest is planned, applied, planned
again, and destroyed. With `--no-pods` the builders have no pods, so that what is measured is Pulumi and the API server;
otherwise every builder's pod becomes ready. Memory is the proportional set size of the command and of everything that
it starts, once a second: pages that processes share count once.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from bench.ground import cluster_environment
from bench.measure import BenchError

__all__ = ["main"]

_BIN = Path(sys.executable).parent
_MIB = 1 << 20


class Measured(NamedTuple):
    """One command."""

    name: str
    seconds: float
    processor: float
    """Seconds of processor time, of it and of what it started and waited for: they depend less on what else runs."""
    memory: int
    """Bytes at most, of all its processes together."""
    report: Mapping[str, Any]

    def line(self) -> str:
        """A row of the page's table."""
        rows = self.report["claims"]
        counts = {status: sum(row["status"] == status for row in rows) for status in ("changed", "unchanged", "failed")}
        said = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
        return (
            f"| {self.name} | {self.seconds:.0f} s | {self.processor:.0f} s | {self.memory / _MIB:.0f} MiB | {said} |"
        )


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints a table; 1 if a claim that should go through did not."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims", description=__doc__)
    parser.add_argument("--claims", type=int, default=50, help="how many (default 50)")
    parser.add_argument("--parallel", type=int, default=4, help="stacks at once (default 4)")
    parser.add_argument("--no-pods", action="store_true", help="builders without pods")
    asked = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-claims-") as folder:
            return _measure(Path(folder), asked)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _measure(folder: Path, asked: argparse.Namespace) -> int:
    environment = {
        **cluster_environment(),
        "PULUMI_BACKEND_URL": f"file://{folder}/state",
        "PULUMI_CONFIG_PASSPHRASE": "x",
    }
    prefix = f"bench-{secrets.token_hex(3)}"
    _write(folder, prefix, asked, environment)
    good = asked.claims - 2
    done: list[Measured] = []
    try:
        for name, command in (
            ("first plan", ["plan"]),
            ("apply", ["apply", "--yes"]),
            ("second plan", ["plan"]),
            ("second apply", ["apply", "--yes"]),
        ):
            done.append(_run(name, command, folder, environment, asked.parallel))
            print(done[-1].line(), flush=True)
    finally:
        done.append(_run("destroy", ["destroy", "--yes"], folder, environment, asked.parallel))
        print(done[-1].line(), flush=True)
    wanted = {"first plan": "changed", "apply": "changed", "second plan": "unchanged", "second apply": "unchanged"}
    wrong = [
        f"{one.name}: {row['claim']} is {row['status']}: {row['error']}"
        for one in done
        for row in one.report["claims"]
        if row["status"] != wanted.get(one.name, "changed")
    ]
    refused = {problem["claim"] for problem in done[0].report["problems"]}
    print(f"refused: {', '.join(sorted(refused))}; load of the machine: {os.getloadavg()[1]:.1f}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong or len(refused) != 2 or len(done[0].report["claims"]) != good else 0


def _write(folder: Path, prefix: str, asked: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """JSON is YAML."""
    (folder / "claims").mkdir()
    (folder / "state").mkdir()
    context = subprocess.run(
        ["kubectl", "config", "current-context"],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout.strip()
    platform = {
        "clusters": {"main": {"context": context}},
        "namespaces": f"{prefix}-{{team}}",
        "sizes": {"small": {"requests": {"cpu": "5m", "memory": "16Mi"}, "replicas": {"max": 3}}},
        "privileged": [f"{prefix}-*"],
        "defaults": {"privileged": True},
        "limits": {"team": {"pods": 2}},
        "policies": {"image-digest": "off"},
        "driver-opts": {"timeout": "10m"},
    }
    (folder / "platform.yaml").write_text(json.dumps(platform))
    for number in range(asked.claims):
        claim: dict[str, Any] = {"name": "main", "owner": "bench"}
        if asked.no_pods:
            claim["expires"] = "2020-01-01"
        if number == 0:
            claim["size"] = "smal"
        elif number == 1:
            claim = {**claim, "scaling": {"max": 3}}
            claim.pop("expires", None)
        (folder / "claims" / f"team{number:03}.yaml").write_text(json.dumps(claim))


def _run(name: str, command: list[str], folder: Path, environment: Mapping[str, str], parallel: int) -> Measured:
    began, used = time.monotonic(), _processor()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(_BIN / "builders"), "claims", *command, "--json", "--parallel", str(parallel)],
            cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
        with _watched(process.pid) as most:
            out, _ = process.communicate(timeout=3600)
        seconds = time.monotonic() - began
        said.seek(0)
        words = said.read().decode(errors="replace")
    try:
        return Measured(name, seconds, _processor() - used, most[0], json.loads(out))
    except ValueError:
        raise BenchError(f"builders claims {' '.join(command)}: status {process.returncode}\n{words[-1500:]}") from None


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    """The most memory so far of a process and all that it starts, in a list of one."""
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(1):
            most[0] = max(most[0], sum(map(_memory, _family(pid))))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _family(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _memory(pid: int) -> int:
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    sys.exit(main())
