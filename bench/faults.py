"""Builds whose ground breaks at random moments: ours and docker buildx side by side, on the same pods.

`python -m bench.faults` starts one build of each client at the same moment, breaks what both build on, and waits for
them, 20 times for each fault. It prints what became of them: the right image (the digest as without a fault), one clear
error with no tag and no metadata, no end within the limit, or something wrong; and whether a client left something.
Several may run side by side, each on a builder of its own: `--not-of-all` leaves out what would break the builds of
the others, `--json` keeps what each found, `--merge` prints it as one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.attempts import Running, Verdict, digest_of_tag
from bench.breakage import FAULTS, NODE, OF_ALL, PODS, STEPS, Scene, await_pods, steps_of
from bench.flaky import FlakyRegistry, Mode, flaky_registry
from bench.ground import ROOT, Ground, own_ground
from bench.measure import BenchError
from bench.relay import relayed_kubeconfig
from bench.report import table

__all__ = ["main"]

CLIENTS = ("ours", "docker buildx")
_LIMIT = 75.0
"""Seconds of a build: our client's `--timeout`."""
_LATE = 5.0
"""Seconds beyond it in which a build has to end."""
_SETTLED = 20.0
"""Seconds in which daemons end what clients no longer wait for."""
_RUN = secrets.randbelow(4000)
_STEPS = {client: f"1.{_RUN:04}{number}" for number, client in enumerate(CLIENTS)}
"""Seconds of each client's steps, as text: by it the processes of this run are found."""
_MODES: tuple[Mode, ...] = ("reset", "503")
_REGISTRY = {"reset": "registry resets a request of push or merge", "503": "registry answers one of them with 503"}


class Contest:
    """Both clients on one ground."""

    def __init__(
        self, ground: Ground, seed: int, registries: dict[str, FlakyRegistry], kubeconfigs: dict[str, Path]
    ) -> None:
        self._ground = ground
        self.chance = random.Random(seed)
        self._registries = registries
        plain = ",".join([ground.registry, *(registry.address for registry in registries.values())])
        self._environments = {
            client: {**ground.environment, "BUILDCLIENT_INSECURE_REGISTRIES": plain, "KUBECONFIG": str(path)}
            for client, path in kubeconfigs.items()
        }
        self._number = 0
        self._digests: dict[tuple[str, str], str] = {}
        for client, step in _STEPS.items():
            steps = "".join(f"RUN sleep {step} && echo {number} >/{number}\n" for number in range(STEPS))
            self._context(client, "one", f"FROM {ground.base}\nCOPY file /\n{steps}")
            self._context(client, "both", f"FROM {ground.base}\nARG TARGETARCH\nCOPY file /\nLABEL arch=$TARGETARCH\n")

    def _context(self, client: str, builder: str, dockerfile: str) -> None:
        folder = self._ground.folder / f"context-{client[:4]}-{builder}"
        folder.mkdir()
        (folder / "Dockerfile").write_text(dockerfile)
        (folder / "file").write_bytes(random.Random(client).randbytes(1 << 20))

    def start(self, client: str, builder: str = "one") -> Running:
        """Begins a client's build, with a tag of its own."""
        self._number += 1
        ground = self._ground
        registry = self._registries[client].address if builder == "both" else ground.registry
        name = f"faults/{ground.namespace}-{self._number}:1"
        if client == "ours":
            program = [str(ROOT / ".venv/bin/buildclient"), "build", "--builder-file", str(ground.output_file(builder))]
            program += [f"--timeout={_LIMIT:g}s"]
        else:
            program = [ground.buildx, "build", "--builder", builder]
        output = f"type=image,name={registry}/{name},push=true,registry.insecure=true,rewrite-timestamp=true"
        platforms = "linux/amd64,linux/arm64" if builder == "both" else "linux/amd64"
        command = [
            *program, "--progress=plain", "--no-cache", "--provenance=false", "--build-arg=SOURCE_DATE_EPOCH=1",
            f"--platform={platforms}", "--metadata-file=metadata.json", f"--output={output}",
            str(ground.folder / f"context-{client[:4]}-{builder}"),
        ]  # fmt: skip
        # Another time of change: the daemon has kept the file of the build before, and asks for it again.
        os.utime(ground.folder / f"context-{client[:4]}-{builder}/file", (self._number, self._number))
        folder = ground.folder / f"run-{self._number}"
        return Running(command, self._environments[client], folder, f"{ground.registry}/{name}")

    def digest(self, client: str, builder: str) -> str:
        """The digest of the image that a client makes without a fault. Raises BenchError."""
        if (client, builder) not in self._digests:
            run = self.start(client, builder)
            if run.finished(120):
                raise BenchError(f"{client} cannot build: {run.said()[-1500:]}")
            self._digests[client, builder] = digest_of_tag(run.tag)
        return self._digests[client, builder]

    def settled(self) -> str:
        """Waits until no step and no tunnel of the clients' runs in the cluster; what is left of them."""
        until = time.monotonic() + _SETTLED
        while True:
            steps = [f"a step of {client}" for client, step in _STEPS.items() if steps_of(step)]
            if not steps or time.monotonic() > until:
                return ", ".join(steps)
            time.sleep(0.2)


