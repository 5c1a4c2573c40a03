"""What is measured: a table of cases, each a build that both clients do the same way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.ground import Ground
from bench.measure import CLIENTS, Pair, Ran, in_turns

__all__ = ["CASES", "Case", "run"]

_MEGABYTE = 1 << 20
_PER_FOLDER = 100
"""Files in one folder of the context of many."""

Plant = Callable[[Path, float], None]
"""Fills a context's folder; the second argument scales its size."""
Change = Callable[[Ground, Path], None]
"""Done before each run, not timed."""


def _nothing(_: Ground, __: Path) -> None:
    pass


def _prune(ground: Ground, _: Path) -> None:
    ground.prune()


def _change_one(_: Ground, context: Path) -> None:
    file = context / "d0" / "f0"
    file.write_text(f"{file.read_text()}again\n")


class Case(NamedTuple):
    """One thing that both clients do."""

    name: str
    """As `--only` and the table of tests know it."""
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


def _little(context: Path, _: float) -> None:
    for number in range(10):
        (context / f"f{number}").write_text(f"{number}\n")


def _large(context: Path, scale: float) -> None:
    with open(context / "large", "wb") as file:
        for _ in range(int(300 * scale)):
            file.write(os.urandom(_MEGABYTE))


def _many(context: Path, scale: float) -> None:
    for number in range(int(20_000 * scale)):
        folder = context / f"d{number // _PER_FOLDER}"
        if number % _PER_FOLDER == 0:
            folder.mkdir()
        (folder / f"f{number}").write_text(f"{number}\n")


_STEPS = "FROM BASE\nCOPY . /src/\nRUN uname -m >/machine && cat /src/f* >/all\n"
_HEAVY = "FROM BASE\nRUN head -c SIZE /dev/urandom >/large\n"
_BUILD = ("build", "--provenance=false")
_PUSHED = ("-t", "TAG", "--push")
_PLATFORMS = ("--platform", "linux/amd64,linux/arm64")

CASES = (
    Case("cached", "rebuild, all cached", (*_BUILD, "CONTEXT"), _STEPS, _little, rounds=15),
    Case("cached-push", "rebuild, all cached, pushed", (*_BUILD, *_PUSHED, "CONTEXT"), _STEPS, _little, rounds=15),
    Case("large", "context of one 300 MB file", (*_BUILD, "CONTEXT"), plant=_large, before=_prune, warm=False),
    Case("many-first", "context of 20,000 files, first", (*_BUILD, "CONTEXT"), plant=_many, before=_prune, warm=False),
    Case("many-again", "the same, one file changed", (*_BUILD, "CONTEXT"), plant=_many, before=_change_one),
    Case(
        "platforms",
        "two platforms on two nodes, nothing cached, pushed and merged",
        (*_BUILD, "--no-cache", *_PLATFORMS, *_PUSHED, "CONTEXT"),
        _STEPS,
        _little,
        builder="both",
    ),
    Case(
        "platforms-cached",
        "two platforms on two nodes, all cached, pushed and merged",
        (*_BUILD, *_PLATFORMS, *_PUSHED, "CONTEXT"),
        _STEPS,
        _little,
        builder="both",
        rounds=11,
    ),
    Case(
        "archive",
        "300 MB back as an OCI archive",
        (*_BUILD, "-o", "type=oci,dest=OUT", "CONTEXT"),
        _HEAVY,
    ),
    Case(
        "folder",
        "300 MB back as files",
        (*_BUILD, "-o", "type=local,dest=OUT.d", "CONTEXT"),
        _HEAVY,
    ),
    Case("ls", "`ls`, two nodes", ("ls",), builder="both", rounds=11),
)


def run(ground: Ground, case: Case, *, scale: float = 1, rounds: int | None = None) -> Pair:
    """Measures one case. `scale` makes the large contexts smaller. Raises BenchError."""
    contexts = {client: _planted(ground, case, client, scale) for client in CLIENTS}

    def once(client: str) -> Ran:
        context = contexts[client]
        case.before(ground, context)
        return ground.client(client, case.builder, _filled(case, _values(ground, case, client, context)))

    if case.warm:
        for client in CLIENTS:
            once(client)
    return in_turns(rounds or case.rounds, once)


def _planted(ground: Ground, case: Case, client: str, scale: float) -> Path:
    # Folders of their own, or one client's upload would spare the other's.
    context = ground.folder / client / case.name
    context.mkdir(parents=True)
    if case.plant:
        case.plant(context, scale)
    values = {"BASE": ground.base, "SIZE": str(int(300 * scale) * _MEGABYTE)}
    (context / "Dockerfile").write_text(_replaced(case.dockerfile, values))
    return context


def _values(ground: Ground, case: Case, client: str, context: Path) -> Mapping[str, str]:
    out = ground.folder / client / f"{case.name}.out"
    return {"CONTEXT": str(context), "TAG": f"{ground.registry}/bench/{case.name}:{client}", "OUT": str(out)}


def _filled(case: Case, values: Mapping[str, str]) -> list[str]:
    return [_replaced(argument, values) for argument in case.command]


def _replaced(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text
