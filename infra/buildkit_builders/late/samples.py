"""Sample values that stand for Outputs while a builder's objects are laid out.

For each Output a pair is looked for that the option's own parser takes. The values of a pair differ; lists and
mappings have other parts, too. An option whose parser takes none of these needs a pair here; one whose values have
several forms needs a pair of them before the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from buildkit_builders.late.template import ABSENT, Template
from buildkit_builders.late.tree import Path
from buildkit_builders.options.check import read_values
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.table import TABLE

__all__ = ["Pair", "option_path", "pairs"]

Pair = tuple[Any, Any]

_MOST_TRIALS = 2000
_PEM = "-----BEGIN CERTIFICATE-----\nlate-{}\n-----END CERTIFICATE-----\n"
_SCALARS: tuple[Pair, ...] = (
    ("1Gi", "2Gi"), (3, 5), (True, False), ("61s", "62s"), ("192.0.2.1", "192.0.2.2"),
    (_PEM.format("a"), _PEM.format("b")), ("/late-a", "/late-b"), ("Localhost/late-a", "Localhost/late-b"),
    ("sticky", "random"), ("Retain", "Delete"), ("ReadWriteOnce", "ReadWriteMany"), ("ClusterFirst", "Default"),
    ("text", "json"), ("info", "debug"), ("ClusterIP", "NodePort"), ("network.host", "security.insecure"),
    ("debug = true", "debug = false"), ("--late-a", "--late-b"),
)  # fmt: skip
_NAMED = {"name": "late-a"}, {"name": "late-b"}
_TAINTS = {"key": "late-a", "operator": "Exists"}, {"key": "late-b", "operator": "Exists"}
_WHOLE: tuple[Pair, ...] = (
    ({"late-a": "x"}, {"late-a": "x", "late-b": "y"}),
    ({"late-a": "192.0.2.1"}, {"late-a": "192.0.2.1", "late-b": "192.0.2.2"}),
    (["late-a"], ["late-a", "late-b"]),
    (["--late-a"], ["--late-a", "--late-b"]),
    (["network.host"], ["network.host", "security.insecure"]),
    ([_TAINTS[0]], [*_TAINTS]),
    ([{"topologyKey": "late-a"}], [{"topologyKey": "late-a"}, {"topologyKey": "late-b"}]),
    ([{**_NAMED[0], "emptyDir": {}}], [{**one, "emptyDir": {}} for one in _NAMED]),
    ([{**_NAMED[0], "mountPath": "/late-a"}], [{**one, "mountPath": f"/{one['name']}"} for one in _NAMED]),
    ([{**_NAMED[0], "image": "late-a"}], [{**one, "image": "late-a"} for one in _NAMED]),
    ([{"all": True}], [{"all": True}, {"all": False}]),
    ({"late-a": {"http": True}}, {"late-a": {"http": True}, "late-b": {"http": True}}),
    ({"nodeAffinity": {}}, {"podAffinity": {}}),
    ({"nameservers": ["192.0.2.1"]}, {"searches": ["late-a"]}),
    ({"nameservers": ["192.0.2.1"]}, {"searchDomains": ["late-a"]}),
    ({"fsGroup": 1}, {"runAsUser": 1}),
    ({"http": True}, {"insecure": True}),
)
_ACCOUNTS: Pair = ("late-a/late-a", "late-b/late-b")
_BUILDER_KEYS: dict[str, tuple[Pair, ...]] = {
    "clientServiceAccount": (_ACCOUNTS,),
    "clients": (_ACCOUNTS,),
    "createNamespace": ((True, False),),
}


def option_path(path: Path) -> Path:
    """The place of the option that a value at `path` belongs to; of a family, of all of it."""
    start = 2 if path[0] == "nodes" else 0
    return path[: start + 2] if path[start : start + 1] == ("driver-opts",) else path[: start + 1]


def pairs(template: Template, option: Path, numbers: Sequence[int]) -> Iterator[tuple[Pair, ...]]:
    """Pairs of samples for the Outputs of one option, by their `numbers`; the option's parser takes each of them."""
    name, key = str(option[-1]), str(option[-1] if option[-2:-1] != ("driver-opts",) else "")
    if key == "platforms":
        yield from _platforms(template, numbers)
        return
    if key in _BUILDER_KEYS:
        yield from itertools.product(_BUILDER_KEYS[key], repeat=len(numbers))
        return
    candidates = [_candidates(template, option, number) for number in numbers]
    known = TABLE.row(name) or TABLE.row(f"{name}.x")
    takes = _parser(template, option, name, numbers) if known else lambda pairs: True
    # the same kind of value for all, then each kind for each
    alike = zip(*candidates, strict=False)
    for found in itertools.islice(itertools.chain(alike, itertools.product(*candidates)), _MOST_TRIALS):
        if takes(found):
            yield found


def _parser(template: Template, option: Path, name: str, numbers: Sequence[int]) -> Callable[[tuple[Pair, ...]], bool]:
    """Whether the parser of the option takes the first sample of each pair, and the second one of each among them."""

    def read(samples: Sequence[Any]) -> bool:
        values = [ABSENT] * len(template.late)
        for number, sample in zip(numbers, samples, strict=True):
            values[number] = sample
        given: Any = template.fill(values)
        for step in option:
            given = given.get(step, ABSENT) if isinstance(given, dict) else _item(given, step)
        problems = Problems()
        if given is not ABSENT:
            read_values({name: given}, problems)
        return given is not ABSENT and not problems.found

    def takes(found: tuple[Pair, ...]) -> bool:
        first = [one for one, _ in found]
        others = ([*first[:place], pair[1], *first[place + 1 :]] for place, pair in enumerate(found))
        return read(first) and all(map(read, others))

    return takes


def _item(value: Any, step: str | int) -> Any:
    return value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else ABSENT


def _candidates(template: Template, option: Path, number: int) -> list[Pair]:
    own: Pair = (f"late-{number}-a", f"late-{number}-b")
    if template.late[number].path != option:
        return [own, *_SCALARS, *_WHOLE]
    return [*_WHOLE, ("ClusterIssuer/late-a", "Issuer/late-b"), own, *_SCALARS]


def _platforms(template: Template, numbers: Sequence[int]) -> Iterator[tuple[Pair, ...]]:
    # such as nobody writes beside them: of equal ones only the first counts
    rare = ("linux/mips64le", "linux/mips64", "linux/loong64", "linux/ppc64le", "linux/riscv64", "linux/s390x")
    if len(numbers) * 2 <= len(rare):
        whole = [template.late[number].path[-1] == "platforms" for number in numbers]
        each = [(rare[2 * place], rare[2 * place + 1]) for place in range(len(numbers))]
        yield tuple(([a], [a, b]) if all_of_it else (a, b) for (a, b), all_of_it in zip(each, whole, strict=True))
