"""`python3 -m localcluster.demo [--cluster local|current] [--claims]`, called by `make demo` and `make demo-claims`."""

from __future__ import annotations

import argparse
import io
import signal
import sys

from localcluster.demo import claims, current, local
from localcluster.demo.steps import DemoError, Shell, fail, run_steps

_PLANS = {"local": local.steps, "current": current.steps}


def main() -> int:
    """Runs the demo; the exit status is 0, 1 with one line saying why, or 130 when interrupted."""
    parser = argparse.ArgumentParser(
        prog="make demo", description="From a machine or a cluster to a two-platform image."
    )
    parser.add_argument("--cluster", choices=sorted(_PLANS), default="local")
    parser.add_argument(
        "--claims", action="store_true", help="builders that teams ask for in a file, on the local cluster"
    )
    given = parser.parse_args()
    chosen = given.cluster
    # `make` hands a SIGTERM on, a closed terminal sends a SIGHUP: they are to end it as orderly as a Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        # nohup's answer to a terminal that goes away stays as it is.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # in a file, too, our lines come between those of the commands
    try:
        run_steps((claims.steps if given.claims else _PLANS[chosen])(Shell()))
    except DemoError as error:
        return fail(error)
    except KeyboardInterrupt:
        again = "make demo" if chosen == "local" else f"make demo CLUSTER={chosen}"
        again = "make demo-claims" if given.claims else again
        print(f"\nInterrupted; `{again}` goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
