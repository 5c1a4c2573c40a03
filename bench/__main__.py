"""`python -m bench`: measures all cases, prints a table, writes it where told.

QUICK=1 takes the contexts small and the rounds few, for less than ten minutes, and fails where a case is more than a
fifth behind its goal and its bound.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import cases, manypods, planning, startup
from bench.ground import Ground, cluster_environment
from bench.measure import BenchError
from bench.report import Report, Row, figure, line, page
from bench.sweeps import SWEEPS, drawn
from bench.verdict import BOUNDS, Figure, behind, latest

__all__ = ["main"]

_QUICK_ROUNDS, _QUICK_MINUTES = 3, 8
_MANY, _MANY_TITLE = "ls-many", "`ls` of 1,000 pods"


def main(arguments: list[str] | None = None) -> int:
    """Runs what was asked for; 1 if something that should work failed, or a quick run is behind a goal."""
    asked = _parser().parse_args(arguments)
    try:
        report = _measure(asked)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    text, figures = page(report), _figures(report)
    print(text)
    if asked.write:
        asked.write.write_text(text)
    if asked.json:
        asked.json.write_text(latest(figures))
    late = behind(figures)
    for one in late:
        value = f"{one.ours:.3f} s" if one.ratio is None else f"{one.ratio:.2f}"
        bound = f", bound {BOUNDS[one.name]:g}" if one.name in BOUNDS else ""
        print(f"bench: {one.name} is behind: {value}, goal {one.goal:g}{bound}", file=sys.stderr)
    return 1 if report.failed or (asked.quick and late) else 0


def _figures(report: Report) -> list[Figure]:
    figures = [figure(row) for row in report.rows]
    if report.bootstrap:
        pair = report.bootstrap
        figures.insert(0, Figure("bootstrap", pair.seconds("ours"), pair.seconds("buildx"), startup.GOAL))
    return [*figures, *(one[0] for one in (report.planning, report.many) if one)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [*(case.name for case in cases.CASES), _MANY]
    parser.add_argument("--only", action="append", choices=names, help="measure this case (may be repeated)")
    parser.add_argument("--rounds", type=int, help="rounds of each case (default: each case's own)")
    parser.add_argument("--scale", type=float, default=1, help="size of the large contexts (default 1)")
    parser.add_argument("--no-bootstrap", action="store_true", help="leave out docker buildx's minute of starting")
    parser.add_argument("--plots", action="store_true", help="draw the curves too, beside the page of --write")
    parser.add_argument("--plot", action="append", choices=[one.name for one in SWEEPS], help="draw this curve")
    parser.add_argument("--minutes", type=float, default=0, help="begin no case after so many minutes")
    parser.add_argument("--note", default="", help="what else the page is to say of the machine")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    quick = os.environ.get("QUICK", "") not in ("", "0")
    parser.add_argument("--quick", action="store_true", default=quick, help="small contexts, few rounds (QUICK=1)")
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
    begun = time.monotonic()
    started = None
    failed: list[str] = []
    left_out: list[str] = []
    if asked.no_bootstrap or asked.quick:
        ground.up()
        left_out.append("two nodes from nothing to ready")
    else:
        _say("two nodes, from nothing …")
        started = startup.bootstrap(ground, peer)
    ground.attach(kubeconfig=ground.by_link())
    minutes = asked.minutes or (_QUICK_MINUTES if asked.quick else 0)
    until = begun + minutes * 60 if minutes else math.inf
    plots = _plots(ground, asked, failed, until)
    rows: list[Row] = []
    imported = None
    for case in cases.CASES:
        if time.monotonic() > until or (asked.only and case.name not in asked.only):
            left_out.append(case.title)
            continue
        row = _row(ground, case, asked, failed)
        if row:
            rows.append(row)
        if row and case.name == "cached":
            imported = startup.imports(ground, ground.folder / "ours" / case.name)
    decided = Figure("planning", planning.seconds(), None, planning.GOAL), planning.sums_seconds()
    many = None
    if not asked.quick and (_MANY in asked.only if asked.only else time.monotonic() < until):
        many = _many(ground, failed)
    else:
        left_out.append(_MANY_TITLE)
    words = [word for word in sys.argv[1:] if word not in (asked.note, "--note")]
    quick = "QUICK=1 " if asked.quick and "--quick" not in words else ""
    command = quick + " ".join(["python -m bench", *words])
    date = f"{datetime.date.today():%Y-%m-%d}"
    return Report(rows, started, imported, decided, many, failed, left_out, plots, command, date, asked.note)


def _row(ground: Ground, case: cases.Case, asked: argparse.Namespace, failed: list[str]) -> Row | None:
    scale = asked.scale * (case.quick if asked.quick else 1)
    sized = case.quick != 1 and scale != 1
    title = f"{case.title}, at {scale:g} of its size" if sized else case.title
    _say(f"{title} …")
    rounds = asked.rounds or (min(_QUICK_ROUNDS, case.rounds) if asked.quick else None)
    try:
        row = Row(case.name, title, cases.run(ground, case, scale=scale, rounds=rounds), case.goal)
    except BenchError as error:
        # One case that fails spares the others; the run fails at its end.
        _say(f"bench: {error}")
        failed.append(f"{title}: {str(error).splitlines()[0]}")
        return None
    _say(line(row))
    return row


def _many(ground: Ground, failed: list[str]) -> tuple[Figure, int] | None:
    _say(f"{_MANY_TITLE} …")
    try:
        runs = manypods.listed(ground)
    except BenchError as error:
        _say(f"bench: {error}")
        failed.append(f"{_MANY_TITLE}: {str(error).splitlines()[0]}")
        return None
    seconds = statistics.median(ran.seconds for ran in runs)
    return Figure(_MANY, seconds, None, manypods.GOAL), max(ran.memory for ran in runs)


def _plots(ground: Ground, asked: argparse.Namespace, failed: list[str], until: float) -> Sequence[tuple[str, str]]:
    plots: list[tuple[str, str]] = []
    if not asked.write:
        return plots
    for sweep in SWEEPS:
        file = asked.write.with_name(f"{asked.write.stem}-{sweep.name}.svg")
        wanted = sweep.name in (asked.plot or ()) if asked.plot else asked.plots
        if wanted and time.monotonic() < until:
            _say(f"{sweep.title} …")
            try:
                file.write_text(drawn(ground, sweep, asked.rounds or _QUICK_ROUNDS))
            except BenchError as error:
                _say(f"bench: {error}")
                failed.append(f"{sweep.title} (plot): {str(error).splitlines()[0]}")
                continue
            plots.append((sweep.title, file.name))
        elif file.exists():
            plots.append((f"{sweep.title} (drawn by an earlier run)", file.name))
    return plots


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
