"""A plan, as `builders claims plan --json` writes it, as the Markdown of one comment. Pure.

What matters most comes first: refused claims, failures, changes by team against the limits. What does not fit into a
comment is left out in whole claims, and their number is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from buildkit_builders.review.quoting import block, cell, code

__all__ = ["GITHUB_LIMIT", "InvalidPlan", "marked", "matters", "no_plan_text", "plan_text"]

GITHUB_LIMIT = 65_536
"""Characters of a comment's body that GitHub takes; GitLab takes a million."""
_RESERVE = 400
"""Kept free for what is said of that which was left out."""
_ERROR = 3000
"""Characters of one claim's error."""
_STEPS = 40
"""Resources of one claim that are listed."""
_WORDS = {"create": "made", "update": "changed", "replace": "replaced", "delete": "removed"}
_DANGER = ("replace", "delete")
_AMOUNTS = {"builders": "Builders", "pods": "Pods", "cpu": "CPU", "memory": "Memory", "storage": "Volumes"}

Json = Mapping[str, Any]


class InvalidPlan(ValueError):
    """What was given is no plan that this version reads."""


def marked(key: str) -> str:
    """The first line of a comment, by which the next run finds it; nothing of it is shown."""
    return f"<!-- builders-claims: {key} -->"


def matters(report: Json) -> bool:
    """Whether there is anything to tell: a change, a refusal, a warning, a failure, a builder without a claim."""
    rows = _rows(report, "claims")
    return any(row.get("status") != "unchanged" or row.get("warnings") for row in rows) or any(
        report.get(name) for name in ("problems", "gone", "interrupted")
    )


def plan_text(report: Json, key: str, *, title: str = "", link: str = "", limit: int = GITHUB_LIMIT) -> str:
    """The comment. `key` tells comments of one thread apart, `link` leads to the job. Raises InvalidPlan."""
    if report.get("version") != 1 or not isinstance(report.get("claims"), list):
        raise InvalidPlan("not the output of `builders claims plan --json` (version 1)")
    text = _Text(limit - _RESERVE)
    text.add(f"{marked(key)}\n### {title or _title(report)}\n\n{_sums(report)}\n")
    text.add_list("Refused", _problem_items(report, "error"), "more problems")
    text.add_whole(_failures(report), "failures")
    text.add_list("Warnings", _warning_items(report), "more warnings")
    text.add_whole([_teams(report)], "team tables")
    text.add_list("Builders whose claim is gone", _gone_items(report), "more builders")
    text.add_whole(_details(report), "claims' resources")
    return text.closed(link)


def no_plan_text(key: str, *, link: str = "") -> str:
    """The comment where there is no plan: an old one must not stay and look current."""
    text = _Text(GITHUB_LIMIT)
    text.add(f"{marked(key)}\n### No plan of the builders' claims\n\nThe command failed before it had one.\n")
    return text.closed(link)


