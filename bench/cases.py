"""What is measured: a table of cases, each a build that both clients do the same way, and what is aimed at."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench import contexts, same
from bench.contexts import Plant
from bench.ground import ROOT, Ground
from bench.link import Link
from bench.measure import CLIENTS, Pair, Ran, in_turns, timed

__all__ = ["CASES", "LOOPBACK", "Case", "Line", "run"]

Change = Callable[[Ground, Path], None]
"""Done before each run, not timed."""


def _nothing(_: Ground, __: Path) -> None:
    pass


def _prune(ground: Ground, _: Path) -> None:
    ground.prune()


def _change_one(_: Ground, context: Path) -> None:
    contexts.change_one(context, str(time.time_ns()))


def _pause(_: Ground, __: Path) -> None:
    # Between two commands of a user's, the keeper opens what the next one takes.
    time.sleep(1.5)


def _aside(_: Ground, context: Path) -> None:
    # Into a new folder each time: ext4 does not take the inode of a file that was replaced a minute ago, and the search
    # for another one would be what is measured.
    out = context.with_name(f"{context.name}.out.d")
    if out.exists():
        out.rename(context.with_name(f"{context.name}.out.{time.time_ns()}"))


class Line(NamedTuple):
    """A link between client and API server; with neither, there is none but the machine's own."""

    rtt: float = 0.0
    """Seconds of a round trip."""
    rate: float = 0.0
    """Bytes per second in each direction; 0 for any."""


class Case(NamedTuple):
    """One thing that both clients do."""

    name: str
    """As `--only`, `latest.json` and the table of tests know it."""
    title: str
    """As the report's table has it."""
    command: tuple[str, ...]
    """Arguments of either client; CONTEXT, TAG and OUT are filled in."""
    dockerfile: str = "FROM scratch\nCOPY . /\n"
    """BASE and SIZE (300 MiB) are filled in."""
    plant: Plant | None = None
    before: Change = _nothing
    builder: str = "one"
    warm: bool = True
    """Whether each client runs once before it is timed."""
    rounds: int = 5
    goal: float | None = None
    """The ratio that is aimed at."""
    made: str = "context"
    """How it is seen that both made the same: `context`, `image`, `steps` (an image that is built anew each time),
    `archive`, `folder`, or `` where nothing is made."""
    line: Line = Line()
    ours: tuple[str, ...] = ()
    """More arguments of ours; NAME is filled in, the builder's in the cluster."""
    environment: Mapping[str, str] = {}
    """More variables of ours."""
    at_once: int = 1
    """How many builds begin together."""
    in_process: bool = False
    """Whether all of ours are in one Python process."""
    quick: float = 1.0
    """What the context's size is multiplied with in a quick run; 0 leaves the case out."""


_STEPS = "FROM BASE\nCOPY . /src/\nRUN uname -m >/machine && cat /src/f* >/all\n"
_HEAVY = "FROM BASE\nRUN head -c SIZE /dev/urandom >/large\n"
_FILES = "FROM BASE\nRUN mkdir /many && cd /many && for n in $(seq COUNT); do echo $n >f$n; done\n"
_BUILD = ("build", "--provenance=false")
_CONTEXT = (*_BUILD, "CONTEXT")
_PUSHED = (*_BUILD, "-t", "TAG", "--push", "CONTEXT")
_PLATFORMS = ("--platform", "linux/amd64,linux/arm64")
_FRESH = (*_BUILD, "--no-cache", *_PLATFORMS, "-t", "TAG", "--push", "CONTEXT")
_BOTH = (*_BUILD, *_PLATFORMS, "-t", "TAG", "--push", "CONTEXT")
_FOLDER = (*_BUILD, "-o", "type=local,dest=OUT.d", "CONTEXT")
_FAR = Line(0.03)

