"""A plan as Markdown: what is said, what no name can do, and how long it gets. Read back by a parser of CommonMark."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from buildkit_builders.claims import Amounts, Problem
from buildkit_builders.claims.platform import Limits
from buildkit_builders.fleet.report import ClaimRow, FleetReport, Removed
from buildkit_builders.results import Step
from buildkit_builders.review.plan_text import GITHUB_LIMIT, InvalidPlan, marked, matters, no_plan_text, plan_text
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

STEP = {
    "operation": "create",
    "type": "kubernetes:apps/v1:Deployment",
    "name": "main-deployment",
    "paths": ["spec.replicas"],
}
PLAN: dict[str, Any] = {
    "version": 1,
    "action": "plan",
    "ok": False,
    "interrupted": False,
    "claims": [
        {
            "claim": "payments/main", "stack": "payments-main", "cluster": "one", "namespace": "builders-payments",
            "status": "changed", "changes": {"create": 9, "replace": 1}, "steps": [STEP],
            "warnings": ["expires on 2026-12-01"], "error": "", "attempts": 1, "seconds": 2.0,
        },
        {
            "claim": "search/main", "stack": "search-main", "cluster": "one", "namespace": "builders-search",
            "status": "failed", "changes": {}, "steps": [], "warnings": [], "error": "line one\nline two",
            "attempts": 3, "seconds": 2.0,
        },
    ],
    "teams": [
        {"team": "payments", "changes": {"create": 9, "replace": 1},
         "amounts": {"cpu": "500m", "memory": "1Gi", "storage": "0", "builders": "1", "pods": "1"},
         "limits": {"cpu": "4", "memory": "4Gi", "builders": "2"}},
        {"team": "search", "changes": {},
         "amounts": {"cpu": "1", "memory": "2Gi", "storage": "0", "builders": "1", "pods": "2"},
         "limits": {"cpu": "4"}},
    ],
    "total": {"changes": {"create": 9, "replace": 1}, "amounts": {"cpu": "1500m", "builders": "2", "pods": "3"},
              "limits": {}},
    "gone": [{"stack": "payments-old", "deleted": False, "error": ""}],
    "problems": [
        {"file": "claims/search.yaml", "line": 5, "severity": "error", "claim": "search/two", "text": "no size"}
    ],
}  # fmt: skip
HOSTILE = [
    "a|b",
    "`x` ``y``",
    "</summary></details><script>alert(1)</script>",
    "@everyone and #1",
    "[click](https://evil.example)",
    "![](https://evil.example/pixel.png)",
    "<!-- builders-claims: plan -->",
    "\n\n/close\n/approve",
    "\n```\n# out\n```",
    "\\`",
    "\x1b[2J\u202eabc",
    "https://user:password@evil.example/",
    "``",
    "   ",
    "",
]


def tokens(text: str) -> list[Token]:
    """All tokens of the Markdown, those within lines too."""
    found = MarkdownIt("commonmark").enable("table").parse(text)
    return [one for token in found for one in (token, *(token.children or ()))]


def with_text(hostile: str) -> dict[str, Any]:
    """The plan with that text wherever a text stands."""

    def put(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: put(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [put(one, key) for one in value]
        return hostile if isinstance(value, str) and key not in ("action", "status", "severity") else value

    found: dict[str, Any] = put(copy.deepcopy(PLAN))
    return found


def assert_nothing_is_said_by(text: str) -> None:
    """Outside of code there is only what we wrote: no link, picture or command, no HTML but our fold."""
    for token in tokens(text):
        assert token.type not in ("link_open", "image", "html_inline", "autolink"), token
        if token.type == "html_block":
            for line in filter(None, token.content.splitlines()):
                assert line in ("<details>", "</details>") or line.startswith(
                    ("<!-- builders-claims: plan -->", "<summary>")
                )
                assert "<" not in line.removeprefix("<summary>").removesuffix("</summary>")[1:]
        if token.type == "text":
            assert "@" not in token.content
            assert "://" not in token.content
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        assert fenced or not line.startswith("/"), line


def test_the_comment_says_what_a_reviewer_asks() -> None:
    """Refusals with file and line, failures in full, changes and amounts by team against limits, what replaces."""
    text = plan_text(PLAN, "plan")
    assert text.startswith(
        marked("plan") + "\n### Plan of the builders' claims\n\n1 to change, 1 failed, **1 refused**"
    )
    assert "- ` claims/search.yaml:5 ` ` search/two `: ` no size `" in text
    assert "line one\nline two" in text
    assert "| ` payments ` | 9 made, **1 replaced** | ` 1 of 2 ` | ` 1 ` | ` 500m of 4 ` | ` 1Gi of 4Gi ` |" in text
    assert "| all teams |" in text
    assert "` payments-old `: left; `--prune` deletes it" in text
    assert "- ` create ` ` Deployment ` ` main-deployment `: ` spec.replicas `" in text
    assert "expires on 2026-12-01" in text
    assert len([one for one in tokens(text) if one.type == "table_open"]) == 1


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_name_or_message_does_anything(hostile: str) -> None:
    """Wherever a text of others stands, it is shown in code and nothing else."""
    assert_nothing_is_said_by(plan_text(with_text(hostile), "plan"))


@given(st.text(alphabet=st.sampled_from("`|<>@#/\\\n[]()!*_-~ ab:."), max_size=60))
def test_no_mixture_of_marks_does_anything(hostile: str) -> None:
    """The same for random ones."""
    assert_nothing_is_said_by(plan_text(with_text(hostile), "plan"))


def test_a_long_plan_fits_and_says_what_is_left_out() -> None:
    """A thousand changed claims and as many refusals: within GitHub's limit, refusals first."""
    plan = copy.deepcopy(PLAN)
    plan["claims"] = [{**PLAN["claims"][0], "claim": f"team-{n}/main", "steps": [STEP] * 10} for n in range(1000)]
    plan["problems"] = [{**PLAN["problems"][0], "line": n} for n in range(200)]
    text = plan_text(plan, "plan", link="https://github.example/o/r/actions/runs/1")
    assert len(text) <= GITHUB_LIMIT
    assert len(text) > GITHUB_LIMIT * 0.9
    assert "claims/search.yaml:199" in text
    assert "Left out, since a comment holds no more:" in text
    assert "claims' resources." in text
    assert text.endswith("[The job](https://github.example/o/r/actions/runs/1)\n")
    assert text.count("<details>") == text.count("</details>")