class _Text:
    """Collects parts while they fit; what does not is counted."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._parts: list[str] = []
        self._left: dict[str, int] = {}

    def add(self, part: str) -> bool:
        """Whether the part fitted."""
        if len(part) + 1 > self._room:
            return False
        self._room -= len(part) + 1
        self._parts.append(part)
        return True

    def add_whole(self, parts: Iterable[str], what: str) -> None:
        for part in filter(None, parts):
            if not self.add(part):
                self._left[what] = self._left.get(what, 0) + 1

    def add_list(self, heading: str, items: Iterable[str], what: str) -> None:
        for number, item in enumerate(items):
            if not self.add(f"**{heading}**\n\n- {item}" if number == 0 else f"- {item}"):
                self._left[what] = self._left.get(what, 0) + 1
        self.add("")

    def closed(self, link: str) -> str:
        """The whole text, with what was left out."""
        left = ", ".join(f"{number} {what}" for what, number in self._left.items())
        said = [f"Left out, since a comment holds no more: {left}."] if left else []
        # a link of the host's own; anything else is not made one
        said += [f"[The job]({link})"] if link.startswith("https://") and _is_plain(link) else []
        return "\n".join([*self._parts, *said]).rstrip() + "\n"


def _is_plain(link: str) -> bool:
    return len(link) <= 200 and all(one.isalnum() or one in ":/.-_" for one in link)


def _rows(report: Json, name: str) -> Sequence[Json]:
    found = report.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _title(report: Json) -> str:
    action = {"plan": "Plan", "apply": "Apply", "destroy": "Destroy"}.get(str(report.get("action")), "Result")
    return f"{action} of the builders' claims"


def _sums(report: Json) -> str:
    rows = _rows(report, "claims")
    counts = {status: sum(row.get("status") == status for row in rows) for status in ("changed", "unchanged", "failed")}
    refused = {one.get("claim") or one.get("file") for one in _rows(report, "problems") if _is_error(one)}
    words = {"changed": "to change" if report.get("action") == "plan" else "changed"}
    said = [f"{number} {words.get(status, status)}" for status, number in counts.items() if number]
    said += [f"**{len(refused)} refused**"] if refused else []
    said += ["**interrupted**"] if report.get("interrupted") else []
    return ", ".join(said) or "No claims."


def _is_error(problem: Json) -> bool:
    return problem.get("severity") == "error"


def _problem_items(report: Json, severity: str) -> Iterator[str]:
    for one in _rows(report, "problems"):
        if one.get("severity") == severity:
            place = str(one.get("file", "")) + (f":{one['line']}" if one.get("line") else "")
            claim = f" {code(str(one['claim']))}" if one.get("claim") else ""
            yield f"{code(place)}{claim}: {code(str(one.get('text', '')))}"


def _warning_items(report: Json) -> Iterator[str]:
    yield from _problem_items(report, "warning")
    for row in _rows(report, "claims"):
        for warning in _texts(row, "warnings"):
            yield f"{code(str(row.get('claim')))}: {code(warning)}"


def _texts(row: Json, name: str) -> list[str]:
    found = row.get(name)
    return [str(one) for one in found] if isinstance(found, list) else []


def _failures(report: Json) -> Iterator[str]:
    for row in _rows(report, "claims"):
        if row.get("error"):
            yield f"**Failed: {code(str(row.get('claim')))}**\n\n{block(str(row['error']), _ERROR)}\n"


def _gone_items(report: Json) -> Iterator[str]:
    for one in _rows(report, "gone"):
        what = "deleted" if one.get("deleted") else "left; `--prune` deletes it"
        yield f"{code(str(one.get('stack')))}: " + (
            f"not deleted: {code(str(one['error']))}" if one.get("error") else what
        )


def _teams(report: Json) -> str:
    """A table: a row a team, and what its claims take together of its limits."""
    teams = _rows(report, "teams")
    if not teams:
        return ""
    total = report.get("total")
    rows = [*((cell(str(team.get("team"))), team) for team in teams)]
    rows += [("all teams", total)] if isinstance(total, Mapping) and len(teams) > 1 else []
    used = [name for name in _AMOUNTS if any(_amount(team, name) for _, team in rows)]
    lines = [f"| Team | Changes | {' | '.join(_AMOUNTS[name] for name in used)} |", "|---|---|" + "---|" * len(used)]
    for name, team in rows:
        lines.append(f"| {name} | {_changes(team)} | {' | '.join(_amount(team, one) or '0' for one in used)} |")
    return "\n".join(lines) + "\n"


def _amount(team: Json, name: str) -> str:
    amounts, limits = team.get("amounts"), team.get("limits")
    amount = str(amounts.get(name) or "") if isinstance(amounts, Mapping) else ""
    limit = str(limits.get(name) or "") if isinstance(limits, Mapping) else ""
    amount = "" if amount == "0" and not limit else amount
    return cell(f"{amount or '0'} of {limit}") if limit else cell(amount) if amount else ""


def _changes(row: Json) -> str:
    changes = row.get("changes")
    found = changes if isinstance(changes, Mapping) else {}
    words = [*(one for one in _WORDS if found.get(one)), *sorted(one for one in found if one not in _WORDS)]
    said = [f"{_number(found[one])} {_WORDS.get(one) or code(one)}" for one in words]
    return ", ".join(f"**{one}**" if name in _DANGER else one for name, one in zip(words, said, strict=True)) or "none"


def _number(value: object) -> str:
    return str(value) if isinstance(value, int) else "?"


def _details(report: Json) -> Iterator[str]:
    """A fold a claim that changes, those that replace or remove something first."""
    rows = [row for row in _rows(report, "claims") if row.get("status") == "changed"]
    for row in sorted(rows, key=lambda row: not any(_of(row, one) for one in _DANGER)):
        steps = _rows(row, "steps")
        lines = [_step(step) for step in steps[:_STEPS]]
        lines += [f"- and {len(steps) - _STEPS} more"] if len(steps) > _STEPS else []
        where = f"in namespace {code(str(row.get('namespace')))}"
        head = f"<details>\n<summary>{_summary(str(row.get('claim')))}</summary>\n\n{_changes(row)}, {where}\n"
        yield "\n".join([head, *lines, "\n</details>\n"])


def _of(row: Json, operation: str) -> bool:
    changes = row.get("changes")
    return bool(isinstance(changes, Mapping) and changes.get(operation))


def _summary(claim: str) -> str:
    """A claim's name as HTML, in which Markdown is not read; only the letters that names have."""
    return "".join(one if one.isascii() and (one.isalnum() or one in "-/.") else "?" for one in claim[:130])


def _step(step: Json) -> str:
    paths = ", ".join(code(path, 120) for path in _texts(step, "paths")[:8])
    kind = str(step.get("type", "")).rpartition(":")[2]
    return f"- {code(str(step.get('operation')))} {code(kind)} {code(str(step.get('name')))}" + (
        f": {paths}" if paths else ""
    )
