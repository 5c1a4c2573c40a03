"""`python -m tests.fuzz [--count N] [--seed S] [--seconds T] [--jobs J] [READER…]`: a long run, a process a reader."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from tests.fuzz.harness import Report
from tests.fuzz.readers import READERS, feed


def main() -> int:
    """Prints a line a reader and each failure with its input; 1 if there was any."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Feed readers with mutated input.")
    parser.add_argument("--count", type=int, default=100_000, help="inputs for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=900, help="time for each reader at most")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("readers", nargs="*", choices=[*READERS, []], help="some readers only")
    given = parser.parse_args()
    failed = False
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        waiting = [pool.submit(feed, name, given.count, given.seed, given.seconds) for name in given.readers or READERS]
        for done in as_completed(waiting):
            failed |= show(done.result(), given.count)
    return int(failed)


def show(report: Report, count: int) -> bool:
    """Prints a report; whether it has a failure."""
    rate = report.inputs / max(report.seconds, 0.001)
    short = "" if report.inputs >= count else f" (of {count}: out of time)"
    print(
        f"{report.reader:18} {report.inputs:>9} inputs{short} {rate:>8.0f}/s  {len(report.failures)} failures",
        flush=True,
    )
    for failure in report.failures:
        more = f" … ({len(failure.data)} bytes)" if len(failure.data) > 300 else ""
        print(
            f"  {failure.what} at {failure.where}\n    input: {failure.data[:300]!r}{more}\n{failure.trace}", flush=True
        )
    return bool(report.failures)


if __name__ == "__main__":
    sys.exit(main())
