"""`builders claims` on the command line; stacks that stand for Pulumi's."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from buildkit_builders.automation import Preview, StackError, Step, Update
from buildkit_builders.cli.main import run
from buildkit_builders.fleet import fleet as fleet_module

from tests.unit.builders.claims.files import PLATFORM, read

GOOD = {"name": "main", "owner": "ada"}
BAD = {"name": "main", "owner": "bob", "size": "smal"}
DELETED = (Step("delete", "kubernetes:apps/v1:Deployment", "main-deployment", ()),)


class _Stack:
    def __init__(self, name: str, destroyed: list[str]) -> None:
        self.name, self._destroyed = name, destroyed

    def take_pending(self, **_: Any) -> tuple[str, ...]:
        return ()

    def outputs(self) -> dict[str, Any]:
        return {"claim": {"owner": "of the state"}}

    def destroy(self, **_: Any) -> Update:
        self._destroyed.append(self.name)
        return Update(self.name, DELETED, {}, 1.0)


class _Project:
    made: tuple[str, ...] = ("payments-main", "payments-old", "search-main")

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def mend(self) -> None:
        pass

    def stacks(self) -> list[str]:
        return list(self.made)

    stacks_in_use = stacks

    def stack(self, name: str, **_: Any) -> _Stack:
        return _Stack(name, _DESTROYED)


_DESTROYED: list[str] = []


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Pulumi, no cluster, and an empty folder."""
    monkeypatch.setattr(fleet_module, "Project", _Project)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.chdir(tmp_path)
    _DESTROYED.clear()


class _Ran(NamedTuple):
    status: int
    out: str
    err: str


def _claims(capsys: pytest.CaptureFixture[str], *arguments: str) -> _Ran:
    with pytest.raises(SystemExit) as ended:
        run(["claims", *arguments])
    said = capsys.readouterr()
    return _Ran(int(ended.value.code or 0), said.out, said.err)


def test_a_refused_claims_builder_is_destroyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong size, a broken policy: what is deleted need not be allowed; a builder without a claim is left."""
    read(tmp_path, {**PLATFORM, "required-labels": ["cost-center"]}, payments=GOOD, search=BAD)
    done = _claims(capsys, "destroy", "--yes")
    assert sorted(_DESTROYED) == ["payments-main", "search-main"]
    assert done.status == 0, done.err
    assert "ERROR" not in done.err
    assert done.out.splitlines()[-1] == "destroy: 2 changed"
    assert "claim gone: payments-old: its builder is left" in done.out


def test_destroy_of_a_refused_claim_keeps_to_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows name the claim; another team's is left alone."""
    read(tmp_path, payments=[{**BAD, "owner": "ada"}], search=BAD)
    done = _claims(capsys, "destroy", "--yes", "--only", "search/main", "--json")
    assert (_DESTROYED, done.status) == (["search-main"], 0), done.err
    report = json.loads(done.out)
    assert [(row["claim"], row["changes"]) for row in report["claims"]] == [("search/main", {"delete": 1})]
    assert (report["ok"], report["problems"]) == (True, [])


def test_destroy_needs_no_good_platform_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it says does not matter then."""
    read(tmp_path, {"sizes": {}}, payments=GOOD)
    done = _claims(capsys, "destroy", "--yes")
    assert (_DESTROYED, done.status) == (["payments-main"], 0), done.err


def test_destroy_says_which_file_it_could_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its claims are not known, and their builders are left: the status says so."""
    read(tmp_path, payments=GOOD, search="name: [")
    done = _claims(capsys, "destroy", "--yes")
    assert (_DESTROYED, done.status) == (["payments-main"], 1)
    assert "ERROR: claims/search.yaml:1" in done.err, done.err
    assert done.out.endswith("destroy: 1 changed, 1 not read\n"), done.err
    assert "WARNING: there is no context 'prod-eu'" in done.err, "the namespaces are left, and the summary is there"


def test_a_stack_that_two_claims_name_is_not_destroyed_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """a/b-c and a-b/c are both a-b-c: refused, whichever built it; both together are deleted."""
    monkeypatch.setattr(_Project, "made", ("a-b-c",))
    claims = {"a": {**BAD, "name": "b-c"}, "a-b": {**BAD, "name": "c"}}
    read(tmp_path, **claims)
    one = _claims(capsys, "destroy", "--yes", "--only", "a")
    assert (one.status, _DESTROYED) == (1, [])
    assert "the stack of a/b-c is another claim's too" in one.err
    assert _claims(capsys, "destroy", "--yes").status == 0
    assert _DESTROYED == ["a-b-c"]


