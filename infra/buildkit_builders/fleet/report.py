"""What a plan or an apply came to, by claim and by team: values, their JSON and their lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from buildkit_builders.automation import Outcome, Preview, Step, Update
from buildkit_builders.claims import Amounts, Claims, Problem, Resolved, amounts_of
from buildkit_builders.claims.platform import Limits
from buildkit_builders.claims.problem import ERROR
from buildkit_builders.claims.totals import shown

__all__ = ["CANCELLED", "CHANGED", "FAILED", "UNCHANGED", "ClaimRow", "FleetReport", "Removed", "report_of"]

CHANGED, UNCHANGED, FAILED, CANCELLED = "changed", "unchanged", "failed", "cancelled"
_REPLACING = ("create-replacement", "delete-replaced")


class ClaimRow(NamedTuple):
    """One claim's builder."""

    claim: str
    """`team/name`."""
    stack: str
    cluster: str
    """Empty, as the namespace, of a claim that was refused."""
    namespace: str
    status: str
    """`changed`, which in a plan means that it would be; `unchanged`, `failed` or `cancelled`."""
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""
    attempts: int = 1
    seconds: float = 0.0

    @property
    def changes(self) -> Mapping[str, int]:
        """How many resources are made, changed, replaced, removed: by Pulumi's words."""
        return Counter(one.operation for one in self.steps if one.operation not in _REPLACING)


class Removed(NamedTuple):
    """A builder whose claim is gone."""

    stack: str
    deleted: bool = False
    error: str = ""


