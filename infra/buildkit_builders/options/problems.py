"""Collects the problems of options or config, so that one error lists them all.

`InvalidValue` is what one value's parser raises; `Problem` adds which option it was and what was given; `OptionErrors`
carries every problem of one reading.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

__all__ = ["InvalidValue", "OptionErrors", "Problem", "Problems", "nearest", "shorten", "show"]

_SHOWN = 60
_LISTED = 400
"""Characters of a list of known names that a message shows."""


class InvalidValue(ValueError):
    """A value that an option does not accept; `allowed` says what it accepts, `hint` suggests a correction."""

    def __init__(self, allowed: str, hint: str = "", given: object = None) -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.hint = hint
        self.given = given
        """The part at fault, where a value has several; None for all of it."""


class Problem(NamedTuple):
    """One problem: where it is, what was given, what is allowed, and possibly a suggestion."""

    option: str
    """The option's name, or the path of a config key, such as `nodes[1].driver-opts.replicas`."""
    given: str
    allowed: str
    hint: str = ""

    def __str__(self) -> str:
        given = f"{self.given} is refused: " if self.given else ""
        return f"{self.option}: {given}{self.allowed}" + (f" ({self.hint})" if self.hint else "")


class OptionErrors(ValueError):
    """The given options are wrong; the message has one line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Problems:
    """Collects problems, each with its place. `at` gives a view for what stands further in; all views share one list.

    problems = Problems("builder:")
    node = problems.at("nodes").at("[0]")
    node.at("platforms").add(5, "give a list of platforms")  # builder:nodes[0].platforms: 5 is refused: …
    """

    def __init__(self, place: str = "", whole: str = "builder") -> None:
        """`place` precedes every place: `builder:` in stack config, `payments/main: ` of a claim.

        If it is empty, `whole` names the thing itself.
        """
        self._place = place
        self._whole = whole
        self.found: list[Problem] = []
        self.each_alone = False
        """Whether values are looked at each alone: samples stand among them, which need not go together."""

    @property
    def place(self) -> str:
        """Where this view stands, such as `nodes[1].driver-opts`."""
        return self._place.rstrip(": ") or self._whole

    def at(self, key: str) -> Problems:
        """The view of what stands under `key`, or an index such as `[0]`, of this place."""
        joint = "" if not self._place or self._place.endswith((":", ": ")) or key.startswith("[") else "."
        view = Problems(f"{self._place}{joint}{key}", self._whole)
        view.found = self.found
        view.each_alone = self.each_alone
        return view

    def fresh(self, *, each_alone: bool = False) -> Problems:
        """A view of the same place that collects for itself."""
        view = Problems(self._place, self._whole)
        view.each_alone = each_alone
        return view

    def add(self, given: object, allowed: str, hint: str = "") -> None:
        """Note a problem here; `given` is shown as it would be written, None (nothing given) not at all."""
        self._note("" if given is None else show(given), allowed, hint)

    def refused(self, given: object, error: InvalidValue) -> None:
        """Note what a value's parser refused."""
        self.add(given if error.given is None else error.given, error.allowed, error.hint)

    def note(self, problem: Problem) -> None:
        """Note a problem of another place here."""
        self._note(problem.given, problem.allowed, problem.hint)

    def unknown(self, name: str, known: Sequence[str], what: str, hint: str = "") -> None:
        """Note a name that is not among the `known` ones, with the nearest of them."""
        near = nearest(name, known)
        best = hint or (f'did you mean "{near}"?' if near else f"known: {_listed(known)}")
        self._note("", f"there is no {what} {show(name)}", best)

    def _note(self, given: str, allowed: str, hint: str) -> None:
        # hints quote what was written, and the names of a kubeconfig
        self.found.append(Problem(*map(_printable, (self.place, given, allowed, hint))))

    def raise_any(self) -> None:
        """Raise OptionErrors if anything was noted, here or in any other view."""
        if self.found:
            raise OptionErrors(dict.fromkeys(self.found))


def show(value: object) -> str:
    """Shows a value in one line, shortened if need be."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda other: f"{type(other).__name__} object")
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return shorten(_printable(text))


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= _LISTED else text[:_LISTED].rpartition(", ")[0] + ", …"


def shorten(text: str) -> str:
    """As much of a text as a message shows."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to `name`, if one is similar enough."""
    return _nearest(name[:100], tuple(known))


@lru_cache(maxsize=256)
def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    """Cached, since a text may have the same wrong name thousands of times."""
    by_plain = {_plain(one): one for one in known}
    close = difflib.get_close_matches(_plain(name), by_plain, n=1, cutoff=0.7)
    return by_plain[close[0]] if close else None


def _plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())
