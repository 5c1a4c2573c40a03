"""`python -m bench.crowd COUNT CONTEXT`: several builds of one context at once, in one process, by the Python API."""

from __future__ import annotations

import asyncio
import os
import sys

from buildclient import Builder, build_request

__all__ = ["main"]


async def main(count: int, context: str) -> None:
    """Builds it with the builder of BUILDCLIENT_BUILDER. Raises ClientError."""
    request = build_request(context, provenance="false")
    builder = Builder()
    async with builder.session():
        await asyncio.gather(*(builder.build_async(request) for _ in range(count)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
    sys.stdout.flush()
    # As the command does: nothing is left to take apart.
    os._exit(0)