@dataclass(frozen=True)
class FleetReport:
    """The whole of it."""

    action: str
    """`plan`, `apply` or `destroy`."""
    rows: tuple[ClaimRow, ...]
    problems: tuple[Problem, ...] = ()
    gone: tuple[Removed, ...] = ()
    amounts: Mapping[str, Amounts] = field(default_factory=dict)
    """What each team's good claims take, scaled up."""
    limits: Mapping[str, Limits] = field(default_factory=dict)
    """Each team's limits, and under "" those of all together."""
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and no problem is an error."""
        return not (
            self.interrupted
            or any(row.status in (FAILED, CANCELLED) for row in self.rows)
            or any(one.severity == ERROR for one in self.problems)
            or any(one.error for one in self.gone)
        )

    @property
    def has_changes(self) -> bool:
        """Whether anything is, or would be, changed or deleted."""
        return any(row.status == CHANGED for row in self.rows) or bool(self.gone)

    def to_json(self) -> dict[str, Any]:
        """Version 1 of what `--json` writes: docs/claims-operations.md."""
        return {
            "version": 1,
            "action": self.action,
            "ok": self.ok,
            "interrupted": self.interrupted,
            "claims": [_row_json(row) for row in self.rows],
            "teams": [{"team": team, **self._team_json(team)} for team in self.amounts],
            "total": self._team_json(""),
            "gone": [one._asdict() for one in self.gone],
            "problems": [one._asdict() for one in self.problems],
        }

    def _team_json(self, team: str) -> dict[str, Any]:
        rows = [row for row in self.rows if not team or row.claim.startswith(f"{team}/")]
        amounts, limits = self._amounts_and_limits(team)
        return {
            "changes": dict(sum((Counter(row.changes) for row in rows), Counter())),
            "amounts": {name: shown(name, value) for name, value in amounts._asdict().items()},
            "limits": {name: str(value) for name, value in limits._asdict().items() if value is not None},
        }

    def _amounts_and_limits(self, team: str) -> tuple[Amounts, Limits]:
        if team:
            return self.amounts.get(team, Amounts()), self.limits.get(team, Limits())
        total = Amounts()
        for one in self.amounts.values():
            total = total.plus(one)
        return total, self.limits.get("", Limits())

    def lines(self) -> Iterator[str]:
        """The summary for people: by team, then the totals, and what is gone, failed and refused."""
        would = "would be " if self.action == "plan" else ""
        for team in dict.fromkeys(row.claim.partition("/")[0] for row in self.rows):
            yield f"{team}"
            for row in self.rows:
                if row.claim.startswith(f"{team}/"):
                    yield f"  {row.claim.partition('/')[2]}: {_said(row, would)}"
            if team in self.amounts and (taken := self._taken(team)):
                yield f"  together: {taken}"
        if taken := self._taken(""):
            yield f"all teams: {taken}"
        yield from self._gone_lines()
        yield self.last_line()

    def _taken(self, team: str) -> str:
        amounts, limits = self._amounts_and_limits(team)
        said = []
        for name, word in (("builders", "builders"), ("pods", "pods"), ("cpu", "CPU"), ("memory", "memory"),
                           ("storage", "volumes")):  # fmt: skip
            value, limit = getattr(amounts, name), getattr(limits, name)
            if value or limit is not None:
                of = f" of {shown(name, limit)}" if limit is not None else ""
                said.append(f"{word} {shown(name, Fraction(value))}{of}")
        return ", ".join(said)

    def _gone_lines(self) -> Iterator[str]:
        for one in self.gone:
            if one.error:
                yield f"claim gone: {one.stack}: not deleted: {one.error}"
            elif one.deleted:
                yield f"claim gone: {one.stack}: deleted"
            else:
                yield f"claim gone: {one.stack}: its builder is left; --prune deletes it"

    def last_line(self) -> str:
        """One line: how many of each."""
        counts = Counter(row.status for row in self.rows)
        refused = {one.claim or one.file for one in self.problems if one.severity == ERROR}
        words = {CHANGED: "to change" if self.action == "plan" else "changed"}
        said = [f"{counts[status]} {words.get(status, status)}" for status in (CHANGED, UNCHANGED, FAILED, CANCELLED)
                if counts[status]]  # fmt: skip
        # what is destroyed need not be allowed, only known
        said += [f"{len(refused)} {'not read' if self.action == 'destroy' else 'refused'}"] if refused else []
        return f"{self.action}: {', '.join(said) or 'no claims'}"


def report_of(
    action: str,
    claims: Claims,
    resolved: Mapping[str, Resolved],
    outcomes: Mapping[str, Outcome[Preview] | Outcome[Update]],
    *,
    problems: Sequence[Problem] | None = None,
    refused: Mapping[str, str] = MappingProxyType({}),
    gone: Sequence[Removed] = (),
    interrupted: bool = False,
    today: date | None = None,
) -> FleetReport:
    """The report of the claims of `resolved`, of which those in `outcomes` were worked on.

    `problems` are those that concern them; by default all of `claims`. `refused` are claims by their stacks that were
    refused, and worked on nevertheless.
    """
    amounts: dict[str, Amounts] = {}
    meant = [one.claim for one in resolved.values()]
    for claim in meant:
        one = amounts_of(claim, claims.platform, today)
        amounts[claim.team] = amounts.get(claim.team, Amounts()).plus(one)
    limits = {team: claims.platform.limits.of(team) for team in amounts}
    whole = len(meant) == len(claims.claims)
    return FleetReport(
        action,
        (
            *(_row(one, outcomes[stack]) for stack, one in resolved.items() if stack in outcomes),
            *(_row_of(name, stack, "", "", outcomes[stack]) for stack, name in refused.items() if stack in outcomes),
        ),
        claims.problems if problems is None else tuple(problems),
        tuple(gone),
        amounts,
        {**limits, **({"": claims.platform.limits.total} if whole else {})},
        interrupted,
    )


def _row(resolved: Resolved, outcome: Outcome[Preview] | Outcome[Update]) -> ClaimRow:
    return _row_of(resolved.claim.id, resolved.stack, resolved.claim.cluster, resolved.namespace, outcome)


def _row_of(
    claim: str, stack: str, cluster: str, namespace: str, outcome: Outcome[Preview] | Outcome[Update]
) -> ClaimRow:
    result = outcome.result
    steps = result.steps if result else ()
    status = CANCELLED if outcome.cancelled else FAILED if outcome.error else CHANGED if steps else UNCHANGED
    return ClaimRow(
        claim,
        stack,
        cluster,
        namespace,
        status,
        steps,
        result.warnings if isinstance(result, Preview) else (),
        str(outcome.error) if outcome.error else "",
        outcome.attempts,
        round(outcome.seconds, 2),
    )


def _row_json(row: ClaimRow) -> dict[str, Any]:
    steps = [step._asdict() for step in row.steps]
    return {**row._asdict(), "steps": steps, "changes": dict(row.changes)}


_WORDS = {"create": "made", "update": "changed", "replace": "replaced", "delete": "removed"}


def _said(row: ClaimRow, would: str) -> str:
    if row.error:
        return f"FAILED: {_indented(row.error)}"
    if row.status == CANCELLED:
        return "cancelled"
    known = [f"{number} {_WORDS.get(what, what)}" for what, number in _ordered(row.changes)]
    return f"{would}{', '.join(known)}" if known else "unchanged"


def _ordered(changes: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(changes.items(), key=lambda one: [*_WORDS, one[0]].index(one[0]))


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
