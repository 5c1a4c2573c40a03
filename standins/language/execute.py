"""Runs one Pulumi program in the program's own interpreter: `execute.py DESCRIPTOR`.

Started by the language host, which writes one JSON object (see `Orders` in runner.py) to the pipe DESCRIPTOR, perhaps
later: the SDK is imported meanwhile. Exit status: 0 done, 32 failed with a message already shown, 1 anything else.
This file stands alone: it may run in an environment where nothing else of the stand-ins is importable.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any

SHOWN = 32
"""The exit status by which Pulumi's language hosts tell that nothing more need be said."""


def main() -> int:
    """Reads the orders, runs the program, returns the exit status."""
    descriptor = int(sys.argv[1])
    # Asked to stop, a program stops without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The script's folder came first on sys.path; the program's folder takes that place.
    sys.path.pop(0)
    try:
        import pulumi
        import pulumi.runtime
    except ImportError as error:
        if error.name != "pulumi":
            traceback.print_exc()
        print(f"the Pulumi SDK is not installed for {sys.executable}: pip install pulumi", file=sys.stderr)
        return 1
    with os.fdopen(descriptor) as pipe:
        text = pipe.read()
    if not text:
        return 0
    orders = json.loads(text)
    _configure(pulumi.runtime, orders)
    return _run(pulumi, orders)


def _configure(runtime: Any, orders: dict[str, Any]) -> None:
    runtime.set_all_config(orders["config"], orders["secrets"])
    runtime.configure(
        runtime.Settings(
            project=orders["project"],
            stack=orders["stack"],
            organization=orders["organization"],
            root_directory=orders["root"],
            parallel=orders["parallel"],
            dry_run=orders["preview"],
            monitor=orders["monitor"],
            engine=orders["engine"],
        )
    )


def _run(pulumi: Any, orders: dict[str, Any]) -> int:
    import asyncio
    import logging
    import runpy
    from concurrent.futures import ThreadPoolExecutor

    os.chdir(orders["folder"])
    sys.path.insert(0, orders["folder"])
    target = os.path.normpath(os.path.join(orders["folder"], orders["entry"]))
    if os.path.isdir(target) and not os.path.isfile(os.path.join(target, "__main__.py")):
        pulumi.log.error(f"unable to find main python program `__main__.py` in `{os.path.abspath(target)}`")
        return SHOWN
    sys.argv = [target, *orders["arguments"]]
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Every registration occupies a thread until the engine answers.
    executor = ThreadPoolExecutor(max(orders["parallel"], 1) * 4)
    loop.set_default_executor(executor)
    # Of a program that fails halfway, some futures are never awaited; asyncio's complaints would hide the reason.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: runpy.run_path(target, run_name="__main__")))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:
        pulumi.log.error("Program failed with an unhandled exception:\n" + _own_part(target))
        return SHOWN
    finally:
        executor.shutdown(wait=True)
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _own_part(target: str) -> str:
    """The traceback from the program's first own frame on; all of it where the program has none."""
    own = os.path.abspath(os.path.join(target, "__main__.py") if os.path.isdir(target) else target)
    frames = traceback.extract_tb(sys.exc_info()[2])
    for index, frame in enumerate(frames):
        if os.path.abspath(frame.filename) == own:
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


if __name__ == "__main__":
    sys.exit(main())
