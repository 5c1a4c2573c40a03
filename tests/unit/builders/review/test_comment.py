"""`builders claims comment` and the workflows of examples/ci, against a small GitHub and GitLab on the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from buildkit_builders.cli.main import run
from buildkit_builders.review.plan_text import marked

from tests.unit.builders.review.code_hosts import TOKEN, CodeHost, code_host
from tests.unit.builders.review.test_plan_text import PLAN

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = ROOT / "examples" / "ci"
QUIET = {
    "version": 1,
    "action": "plan",
    "claims": [{"claim": "a/b", "status": "unchanged"}],
    "problems": [],
    "gone": [],
}


@pytest.fixture
def host() -> Iterator[CodeHost]:
    """A code host."""
    with code_host() as found:
        yield found


def variables(host: CodeHost, kind: str, folder: Path) -> dict[str, str]:
    """What a job of this kind of host has, for request 5."""
    if kind == "gitlab":
        return {
            "GITLAB_CI": "true", "CI_API_V4_URL": host.url, "CI_PROJECT_ID": "42", "CI_MERGE_REQUEST_IID": "5",
            "GITLAB_TOKEN": TOKEN, "CI_JOB_URL": "https://gitlab.example/claims/-/jobs/1",
        }  # fmt: skip
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 5}}))
    return {
        "GITHUB_ACTIONS": "true", "GITHUB_API_URL": host.url, "GITHUB_REPOSITORY": "org/claims", "GITHUB_TOKEN": TOKEN,
        "GITHUB_EVENT_PATH": str(event), "GITHUB_SERVER_URL": "https://github.example", "GITHUB_RUN_ID": "1",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "RUNNER_TEMP": str(folder),
    }  # fmt: skip


@pytest.fixture(params=["github", "gitlab"])
def job(request: pytest.FixtureRequest, host: CodeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CodeHost:
    """A job of either host."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables(host, request.param, tmp_path).items():
        monkeypatch.setenv(name, value)
    return host


def comment(tmp_path: Path, plan: Any, *flags: str) -> int:
    """Exit status of the command with this plan."""
    file = tmp_path / "plan.json"
    file.write_text("" if plan is None else json.dumps(plan))
    with pytest.raises(SystemExit) as ended:
        run(["claims", "comment", *flags, str(file)])
    return int(ended.value.code or 0)


def test_one_comment_is_made_and_then_updated(job: CodeHost, tmp_path: Path) -> None:
    """Found among others by its marker, on a later page too; left alone where nothing has changed."""
    for number in range(130):
        job.add(5, f"talk {number}")
    assert comment(tmp_path, PLAN) == 0
    assert len(job.comments[5]) == 131
    first = job.comments[5][-1]["body"]
    assert "1 to change" in first
    assert "[The job](https://" in first
    assert comment(tmp_path, QUIET) == 0
    assert len(job.comments[5]) == 131
    assert "1 unchanged" in job.comments[5][-1]["body"]
    asked = len(job.requests)
    assert comment(tmp_path, QUIET) == 0
    assert not [one for one in job.requests[asked:] if not one.startswith("GET")]


def test_the_comment_of_somebody_else_is_never_taken_for_ours(job: CodeHost, tmp_path: Path) -> None:
    """Its writer could put another plan in its place afterwards."""
    job.add(5, marked("plan") + "\nnothing changes", user={"login": "mallory"}, author={"id": 8})
    assert comment(tmp_path, PLAN) == 0
    assert [one["body"].count("nothing changes") for one in job.comments[5]] == [1, 0]


def test_two_folders_of_claims_have_a_comment_each(job: CodeHost, tmp_path: Path) -> None:
    """By their keys."""
    assert comment(tmp_path, PLAN, "--key", "east") == 0
    assert comment(tmp_path, QUIET, "--key", "west") == 0
    assert comment(tmp_path, QUIET, "--key", "east") == 0
    assert len(job.comments[5]) == 2


def test_an_empty_plan_overwrites_the_one_before(job: CodeHost, tmp_path: Path) -> None:
    """A command that failed before it had a plan leaves no old plan standing."""
    assert comment(tmp_path, PLAN) == 0
    assert comment(tmp_path, None) == 0
    assert "No plan of the builders' claims" in job.comments[5][-1]["body"]


def test_an_issue_is_opened_updated_and_closed(job: CodeHost, tmp_path: Path) -> None:
    """While there is drift or something expires; a quiet night closes it, and the next news opens another."""
    flags = ("--issue", "Builders: drift and expiry", "--key", "nightly")
    assert comment(tmp_path, QUIET, *flags) == 0
    assert job.issues == []
    for _ in range(2):
        assert comment(tmp_path, PLAN, *flags) == 0
    assert [one["title"] for one in job.issues] == ["Builders: drift and expiry"]
    assert comment(tmp_path, QUIET, *flags) == 0
    assert job.issues[0]["state"] == "closed"
    assert comment(tmp_path, PLAN, *flags) == 0
    assert len(job.issues) == 2


def test_a_passing_failure_is_tried_again(job: CodeHost, tmp_path: Path) -> None:
    """Of the host's front: what only reads or overwrites is asked once more."""
    job.failing = [503]
    assert comment(tmp_path, PLAN) == 0
    assert len(job.comments[5]) == 1


