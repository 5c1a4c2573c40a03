"""Provisions a builder with Pulumi's Automation API, then builds a multi-platform image with it: one script, no Docker.

    python examples/automation/provision_and_build.py --tag registry.example/you/hello:1

brings stack `local` up, builds examples/hello for both platforms of that stack, each on its own node, and pushes the
image. `--destroy` takes everything away again afterwards; without it a second run finds the pods and their cache. It
needs what `pulumi up` needs: the Pulumi CLI, logged in, and a kubectl context. With a registry that speaks plain HTTP,
name it in BUILDCLIENT_INSECURE_REGISTRIES.

The builder output is all that passes from one half to the other: `buildkit_builders` knows nothing of builds,
`buildclient` nothing of Pulumi. It prints the image's digest to standard output, progress to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from buildkit_builders.automation import Project, Stack, StackError

from buildclient import (
    Builder,
    BuilderOutput,
    ClientError,
    Event,
    Log,
    PlatformError,
    Vertex,
    build_request,
)

ROOT = Path(__file__).resolve().parents[2]


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def provision(stack: Stack) -> BuilderOutput:
    """Show what would change, change it, and give the builder that is up then, its pods ready."""
    changes = stack.preview().changes
    say(f"stack {stack.name}: " + (", ".join(f"{n} to {what}" for what, n in changes.items()) or "no changes"))
    done = stack.up(on_output=say)
    say(f"stack {stack.name} is up after {done.seconds:.1f} s")
    return done.builder


def build(builder: BuilderOutput, context: Path, tag: str, platforms: str, base_image: str) -> str:
    """Build the folder `context` for the platforms, push the image as `tag`, and give its digest."""
    request = build_request(
        str(context),
        tags=[tag],
        platforms=[platforms],
        push=True,
        build_args={"BASE_IMAGE": base_image} if base_image else {},
    )
    return Builder.from_output(builder).build(request, show).digest


def show(event: Event) -> None:
    """One line for each step that is done, and what the steps print."""
    if isinstance(event, Vertex) and event.completed:
        say(f"{'CACHED' if event.cached else 'DONE'} {event.name}")
    elif isinstance(event, Log):
        say(event.data.decode(errors="replace").rstrip("\n"))


def main() -> int:
    """Read the flags, provision, build, and perhaps destroy, whatever became of the build."""
    flags = argparse.ArgumentParser(description="Provision a builder with Pulumi, then build with it.")
    flags.add_argument("--tag", required=True, help="the image's name, such as registry.example/you/hello:1")
    flags.add_argument("--stack", default="local", help="the stack (default: local)")
    flags.add_argument("--project", default=str(ROOT), help="the Pulumi project's folder (default: this repository)")
    flags.add_argument("--platform", default="linux/amd64,linux/arm64", help="what to build (default: %(default)s)")
    flags.add_argument("--context", default=str(ROOT / "examples" / "hello"), help="the folder that is built")
    flags.add_argument("--base-image", default=os.environ.get("BASE_IMAGE", ""), help="(default: $BASE_IMAGE)")
    flags.add_argument("--destroy", action="store_true", help="take the builder away afterwards")
    given = flags.parse_args()
    try:
        stack = Project(given.project).stack(given.stack)
        try:
            builder = provision(stack)
            print(build(builder, Path(given.context), given.tag, given.platform, given.base_image))
        finally:
            if given.destroy:
                stack.destroy(on_output=say)
    except (StackError, ClientError, PlatformError) as error:
        say(f"ERROR: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
