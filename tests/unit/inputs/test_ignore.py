"""What of a context is sent, held to the answers of the libraries that the daemon and docker buildx use.

`data/context_filter.jsonl` was made by the program in `data/filter_oracle` (its ask.py says how).
"""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from buildclient.base.folders import Folders
from buildclient.inputs.follow import follow_paths, with_followed
from buildclient.inputs.globs import PatternError, glob_match
from buildclient.inputs.ignore import Filter, Matcher
from buildclient.inputs.walk import Walk
from buildclient.session.diffcopy import decode

_CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "context_filter.jsonl").read_text(encoding="utf-8").splitlines()
]


def _plant(root: Path, tree: list[str]) -> None:
    for entry in tree:
        name, _, target = entry.partition(" -> ")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target)
        elif entry.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.touch()


def _sent(root: Path, case: dict[str, Any]) -> list[str]:
    includes = case.get("include", [])
    with closing(Folders.of(root)) as folders:
        if case.get("follow"):
            includes = with_followed(folders, includes, case["follow"])
        walk = Walk(folders, Filter(includes, case.get("exclude", [])))
        stats = [decode(packet).stat for batch in walk.batches() for packet in batch.packets]
    return [stat.path.decode() for stat in stats if stat]


def test_the_stored_answers_are_of_every_kind() -> None:
    """The table has trees, lists of paths and errors, and most of its answers are not empty."""
    assert len(_CASES) >= 800
    assert sum("matched" in case and any(case["matched"]) for case in _CASES) > 100
    assert sum(bool(case.get("sent")) for case in _CASES) > 250
    assert sum("error" in case for case in _CASES) > 50


def test_the_same_entries_are_sent_as_by_fsutil(tmp_path: Path) -> None:
    """Include, exclude and follow patterns choose the same entries of the same tree, in the same order."""
    wrong = []
    for number, case in enumerate(_CASES):
        if "tree" not in case:
            continue
        root = tmp_path / str(number)
        root.mkdir()
        _plant(root, case["tree"])
        try:
            got: object = _sent(root, case)
        except PatternError as error:
            got = str(error)
        if got != (case["error"] if "error" in case else case["sent"]):
            wrong.append((case, got))
    assert wrong == []


def test_paths_match_as_in_patternmatcher() -> None:
    """A path matches a list of patterns exactly when moby/patternmatcher says so."""
    wrong = []
    for case in _CASES:
        if "patterns" not in case:
            continue
        try:
            matcher = Matcher(case["patterns"])
            got: object = [matcher.match(path, None)[0] for path in case["paths"]]
        except PatternError as error:
            got = str(error)
        if got != (case["error"] if "error" in case else case["matched"]):
            wrong.append((case, got))
    assert wrong == []


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "", True),
        ("*", "a/b", False),
        ("a*c", "abc", True),
        ("a*", "ab\n", True),
        ("?", "é", True),
        ("?", "/", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("[c-a]", "b", False),
        ("[^c-a]", "b", True),
        (r"\*", "*", True),
        (r"[\]]", "]", True),
        ("a[", "b", PatternError),
        ("b*[", "a", False),
        ("\\", "a", PatternError),
    ],
)
def test_one_name_matches_as_in_filepath_match(pattern: str, name: str, matches: object) -> None:
    """Each construct of Go's filepath.Match, and where it refuses a pattern."""
    if matches is PatternError:
        with pytest.raises(PatternError, match="syntax error in pattern"):
            glob_match(pattern, name)
    else:
        assert glob_match(pattern, name) is matches


def test_a_name_that_is_no_utf8_has_one_character_a_byte(tmp_path: Path) -> None:
    """`?` matches one stray byte, and one character of two bytes."""
    for name in (b"\xff", b"\xc3\xa9", b"\xff\xff"):
        os.close(os.open(os.path.join(os.fsencode(tmp_path), name), os.O_CREAT, 0o600))
    with closing(Folders.of(tmp_path)) as folders:
        walk = Walk(folders, Filter([], ["?"]))
        stats = [decode(packet).stat for batch in walk.batches() for packet in batch.packets]
    assert [stat.path for stat in stats if stat] == [b"\xff\xff"]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    """Links that lead to each other are followed once."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a/x")
    with closing(Folders.of(tmp_path)) as folders:
        assert follow_paths(folders, ["a", "b/y"]) == ["a", "b"]


def test_nothing_is_followed_out_of_the_context(tmp_path: Path) -> None:
    """A link upwards, or to an absolute path, is taken as inside the context, as a chroot would."""
    context = tmp_path / "context"
    context.mkdir()
    (tmp_path / "outside").touch()
    (context / "up").symlink_to("../../outside")
    (context / "abs").symlink_to("/etc/passwd")
    with closing(Folders.of(context)) as folders:
        assert follow_paths(folders, ["up", "abs"]) == ["abs", "etc/passwd", "outside", "up"]
