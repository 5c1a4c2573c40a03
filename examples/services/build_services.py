"""Builds every service of a repository at once, a few at a time: one connection to each pod, one display, one summary.

    python examples/services/build_services.py services --registry registry.example/shop --push

builds each folder of `services` that has a Dockerfile, and prints each image with its digest to standard output. The
first failure, an interrupt or `--timeout` cancels the others, on the pods too. The builder is that of the Pulumi
project's selected stack, of `--builder NAMESPACE/NAME`, or of BUILDCLIENT_BUILDER.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from buildclient import Builder, BuildRequest, ClientError, Where, build_request, of_build, open_display, shown


def requests_of(folder: Path, registry: str, tag: str, platforms: list[str], push: bool) -> dict[str, BuildRequest]:
    """A request for each service, by its name."""
    return {
        path.parent.name: build_request(
            str(path.parent), tags=[f"{registry}/{path.parent.name}:{tag}"], platforms=platforms, push=push
        )
        for path in sorted(folder.glob("*/Dockerfile"))
    }


async def build_all(builder: Builder, requests: dict[str, BuildRequest], limit: int) -> dict[str, str]:
    """Builds the services, `limit` at a time; the digest of each."""
    free = asyncio.Semaphore(limit)
    async with builder.session(), shown(open_display("plain")) as display:

        async def built(name: str) -> str:
            async with free:
                return (await builder.build_async(requests[name], of_build(display.feed, name))).digest

        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(built(name)) for name in requests}
    return {name: task.result() for name, task in tasks.items()}


async def build_in_time(builder: Builder, requests: dict[str, BuildRequest], limit: int, seconds: float) -> None:
    """Builds within so many seconds, and prints what was built."""
    async with asyncio.timeout(seconds):
        digests = await build_all(builder, requests, limit)
    for name, digest in digests.items():
        (tag,) = requests[name].tags
        print(f"{tag}@{digest}")


def main() -> int:
    """Reads the flags and builds; the exit status."""
    flags = argparse.ArgumentParser(description="Build every service of a folder at once.")
    flags.add_argument("folder", type=Path, help="its folders with a Dockerfile are the services")
    flags.add_argument("--registry", required=True, help="where the images go, such as registry.example/shop")
    flags.add_argument("--tag", default="latest", help="their tag (default: %(default)s)")
    flags.add_argument("--platform", action="append", default=[], help="such as linux/amd64,linux/arm64")
    flags.add_argument("--push", action="store_true", help="push the images")
    flags.add_argument("--limit", type=int, default=4, help="how many build at once (default: %(default)s)")
    flags.add_argument("--timeout", type=float, default=1800, help="seconds for all of them (default: %(default)s)")
    flags.add_argument("--builder", default="", help="NAMESPACE/NAME of a builder in the cluster")
    given = flags.parse_args()
    try:
        requests = requests_of(given.folder, given.registry, given.tag, given.platform, given.push)
        if not requests:
            flags.error(f"no folder in {given.folder} has a Dockerfile")
        asyncio.run(build_in_time(Builder(Where(builder=given.builder)), requests, given.limit, given.timeout))
    except ExceptionGroup as group:
        failed, others = group.split(ClientError)
        if failed is None or others is not None:
            raise
        for error in failed.exceptions:
            print(f"ERROR: {error}", file=sys.stderr)
        return 1
    except (ClientError, TimeoutError) as error:
        print(f"ERROR: {str(error) or 'not built within --timeout'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
