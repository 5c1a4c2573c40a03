"""What a plan or an apply of claims came to: by claim, by team, against the limits; as lines and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders.automation import Outcome, Preview, StackError, Step, Update
from buildkit_builders.claims import resolve
from buildkit_builders.fleet import FleetReport, report_of
from buildkit_builders.fleet.report import Removed

from tests.unit.builders.claims.files import PLATFORM, TODAY, read

MADE = Step("create", "kubernetes:apps/v1:Deployment", "main-deployment", ())
CHANGED = Step("update", "kubernetes:apps/v1:Deployment", "main-deployment", ("spec.replicas",))
REPLACED = (
    Step("create-replacement", "kubernetes:core/v1:Service", "s", ()),
    Step("replace", "kubernetes:core/v1:Service", "s", ()),
    Step("delete-replaced", "kubernetes:core/v1:Service", "s", ()),
)


def _preview(stack: str, *steps: Step) -> Outcome[Preview]:
    return Outcome(stack, Preview(stack, steps, ""), None, 1, 1.234)


def _report(folder: Path, action: str, outcomes: dict[str, Any], **more: Any) -> FleetReport:
    platform = {**PLATFORM, "limits": {"team": {"cpu": 2, "builders": 3}, "total": {"storage": "1Ti"}}}
    claims = read(
        folder,
        platform,
        payments=[{"name": "main", "owner": "ada"}, {"name": "two", "owner": "ada", "size": "smal"}],
        search={"name": "main", "owner": "bob", "scaling": {"max": 2}},
    )
    resolved = {one.stack: resolve(one, claims.platform, TODAY) for one in claims.claims}
    return report_of(action, claims, resolved, outcomes, today=TODAY, **more)


def test_a_plan_is_summed_up_by_team_against_the_limits(tmp_path: Path) -> None:
    """What would be made, changed and replaced; requests and volumes of each team and of all, with the limits."""
    report = _report(
        tmp_path,
        "plan",
        {"payments-main": _preview("payments-main", MADE, CHANGED, *REPLACED), "search-main": _preview("search-main")},
        gone=[Removed("old-main")],
    )
    assert list(report.lines()) == [
        "payments",
        "  main: would be 1 made, 1 changed, 1 replaced",
        "  together: builders 1 of 3, pods 1, CPU 500m of 2, memory 1Gi, volumes 20Gi",
        "search",
        "  main: unchanged",
        "  together: builders 1 of 3, pods 2, CPU 1 of 2, memory 2Gi, volumes 40Gi",
        "all teams: builders 2, pods 3, CPU 1500m, memory 3Gi, volumes 60Gi of 1Ti",
        "claim gone: old-main: its builder is left; --prune deletes it",
        "plan: 1 to change, 1 unchanged, 1 refused",
    ]
    assert not report.ok, "a claim was refused"
    assert report.has_changes


def test_an_apply_names_what_failed_at_its_end(tmp_path: Path) -> None:
    """The failed one's reason is below its name; the other's changes are there; the last line counts both."""
    report = _report(
        tmp_path,
        "apply",
        {
            "payments-main": Outcome("payments-main", None, StackError("update: no quota\n  pod x"), 3, 2.0),
            "search-main": Outcome("search-main", Update("search-main", (MADE,), {}, 1.0), None, 1, 1.0),
        },
        gone=[Removed("old-main", deleted=True), Removed("old-two", error="locked")],
    )
    lines = list(report.lines())
    assert lines[1] == "  main: FAILED: update: no quota\n      pod x"
    assert lines[-3:] == [
        "claim gone: old-main: deleted",
        "claim gone: old-two: not deleted: locked",
        "apply: 1 changed, 1 failed, 1 refused",
    ]
    assert not report.ok


def test_the_json_has_every_claim_team_and_problem(tmp_path: Path) -> None:
    """Version 1: steps, changes, amounts as Kubernetes writes them, the refused claim with file and line."""
    report = _report(tmp_path, "plan", {"payments-main": _preview("payments-main", CHANGED)})
    found = json.loads(json.dumps(report.to_json()))
    assert (found["version"], found["action"], found["ok"]) == (1, "plan", False)
    (row,) = found["claims"]
    assert (row["claim"], row["status"], row["changes"]) == ("payments/main", "changed", {"update": 1})
    assert row["steps"][0]["paths"] == ["spec.replicas"]
    payments = found["teams"][0]
    assert (payments["team"], payments["amounts"]["cpu"], payments["limits"]) == (
        "payments",
        "500m",
        {"cpu": "2", "builders": "3"},
    )
    assert found["total"]["limits"] == {"storage": "1Ti"}
    assert [(one["claim"], one["line"]) for one in found["problems"]] == [("payments/two", 5)]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome("payments-main", None, None, 0, 0.0, cancelled=True), "cancelled"),
        (Outcome("payments-main", Update("payments-main", (), {}, 1.0), None, 1, 1.0), "unchanged"),
    ],
)
def test_a_cancelled_claim_is_told_from_an_unchanged_one(tmp_path: Path, outcome: Any, status: str) -> None:
    """Both have no steps."""
    (row,) = _report(tmp_path, "apply", {"payments-main": outcome}).rows
    assert row.status == status