def test_status_lists_a_refused_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With who answers for its builder, as the state has it; the reason is on standard error."""
    read(tmp_path, payments=GOOD, search=BAD)
    done = _claims(capsys, "status", "--json")
    found = {one["claim"] or one["stack"]: one["state"] for one in json.loads(done.out)["claims"]}
    assert found == {"payments/main": "up", "search/main": "refused", "payments-old": "gone"}
    assert 'there is no size "smal"' in done.err
    assert "search/main    refused" in _claims(capsys, "status").out


def test_a_team_that_nobody_is_called_is_an_error_also_beside_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped --only must not pass for a plan without changes."""
    digestless = {**PLATFORM, "images": {"buildkit": "moby/buildkit:latest"}, "policies": {"image-digest": "warning"}}
    read(tmp_path, digestless, payments=GOOD)
    done = _claims(capsys, "status", "--only", "paiments")
    assert "WARNING: platform.yaml" in done.err
    assert (done.status, done.err.splitlines()[-1]) == (1, "ERROR: there is no claim paiments in claims")


def test_access_to_a_refused_claim_says_why_and_nothing_of_other_teams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The errors of the team's own file and of the rules; no warning, and no file that another team broke."""
    digestless = {**PLATFORM, "images": {"buildkit": "moby/buildkit:latest"}, "policies": {"image-digest": "warning"}}
    read(tmp_path, digestless, payments=GOOD, search=BAD, web="name: [")
    done = _claims(capsys, "access", "search/main")
    why, end = done.err.splitlines()
    assert why.startswith('ERROR: claims/search.yaml:3: search/main: size: there is no size "smal"')
    assert (done.status, end) == (1, "ERROR: there is no good claim search/main in claims")
    assert list(tmp_path.glob("*.kubeconfig")) == []


@pytest.mark.parametrize(("steps", "status"), [((), 0), (DELETED, 3)])
def test_a_plan_that_should_change_nothing_ends_with_3_if_something_would(
    steps: tuple[Step, ...], status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A nightly job tells drift by it; without the flag a plan with changes is as good as any, a refused claim is 1."""

    def preview(stack: _Stack, **_: Any) -> Preview:
        return Preview(stack.name, steps, "")

    monkeypatch.setattr(fleet_module, "Stack", SimpleNamespace(preview=preview))
    monkeypatch.setattr(_Project, "made", ("payments-main",))
    read(tmp_path, payments=GOOD)
    assert _claims(capsys, "plan", "--expect-no-changes").status == status
    assert _claims(capsys, "plan").status == 0
    monkeypatch.setattr(_Project, "made", ("payments-main", "payments-old"))
    assert _claims(capsys, "plan", "--expect-no-changes").status == 3, "a builder without a claim is a change too"
    read(tmp_path, search=BAD)
    assert _claims(capsys, "plan", "--expect-no-changes").status == 1


def test_an_apply_goes_on_past_what_fails_and_deletes_only_with_prune(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other claim is made, the reason is in the summary; the builder without a claim stays until --prune."""

    def up(stack: _Stack, **_: Any) -> Update:
        if stack.name == "payments-main":
            raise StackError("the disk is full")
        return Update(stack.name, (DELETED[0]._replace(operation="create"),), {}, 1.0)

    monkeypatch.setattr(fleet_module, "up_recovering", up)
    read(tmp_path, payments=GOOD, search={**GOOD, "owner": "bob"})
    done = _claims(capsys, "apply", "--yes")
    assert (done.status, _DESTROYED) == (1, [])
    assert "  main: FAILED: the disk is full" in done.out
    assert "claim gone: payments-old: its builder is left; --prune deletes it" in done.out
    assert done.out.splitlines()[-1] == "apply: 1 changed, 1 failed"
    pruned = _claims(capsys, "apply", "--yes", "--prune")
    assert _DESTROYED == ["payments-old"]
    assert "payments-old" in pruned.out
    assert "its builder is left" not in pruned.out
