"""`python -m bench`: measures all cases, prints a table, writes it where told."""

from __future__ import annotations

import argparse
import datetime
import secrets
import sys
import tempfile
from pathlib import Path

from bench import cases, startup
from bench.ground import Ground, cluster_environment
from bench.measure import BenchError
from bench.report import Report, Row, line, page

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Runs what was asked for; 1 if something that should work failed."""
    asked = _parser().parse_args(arguments)
    try:
        report = _measure(asked)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    text = page(report)
    print(text)
    if asked.write:
        asked.write.write_text(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [case.name for case in cases.CASES]
    parser.add_argument("--only", action="append", choices=names, help="measure this case (may be repeated)")
    parser.add_argument("--rounds", type=int, help="rounds of each case (default: each case's own)")
    parser.add_argument("--scale", type=float, default=1, help="size of the large contexts (default 1)")
    parser.add_argument("--no-bootstrap", action="store_true", help="leave out docker buildx's minute of starting")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the report there too")
    return parser


def _measure(asked: argparse.Namespace) -> Report:
    name = f"bench-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ground = Ground(Path(folder), name, cluster_environment())
        ground.prepare()
        peer = f"{name}-peer"
        ground.run("kubectl", "create", "namespace", peer)
        try:
            return _all(ground, peer, asked)
        finally:
            ground.run("kubectl", "delete", "namespace", peer, "--wait=false")
            ground.destroy()


def _all(ground: Ground, peer: str, asked: argparse.Namespace) -> Report:
    started = None
    if asked.no_bootstrap:
        ground.up()
    else:
        _say("two nodes, from nothing …")
        started = startup.bootstrap(ground, peer)
    ground.attach()
    rows, imported = [], None
    for case in cases.CASES:
        if asked.only and case.name not in asked.only:
            continue
        _say(f"{case.title} …")
        row = Row(case.title, cases.run(ground, case, scale=asked.scale, rounds=asked.rounds))
        rows.append(row)
        _say(line(row))
        if case.name == "cached":
            imported = startup.imports(ground, ground.folder / "ours" / case.name)
    command = "python -m bench" + (f" {' '.join(sys.argv[1:])}" if sys.argv[1:] else "")
    return Report(rows, started, imported, command, f"{datetime.date.today():%Y-%m-%d}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
