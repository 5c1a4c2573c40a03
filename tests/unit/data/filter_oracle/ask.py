"""Makes the questions of tests/unit/data/context_filter.jsonl: trees and patterns at random, from one seed.

    go build -o /tmp/oracle . && python ask.py 1000 | /tmp/oracle > ../context_filter.jsonl

The answers are those of moby/patternmatcher and fsutil (versions: go.mod). Trees with a link to itself are left out:
there fsutil ends with an error of the kernel's, where we go on.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

_CHANCE = random.Random(20261124)
_NAMES = (*"a b c ab a.b x.go y.txt .hid node_modules src dir é a-b a+b Z [x] a$ deep".split(), "a b")  # noqa: SIM905
_GLOBS = r"""* ** ? *.go a* *b [a-c] [^a] a? ??* \a a\* [!a] **a a** a**b *** n*s [\]x] [a- *.* .* [] []a] [[]x] \[x]
^a a|b (a) {a} a{1,2} a$ [x-a] [é] [é-ê] [a*] [.] \d a\.b""".split()  # noqa: SIM905
_ODD = ["", "!", " ! ", "\\", "[", "!!a", "!\u00a0", "\x1ca", "//a", "//", "/"]
_TARGETS = ["..", ".", "/", "../{}", "./{}/{}", "/{}", "/{}/{}", "../../{}", "/../{}", "{}"]
_WRAPS = [("**/{}", 12), ("{}/**", 12), ("{}/*", 8), ("/{}", 4), ("./{}", 4), ("{}/", 4), ("../{}", 3), (" {}\t", 2)]


def _name() -> str:
    return _CHANCE.choice(_NAMES)


def _tree() -> list[str]:
    found: dict[str, str] = {}
    folders = [""]
    for _ in range(_CHANCE.randint(2, 14)):
        path = _CHANCE.choice(folders) + _name()
        if path in found:
            continue
        kind = _CHANCE.random()
        if kind < 0.4 and path.count("/") < 4:
            found[path] = f"{path}/"
            folders.append(f"{path}/")
        elif kind < 0.55:
            target = _CHANCE.choice(_TARGETS).format(_name(), _name())
            if target != path.rpartition("/")[2]:
                found[path] = f"{path} -> {target}"
        else:
            found[path] = path
    return sorted(found.values())


def _pattern(tree: list[str], *, exceptions: bool = True) -> str:
    if _CHANCE.random() < 0.02:
        return _CHANCE.choice(_ODD)
    if tree and _CHANCE.random() < 0.35:
        text = _CHANCE.choice(tree).split(" -> ")[0].rstrip("/")
        if _CHANCE.random() < 0.3:
            text = text.rpartition("/")[0] or text
    else:
        parts = _CHANCE.choice([1, 1, 1, 2, 2, 3, 4])
        text = "/".join(_name() if _CHANCE.random() < 0.45 else _CHANCE.choice(_GLOBS) for _ in range(parts))
    chance = _CHANCE.randrange(100)
    for wrap, weight in _WRAPS:
        if chance < weight:
            text = wrap.format(text)
            break
        chance -= weight
    return f"!{text}" if exceptions and _CHANCE.random() < 0.3 else text


def _patterns(tree: list[str], most: int, *, exceptions: bool = True) -> list[str]:
    return [_pattern(tree, exceptions=exceptions) for _ in range(_CHANCE.randint(1, most))]


def _question(number: int) -> dict[str, Any]:
    tree = _tree()
    if number % 4 == 0:
        paths = {entry.split(" -> ")[0].rstrip("/") for entry in tree}
        paths |= {"/".join(_name() for _ in range(_CHANCE.randint(1, 4))) for _ in range(4)}
        return {"patterns": _patterns(tree, 5), "paths": sorted(paths)}
    asked: dict[str, Any] = {"tree": tree}
    if _CHANCE.random() < 0.5:
        asked["include"] = _patterns(tree, 4, exceptions=_CHANCE.random() < 0.2)
    if _CHANCE.random() < 0.7:
        asked["exclude"] = _patterns(tree, 5)
    if len(asked) == 1 or _CHANCE.random() < 0.4:
        asked["follow"] = _patterns(tree, 3, exceptions=False)
    return asked


for count in range(int(sys.argv[1])):
    print(json.dumps(_question(count), ensure_ascii=False))
