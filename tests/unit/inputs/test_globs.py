"""Patterns against plain regular expressions, and patterns that would take for ever if matching went back."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from buildclient.inputs.expression import QUICK, ExpressionError, matcher
from buildclient.inputs.globs import PatternError, compile_pattern, glob_match
from buildclient.inputs.ignore import Filter, Matcher

_PIECES = [
    ("*", "[^/]*"), ("?", "[^/]"), ("**/", "(?:.*/)?"), ("[a-b]", "[a-b]"), ("[^a]", "[^a]"), ("\\*", "\\*"),
    ("[[:alpha:]]", "[A-Za-z]"), ("a{2}", "a{2}"), ("b{0,2}", "b{0,2}"), ("a{1,}", "a{1,}"), ("\\b", "\\b"),
    (".", "\\."), ("\\d", "[0-9]"), ("[^\\d/]", "[^0-9/]"), ("|b", "|b"), ("^", "^"), ("\\x61", "a"), ("/", "/"),
]  # fmt: skip
_LETTERS = some.sampled_from(["a", "b", "/", "x"])
_PATTERNS = some.lists(some.tuples(some.sampled_from(_PIECES), _LETTERS), min_size=1, max_size=6)


@pytest.mark.parametrize("quick", [QUICK, 0])
@given(pieces=_PATTERNS, text=some.text("aab/x*.1é\n", max_size=12))
def test_patterns_are_the_regular_expressions_that_patternmatcher_makes(
    quick: int, pieces: list[tuple[tuple[str, str], str]], text: str
) -> None:
    """By `re` and without going back: both say what an expression that is spelled by hand says."""
    go = "".join(expression.replace("(?:", "(") + letter for (_, expression), letter in pieces)
    python = "".join(expression + letter for (_, expression), letter in pieces)
    expected = re.search(f"^{python}\\Z", text, re.ASCII) is not None
    assert matcher(f"^{go}$", quick)(text) is expected
    pattern = "".join(piece + letter for (piece, _), letter in pieces)
    # A star that comes at once behind the first two is another pattern.
    if not pattern.startswith("**"):
        assert compile_pattern(pattern)(text) is (expected if _is_regular(pattern) else pattern == text)


def _is_regular(pattern: str) -> bool:
    """Without `*`, `?`, `[` and `\\`, a pattern is a text: `{` and `|` alone make no expression of it."""
    return any(char in "*?[]\\" for char in pattern)


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("^a|b$", "ax", True),
        ("^a|b$", "xb", True),
        ("^a|b$", "xbx", False),
        ("^[^/]*a\\$", "xa$y", True),
        ("^{0}b", "ab", True),
        ("a{,2}", "a{,2}", True),
        ("a{02}", "a{02}", True),
        ("\\101\\x{42}", "AB", True),
        ("^\\B$", "", True),
        ("[]a]", "]", True),
        ("[a-]", "-", True),
        ("[^[:^digit:]]", "1", True),
        ("a{3,1}", "", ExpressionError),
        ("a{1001}", "", ExpressionError),
        ("a{99999999999}", "", ExpressionError),
        ("a|{2}", "", ExpressionError),
        ("[^/]*{2}", "", ExpressionError),
        ("(.*/)?{2}", "", ExpressionError),
        ("[b-a]", "", ExpressionError),
        ("[a-\\d]", "", ExpressionError),
        ("[[:nothing:]]", "", ExpressionError),
        ("\\8", "", ExpressionError),
        ("\\é", "", ExpressionError),
        ("\\x{110000}", "", ExpressionError),
        ("[a", "", ExpressionError),
        ("a\\", "", ExpressionError),
    ],
)
def test_each_oddity_of_gos_expressions(expression: str, text: str, found: object) -> None:
    """What Go's regexp/syntax takes and refuses."""
    if found is ExpressionError:
        with pytest.raises(ExpressionError):
            matcher(expression)
    else:
        assert [matcher(expression, quick)(text) for quick in (QUICK, 0)] == [found, found]


_ENDLESS = [
    ("long/" + "*a" * 12 + " b", "long/" + "a" * 250),
    ("*a" * 12 + "*b", "a" * 200),
    ("*" * 1 + "?*" * 1000 + "b", "a" * 250),
    ("**/" + "**/a" * 1000, "a/" * 2000 + "b"),
    ("**/*a*b", "a/" * 2000 + "a"),
    ("[a-z]{0,200}" * 300 + "B", "a" * 250),
    ("[^b]{0,}" * 500 + "b", "a/" * 2000),
    ("**" + "/*" * 2000 + "b", "a/" * 2000 + "a/a\n"),
    ("a{0,1000}" * 400 + "\\b\\B", "a" * 4000),
    ("|".join(["*a*a*a*a*b"] * 300), "a" * 250),
]


@pytest.mark.parametrize(("pattern", "path"), _ENDLESS, ids=[pattern[:20] for pattern, _ in _ENDLESS])
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    """The worst of patterns on the longest of names: each within a second, be it as slow a machine as it may."""
    start = time.process_time()
    found = compile_pattern(pattern)(path)
    taken = time.process_time() - start
    assert not found
    assert taken < 1


def test_no_followed_path_takes_long() -> None:
    """The same of filepath.Match, which followed paths use."""
    start = time.process_time()
    assert not glob_match("*a" * 100 + "*b", "a" * 255)
    assert not glob_match("*[a-z]?" * 500 + "b", "a" * 255)
    assert time.process_time() - start < 1


def test_a_daemon_sends_so_many_patterns_and_no_longer_ones() -> None:
    """More than any build has are refused, in a message that does not repeat them all."""
    Matcher(["a*"] * 2000)
    for patterns in (["a"] * 20_001, ["a" * 4097]):
        with pytest.raises(PatternError, match=r"too (many|long)") as caught:
            Filter([], patterns)
        assert len(str(caught.value)) < 5000