def _broken(contest: Contest, scene: Scene, fault: str) -> dict[str, Verdict]:
    """One round of a fault of the cluster."""
    await_pods(scene.ground)
    interrupts = fault.startswith("Ctrl-C")
    runs = {client: contest.start(client) for client in CLIENTS}
    with FAULTS[fault](scene._replace(runs=runs)):
        if interrupts:
            until = time.monotonic() + 20
            while "try 2 of 3" not in runs["ours"].said() and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(contest.chance.uniform(0, 4))
            with contextlib.suppress(ProcessLookupError):
                runs["ours"].process.send_signal(signal.SIGINT)
        ends = {client: run.end(_LIMIT + _LATE, contest.digest(client, "one")) for client, run in runs.items()}
    left = contest.settled()
    return {client: end._replace(left=end.left or (left if client in left else "")) for client, end in ends.items()}


def _refused(
    contest: Contest, registries: dict[str, FlakyRegistry], mode: Mode, most: dict[str, int]
) -> dict[str, Verdict]:
    """One round with a registry that fails at one request."""
    runs = {}
    for client in CLIENTS:
        registries[client].fail(contest.chance.randrange(most[client]), mode)
        runs[client] = contest.start(client, "both")
    return {client: run.end(_LIMIT + _LATE, contest.digest(client, "both")) for client, run in runs.items()}


def _told(verdicts: Sequence[Verdict]) -> str:
    counted = Counter(verdict.kind for verdict in verdicts)
    parts = [f"{counted[kind]} {kind}" for kind in ("right", "error", "unclear", "no end", "wrong") if counted[kind]]
    left = sum(bool(verdict.left) for verdict in verdicts)
    longest = max(verdict.seconds for verdict in verdicts)
    return ", ".join([*parts, *([f"{left} left something"] if left else []), f"≤ {longest:.0f} s"])


class Row(NamedTuple):
    """A fault, and what became of each client's builds."""

    fault: str
    verdicts: dict[str, list[Verdict]]

    def cells(self) -> list[str]:
        """The row of the table."""
        alone = self.fault.startswith("Ctrl-C")
        return [
            self.fault,
            *("–" if alone and client != "ours" else _told(self.verdicts[client]) for client in CLIENTS),
        ]


def _rounds(
    contest: Contest, scene: Scene, registries: dict[str, FlakyRegistry], count: int, faults: Sequence[str]
) -> Iterator[list[Row]]:
    """Gives what became of all builds so far, after each round of all faults."""
    most = {}
    for client in CLIENTS:
        contest.digest(client, "both")
        before = registries[client].seen
        contest.start(client, "both").finished(120)
        most[client] = registries[client].seen - before
    print(f"requests of a push and merge: {most}", file=sys.stderr)
    verdicts = {fault: {client: list[Verdict]() for client in CLIENTS} for fault in faults}
    # All faults in turn, so that a run which is interrupted has as many of each.
    for number in range(count):
        for fault, found in verdicts.items():
            mode = next((mode for mode in _MODES if _REGISTRY[mode] == fault), None)
            try:
                ends = _refused(contest, registries, mode, most) if mode else _broken(contest, scene, fault)
            except BenchError as error:
                print(f"{fault} {number + 1}: not made: {error}", file=sys.stderr, flush=True)
                continue
            for client, end in ends.items():
                found[client].append(end)
                told = f"{end.kind} after {end.seconds:.1f} s {end.left} {end.said[:300]}"
                print(f"{fault} {number + 1}: {client}: {told}", file=sys.stderr, flush=True)
        yield [Row(fault, dict(found)) for fault, found in verdicts.items() if found["ours"]]