def test_a_refusal_says_what_the_token_lacks(job: CodeHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with the host's own words and without the token."""
    job.failing = [403]
    assert comment(tmp_path, PLAN) == 1
    error = capsys.readouterr().err.strip()
    assert "status 403: Resource not accessible by integration; " in error
    assert "pull-requests: write" in error or "scope api" in error
    assert TOKEN not in error
    assert "\n" not in error


def test_outside_of_a_job_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """And that --print needs none."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    assert comment(tmp_path, PLAN) == 1
    assert "--print" in capsys.readouterr().err
    assert comment(tmp_path, PLAN, "--print") == 0
    assert capsys.readouterr().out.startswith(marked("plan"))


def test_what_is_no_plan_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not JSON, a list, another command's output."""
    for text in ("{", "[]", '{"version": 1}', "[" * 100_000):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(SystemExit):
            run(["claims", "comment", "--print", str(tmp_path / "plan.json")])
        error = capsys.readouterr().err.strip()
        assert error.startswith("ERROR: ")
        assert "\n" not in error


def scripts(name: str, job: str) -> str:
    """The script of a job in an example: of GitHub the last step's, of GitLab all lines."""
    found = yaml.safe_load((EXAMPLES / name).read_text())
    if name.endswith(".yaml"):
        return str(found["jobs"][job]["steps"][-1]["run"])
    return "\n".join(found[job]["script"])


def run_script(script: str, host: CodeHost, kind: str, folder: Path, plan: str, status: int) -> int:
    """Its exit status as a runner's shell gives it; `builders claims plan|apply` answer with this text and status."""
    shim = folder / "bin" / "builders"
    shim.parent.mkdir(exist_ok=True)
    (folder / "given.json").write_text(plan)
    shim.write_text(
        f"""#!/bin/sh
case "$2" in
  plan) cat {folder}/given.json; exit {status};;
  apply) echo "$@" >>{folder}/applied; cat {folder}/given.json; exit {status};;
esac
exec {sys.executable} -m buildkit_builders.cli.main "$@"
"""
    )
    real = folder / "bin" / "real"
    real.write_text(f"#!{sys.executable}\nfrom buildkit_builders.cli.main import run\nrun()\n")
    shim.write_text(shim.read_text().replace(f"{sys.executable} -m buildkit_builders.cli.main", str(real)))
    for one in (shim, real):
        one.chmod(0o755)
    environment = {**variables(host, kind, folder), "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"}
    environment["KUBECONFIG_TEXT"] = "kubeconfig of the job"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script], cwd=folder, env=environment, timeout=60, check=False
    )
    return done.returncode


@pytest.mark.parametrize(("kind", "name"), [("github", "claims-github.yaml"), ("gitlab", "claims-gitlab.yml")])
class TestWorkflows:
    """The scripts of the examples, run by bash as runners run them."""

    def test_a_refused_claim_is_commented_and_fails_the_job(
        self, kind: str, name: str, host: CodeHost, tmp_path: Path
    ) -> None:
        """The comment comes first; the job's status is the plan's."""
        status = run_script(scripts(name, "plan"), host, kind, tmp_path, json.dumps(PLAN), 1)
        assert status == 1
        assert "**1 refused**" in host.comments[5][0]["body"]

    def test_a_plan_that_broke_off_fails_the_job_with_a_comment(
        self, kind: str, name: str, host: CodeHost, tmp_path: Path
    ) -> None:
        """Without JSON there is still a comment."""
        assert run_script(scripts(name, "plan"), host, kind, tmp_path, "", 2) == 2
        assert "No plan" in host.comments[5][0]["body"]

    def test_a_merge_applies(self, kind: str, name: str, host: CodeHost, tmp_path: Path) -> None:
        """Without asking; a failure is the job's."""
        assert run_script(scripts(name, "apply"), host, kind, tmp_path, json.dumps(QUIET), 0) == 0
        assert (tmp_path / "applied").read_text().startswith("claims apply --yes")
        assert run_script(scripts(name, "apply"), host, kind, tmp_path, json.dumps(QUIET), 1) == 1

    def test_a_night_with_news_has_an_issue(self, kind: str, name: str, host: CodeHost, tmp_path: Path) -> None:
        """Told before it is made good; a plan that failed is not applied."""
        assert run_script(scripts(name, "nightly"), host, kind, tmp_path, json.dumps(PLAN), 0) == 0
        assert host.issues[0]["title"] == "Builders: drift and expiry"
        assert (tmp_path / "applied").exists()
        (tmp_path / "applied").unlink()
        assert run_script(scripts(name, "nightly"), host, kind, tmp_path, json.dumps(PLAN), 1) == 1
        assert not (tmp_path / "applied").exists()


def test_a_kubeconfig_of_a_job_is_readable_by_its_user_alone(host: CodeHost, tmp_path: Path) -> None:
    """And what else the job writes there."""
    assert run_script(scripts("claims-github.yaml", "plan"), host, "github", tmp_path, json.dumps(QUIET), 0) == 0
    kubeconfig = tmp_path / "kubeconfig"
    assert kubeconfig.read_text() == "kubeconfig of the job"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert "1 unchanged" in (tmp_path / "summary.md").read_text()