_CACHED = Case("cached", "rebuild, all cached", _CONTEXT, _STEPS, contexts.little, rounds=15, goal=1.2)
_CACHED_PUSH = _CACHED._replace(name="cached-push", title="rebuild, all cached, pushed", command=_PUSHED, made="image")
_MANY = Case(
    "many-first", "context of 20,000 files, first", _CONTEXT, plant=contexts.many, before=_prune, warm=False, goal=1.0,
    quick=0.1,
)  # fmt: skip
_LARGE = Case(
    "large", "context of one 300 MB file", _CONTEXT, plant=contexts.large, before=_prune, warm=False, goal=0.9,
    quick=0.1,
)  # fmt: skip
_FRESH_BOTH = Case(
    "platforms", "two platforms on two nodes, nothing cached, pushed and merged", _FRESH, _STEPS, contexts.little,
    builder="both", goal=1.0, made="steps",
)  # fmt: skip
_FOLDER_BACK = Case(
    "folder", "300 MB back as files", _FOLDER, _HEAVY, before=_aside, goal=1.0, made="folder", quick=0.1
)

LOOPBACK = (
    _CACHED,
    _CACHED_PUSH,
    _LARGE,
    _MANY,
    _MANY._replace(
        name="many-again", title="the same, one file changed", before=_change_one, warm=True, goal=0.45
    ),
    _FRESH_BOTH,
    _FRESH_BOTH._replace(
        name="platforms-cached", title="two platforms on two nodes, all cached, pushed and merged", command=_BOTH,
        rounds=11, goal=1.0, made="image",
    ),
    _FOLDER_BACK._replace(
        name="archive", title="300 MB back as an OCI archive", command=(*_BUILD, "-o", "type=oci,dest=OUT", "CONTEXT"),
        made="archive", before=_nothing,
    ),
    _FOLDER_BACK,
    Case("ls", "`ls`, two nodes", ("ls",), builder="both", rounds=11, goal=0.9, made=""),
)  # fmt: skip
"""Those that need no link: a test holds each under twice docker buildx's time."""

_LINKED = (
    _CACHED._replace(
        name="cached-30ms", title="rebuild, all cached, 30 ms, `--from-cluster`", line=_FAR,
        ours=("--from-cluster", "NAME"), goal=0.45,
    ),
    _CACHED._replace(
        name="cached-30ms-kept", title="rebuild, all cached, 30 ms, a connection kept", line=_FAR, before=_pause,
        environment={"BUILDCLIENT_KEEP": "10m", "CI": ""}, goal=0.25,
    ),
    _CACHED_PUSH._replace(
        name="cached-push-30ms", title="rebuild, all cached, pushed, 30 ms", line=_FAR, goal=0.5
    ),
    _FRESH_BOTH._replace(
        name="platforms-30ms", title="two platforms on two nodes, nothing cached, pushed and merged, 30 ms", line=_FAR,
        goal=0.5,
    ),
    _FRESH_BOTH._replace(
        name="platforms-cached-30ms", title="two platforms on two nodes, all cached, pushed and merged, 30 ms",
        command=_BOTH, line=_FAR, goal=0.5, made="image",
    ),
    _LARGE._replace(
        name="text-10MBps", title="context of 59 MB of text, 10 MB/s, 30 ms", plant=contexts.text,
        line=Line(0.03, 10e6), rounds=3, goal=0.4, quick=0.3,
    ),
    _MANY._replace(
        name="tree-first", title="source tree of 1,400 files, 2 MB/s, 50 ms, first", plant=contexts.tree,
        line=Line(0.05, 2e6), rounds=3, goal=0.5, quick=0.15,
    ),
    _MANY._replace(
        name="tree-again", title="the same, one file changed", plant=contexts.tree, before=_change_one, warm=True,
        line=Line(0.05, 2e6), goal=0.4, quick=0.15,
    ),
    _LARGE._replace(
        name="large-100MBps", title="context of one 300 MB file, 100 MB/s", line=Line(0.0, 100e6), rounds=3
    ),
    _FOLDER_BACK._replace(
        name="many-back", title="20,000 files back", dockerfile=_FILES, goal=0.9, rounds=3
    ),
    _CACHED._replace(
        name="ten-commands", title="ten builds of one context at once, a command each", at_once=10, rounds=5, goal=0.9
    ),
    _CACHED._replace(
        name="ten-in-process", title="ten builds of one context at once, from one Python process", at_once=10,
        in_process=True, rounds=5, goal=0.5,
    ),
)  # fmt: skip