def _faults(only: str) -> list[str]:
    return [fault for fault in (*_REGISTRY.values(), *FAULTS) if only in fault]


def main(arguments: list[str] | None = None) -> int:
    """Prints a table; 1 if a build of ours ended in neither the right image nor one clear error, or left something."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="builds of each client for each fault (default 20)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32), help="of the random moments")
    parser.add_argument("--only", default="", help="part of the names of the faults to make")
    parser.add_argument("--not-of-all", action="store_true", help="leave out what breaks the builds of others too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what became of each build there")
    parser.add_argument("--merge", type=Path, nargs="+", metavar="FILE", help="make none; print what such files hold")
    asked = parser.parse_args(arguments)
    if asked.merge:
        print(_table(_merged(asked.merge)))
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where a shell's background has them ignored: what was made is taken away again.
        signal.signal(number, signal.default_int_handler)
    print(f"seed {asked.seed}", file=sys.stderr)
    faults = [fault for fault in _faults(asked.only) if not (asked.not_of_all and fault in OF_ALL)]
    rows: list[Row] = []
    try:
        with contextlib.ExitStack() as stack:
            ground = stack.enter_context(own_ground("faults"))
            registries = {client: stack.enter_context(flaky_registry(ground.registry)) for client in CLIENTS}
            paths = {client: ground.folder / f"{client[:4]}.kubeconfig" for client in CLIENTS}
            relays = {
                client: stack.enter_context(relayed_kubeconfig(ground.environment, path))
                for client, path in paths.items()
            }
            _provision(ground)
            ground.attach(
                *(registry.address for registry in registries.values()), kubeconfig=str(paths["docker buildx"])
            )
            contest = Contest(ground, asked.seed, registries, paths)
            traffic = {}
            for client, relay in relays.items():
                before = dict(relay.passed)
                contest.digest(client, "one")
                traffic[client] = {way: relay.passed[way] - before[way] for way in relay.passed}
            print(f"bytes of a build: {traffic}", file=sys.stderr)
            scene = Scene(ground, contest.chance, _STEPS, relays, traffic)
            for rows in _rounds(contest, scene, registries, asked.count, faults):
                print(f"{_table(rows)}\n", flush=True)
                if asked.json:
                    asked.json.write_text(json.dumps([{"fault": row.fault, **row.verdicts} for row in rows]))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return int(any(end.left or end.kind not in ("right", "error") for row in rows for end in row.verdicts["ours"]))


def _table(rows: Sequence[Row]) -> str:
    return table(["while", *CLIENTS], (row.cells() for row in rows))


def _merged(files: Sequence[Path]) -> list[Row]:
    rows = {fault: Row(fault, {client: [] for client in CLIENTS}) for fault in _faults("")}
    for file in files:
        for found in json.loads(file.read_text()):
            for client in CLIENTS:
                rows[found["fault"]].verdicts[client].extend(Verdict(*one) for one in found[client])
    return [row for row in rows.values() if row.verdicts["ours"]]


def _provision(ground: Ground) -> None:
    """Two nodes whose pods do not wait for builds: a pod that is deleted by force is gone in a second."""
    common = {"default-requests": False, "wait-for-builds": False, "termination-grace-period": "1s"}
    amd64 = {**common, "replicas": PODS, "limits.memory": "400Mi", "nodeselector": "kubernetes.io/arch=amd64"}
    arm64 = {**common, "nodeselector": "kubernetes.io/arch=arm64"}
    ground.configure(
        {"name": NODE, "platforms": ["linux/amd64"], "driver-opts": amd64},
        {"name": "builder-arm64", "platforms": ["linux/arm64"], "driver-opts": arm64},
    )
    ground.up()


if __name__ == "__main__":
    sys.exit(main())