@given(st.integers(500, 3000))
def test_any_limit_holds(limit: int) -> None:
    """However little there is room for, nothing is cut within a part."""
    text = plan_text(with_text("`" * 50), "plan", limit=limit)
    assert len(text) <= limit
    assert text.count("<details>") == text.count("</details>")


_LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PLAN["claims"][0], *PLAN["teams"][0]]), inner)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["claims", "teams", "total", "gone", "problems", "interrupted", "action"]), _JSON)
)
def test_no_json_makes_it_fail(found: dict[str, Any]) -> None:
    """A field that is missing or of another type is passed over, or the whole is refused in one line."""
    with contextlib.suppress(InvalidPlan):
        assert len(plan_text({"version": 1, **found}, "plan")) <= GITHUB_LIMIT


def test_what_is_no_plan_is_refused() -> None:
    """Another version, or something else."""
    for one in ({}, {"version": 2, "claims": []}, {"version": 1, "claims": None}, json.loads('{"a": 1}')):
        with pytest.raises(InvalidPlan, match="builders claims plan --json"):
            plan_text(one, "plan")


def test_a_plan_without_news_does_not_matter() -> None:
    """No issue for a quiet night; any warning, change or refusal is news."""
    quiet = {
        "version": 1,
        "claims": [{"claim": "a/b", "status": "unchanged", "warnings": []}],
        "problems": [],
        "gone": [],
    }
    assert not matters(quiet)
    assert matters(PLAN)
    assert matters({**quiet, "gone": PLAN["gone"]})
    assert matters({**quiet, "claims": [{"claim": "a/b", "status": "unchanged", "warnings": ["soon"]}]})


def test_a_failed_plan_replaces_the_one_before() -> None:
    """The same marker, so that the old comment is overwritten."""
    assert no_plan_text("plan").startswith(marked("plan"))


def test_a_job_is_linked_only_by_an_ordinary_address() -> None:
    """Nothing that ends the link."""
    assert "[The job]" not in plan_text(PLAN, "plan", link="https://x.example/)[a](javascript:x")
    assert "[The job](https://x.example/-/jobs/1)" in plan_text(PLAN, "plan", link="https://x.example/-/jobs/1")


def test_a_report_of_the_fleet_is_read_whole() -> None:
    """What `plan --json` writes today: each field that the comment shows is there under that name."""
    steps = (Step("replace", "a:b:Kind", "x", ("spec",)),)
    row = ClaimRow("payments/main", "payments-main", "one", "builders", "changed", steps)
    failed = ClaimRow("search/main", "search-main", "one", "builders", "failed", warnings=("soon",), error="why")
    report = FleetReport(
        "plan",
        (row, failed),
        (Problem("claims/a.yaml", 7, "no size", claim="a/b"),),
        (Removed("payments-old"),),
        {"payments": Amounts(builders=1, pods=3)},
        {"payments": Limits(pods=4)},
    )
    text = plan_text(json.loads(json.dumps(report.to_json())), "plan")
    assert "**1 replaced**" in text
    for said in ("soon", "why", "claims/a.yaml:7", "no size", "payments-old", "3 of 4", "Kind", "spec"):
        assert said in text
