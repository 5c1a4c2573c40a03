"""`buildclient prune`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from buildclient.base.errors import UsageError
from buildclient.base.units import human_size
from buildclient.base.visible import one_line
from buildclient.cli.du import record_lines
from buildclient.cli.running import run
from buildclient.cli.upkeep import ago, pick_of, pick_options, seconds_of, size_of, told_missed
from buildclient.cli.where import builder_of, where_options
from buildclient.daemon.filters import cache_filter
from buildclient.upkeep import prune

if TYPE_CHECKING:
    from buildclient.daemon.storage import UsageRecord

__all__ = ["command"]

_WARNING = "WARNING! This will remove all {}build cache. Are you sure you want to continue? [y/N] "


@click.command("prune")
@where_options
@pick_options
@click.option("-a", "--all", "everything", is_flag=True, help="Also internal and frontend images.")
@click.option(
    "--filter", "filters", metavar="KEY=VALUE", multiple=True, help="Only records that match, such as until=24h."
)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--max-used-space", metavar="BYTES", default="", help="What the cache may take at most.")
@click.option("--min-free-space", metavar="BYTES", default="", help="What should be free on the disk afterwards.")
@click.option("--reserved-space", metavar="BYTES", default="", help="What the cache may always keep.")
@click.option("--keep-storage", metavar="BYTES", default="", hidden=True)
@click.option("--verbose", is_flag=True, help="Show all details of what is removed.")
@click.option("--timeout", metavar="DURATION", default="1h", help="Time limit for each pod (default 1h).")
def command(everything: bool, filters: Sequence[str], force: bool, verbose: bool, timeout: str, **flags: Any) -> int:
    """Remove build cache, of every pod at once.

    \b
    Examples:
      buildclient prune --filter until=24h
      buildclient prune --all --force --max-used-space 10gb

    Ends with 125 when a pod could not be asked.
    """
    from buildclient.daemon.storage import Pruning

    wanted = cache_filter(filters)
    if flags["keep_storage"]:
        print("Flag --keep-storage has been deprecated, use --reserved-space", file=sys.stderr)
        flags["reserved_space"] = flags["reserved_space"] or flags["keep_storage"]
    del flags["keep_storage"]
    spaces = {
        name: size_of(f"--{name.replace('_', '-')}", flags.pop(name))
        for name in ("max_used_space", "min_free_space", "reserved_space")
    }
    pruning = Pruning((wanted.text,), everything, wanted.keep_duration, **spaces)
    pick, limit = pick_of(flags), seconds_of("--timeout", timeout)
    builder = builder_of(flags)
    if not force and not _agreed(everything):
        return 0
    shown = _Shown(verbose)
    found = run(prune(builder, pruning, shown.removed, pick, limit))
    print(f"Total:\t{human_size(shown.total)}")
    return told_missed(found.missed)


def _agreed(everything: bool) -> bool:
    if not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("prune asks before it removes anything, and standard input is no terminal: give --force")
    print(_WARNING.format("" if everything else "dangling "), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class _Shown:
    """Prints each record as it goes, and sums up."""

    def __init__(self, verbose: bool) -> None:
        self.total = 0
        self._verbose = verbose
        self._begun = False

    def removed(self, record: UsageRecord) -> None:
        """Takes a record that was removed."""
        self.total += max(0, record.size)
        if self._verbose:
            print("\n".join([*record_lines(record), ""]), flush=True)
            return
        if not self._begun:
            self._begun = True
            print(f"{'ID':<40} RECLAIMABLE  {'SIZE':<10} LAST ACCESSED")
        name, size = record.id + "*" * record.mutable, human_size(record.size) + "*" * record.shared
        free = str(not record.in_use).lower()
        print(f"{one_line(name):<40} {free:<11}  {size:<10} {ago(record.last_used)}".rstrip(), flush=True)
