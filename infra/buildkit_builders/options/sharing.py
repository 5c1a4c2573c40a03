"""The options that tell clients how to share a node's pods; the pods themselves do not know them."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_builders.options import values
from buildkit_builders.options.row import Kind, OptionRow

__all__ = ["MAX_PARALLEL_BUILDS", "SHARING_ROWS", "SharingOptions"]

MAX_PARALLEL_BUILDS = "max-parallel-builds"
_MOST_BUILDS = 1000


@dataclass(frozen=True)
class SharingOptions:
    """The values of these options."""

    max_parallel_builds: int
    """0 for any number."""
    cache_fallback: str
    """Empty for none."""


SHARING_ROWS = (
    OptionRow(
        MAX_PARALLEL_BUILDS,
        Kind("whole number", "integer", values.integer(0, _MOST_BUILDS)),
        0,
        default_text="`0`, any number",
        example="4",
        about="How many builds a pod runs at once. A client goes to the next pod then, and waits in a queue once all "
        "are full ([choosing-pods.md](choosing-pods.md)).",
        empty_is_unset=True,
    ),
    OptionRow(
        "cache-fallback",
        Kind("image reference", "string", values.image),
        "",
        example="registry.example/cache:main",
        about="A registry cache that every build reads besides its own `--cache-from`, so that a pod without cache "
        "does not begin from nothing ([choosing-pods.md](choosing-pods.md#a-cache-to-fall-back-on)).",
        empty_is_unset=True,
    ),
)