CASES = (*LOOPBACK, *_LINKED)


def run(ground: Ground, case: Case, *, scale: float = 1, rounds: int | None = None) -> Pair:
    """Measures one case. `scale` makes the large contexts smaller. Raises BenchError, also if the results differ."""
    folders = {client: _planted(ground, case, client, scale) for client in CLIENTS}
    with ground.over(*case.line) as link:

        def once(client: str) -> Ran:
            case.before(ground, folders[client])
            return _once(ground, case, client, folders[client], link)

        if case.warm:
            for client in CLIENTS:
                once(client)
        pair = in_turns(rounds or case.rounds, once)
    _compare(ground, case, folders)
    return pair


def _once(ground: Ground, case: Case, client: str, context: Path, link: Link | None) -> Ran:
    command = _filled(case.command, _values(ground, case, client, context))
    carried = link.carried() if link else 0
    if client == "ours" and case.in_process:
        program = [sys.executable, "-m", "bench.crowd", str(case.at_once), str(context)]
        environment = {**ground.for_client(client, case.builder), "PYTHONPATH": str(ROOT)}
        ran = timed(program, environment, ground.project)
    else:
        more = case.environment if client == "ours" else {}
        if client == "ours":
            command += _filled(case.ours, {"NAME": f"{ground.namespace}/{ground.name}"})
        ran = ground.client(client, case.builder, command, more, case.at_once)
    return ran._replace(carried=link.carried() - carried) if link else ran


def _compare(ground: Ground, case: Case, folders: Mapping[str, Path]) -> None:
    made = {client: _made(ground, case, client, folders[client]) for client in CLIENTS} if case.made else {}
    if case.made == "context":
        # What each daemon listed, beside what lies in the folder: the contexts may differ from one another.
        for client, context in folders.items():
            expected = {"sum": f"{same.listing_sum(context)}  -\n"}
            same.differing(f"{case.name}: context of {client}", made[client], expected)
    elif case.made:
        same.differing(case.name, made["ours"], made["buildx"])


def _made(ground: Ground, case: Case, client: str, context: Path) -> Mapping[str, str]:
    values = _values(ground, case, client, context)
    if case.made in ("image", "steps"):
        registry, _, rest = values["TAG"].partition("/")
        return same.image(registry, *rest.split(":"), layers=case.made == "image")
    if case.made == "archive":
        return same.layout_archive(Path(values["OUT"]))
    if case.made == "folder":
        return same.folder_listing(Path(f"{values['OUT']}.d"))
    file = ground.folder / client / f"{case.name}.listing"
    file.write_text(_filled((same.LISTING,), {"BASE": ground.base})[0])
    out = f"{values['OUT']}.listed"
    ground.client(client, case.builder, ["build", "-f", str(file), "-o", f"type=local,dest={out}", str(context)])
    return {"sum": (Path(out) / "sum").read_text()}


def _planted(ground: Ground, case: Case, client: str, scale: float) -> Path:
    # Folders of their own, or one client's upload would spare the other's.
    context = ground.folder / client / case.name
    context.mkdir(parents=True)
    if case.plant:
        case.plant(context, scale)
    size, count = int(300 * scale) << 20, int(20_000 * scale)
    values = {"BASE": ground.base, "SIZE": str(size), "COUNT": str(count)}
    (context / "Dockerfile").write_text(_filled((case.dockerfile,), values)[0])
    return context


def _values(ground: Ground, case: Case, client: str, context: Path) -> Mapping[str, str]:
    out = ground.folder / client / f"{case.name}.out"
    return {"CONTEXT": str(context), "TAG": f"{ground.registry}/bench/{case.name}:{client}", "OUT": str(out)}


def _filled(arguments: tuple[str, ...], values: Mapping[str, str]) -> list[str]:
    filled = []
    for argument in arguments:
        for name, value in values.items():
            argument = argument.replace(name, value)
        filled.append(argument)
    return filled
