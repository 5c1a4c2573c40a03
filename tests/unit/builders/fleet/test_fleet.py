"""Which stacks belong to claims, and which builders have lost theirs; no Pulumi runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from buildkit_builders.automation import StackError
from buildkit_builders.fleet import Fleet, Only
from buildkit_builders.fleet import fleet as fleet_module

from tests.unit.builders.claims.files import read

GOOD = {"name": "main", "owner": "ada"}
EVERY = Only()


class _NoPulumi:
    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def mend(self) -> None:
        pass

    def stacks_in_use(self) -> list[str]:
        return ["payments-main", "payments-old", "search-main", "search-two", "web-main"]


@pytest.fixture(autouse=True)
def _no_pulumi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "Project", _NoPulumi)


def _gone(folder: Path, only: Only = EVERY, **teams: Any) -> tuple[str, ...]:
    with Fleet(read(folder, **teams), only=only) as fleet:
        return fleet.gone()


def test_a_builder_without_a_claim_is_gone(tmp_path: Path) -> None:
    """Claims that are there keep theirs; all other builders are listed."""
    found = _gone(tmp_path, payments=GOOD, search=GOOD)
    assert found == ("payments-old", "search-two", "web-main")


def test_a_refused_claim_keeps_its_builder(tmp_path: Path) -> None:
    """A mistake in a claim does not make its builder one to be deleted, whether the mistake is in the name or not."""
    bad = [{"name": "main", "owner": "ada", "size": "smal"}]
    assert "payments-main" not in _gone(tmp_path, payments=bad, search=GOOD)
    nameless = [{"owner": "ada"}]
    assert not [one for one in _gone(tmp_path, payments=nameless, search=GOOD) if one.startswith("payments-")]


def test_nothing_is_gone_while_a_file_cannot_be_read(tmp_path: Path) -> None:
    """What is not YAML, or a platform's file with an error: nobody knows which claims there are."""
    assert _gone(tmp_path, payments=GOOD, search="name: [") == ()
    (tmp_path / "claims" / "search.yaml").unlink()
    with Fleet(read(tmp_path, {"sizes": {}}, payments=GOOD)) as fleet:
        assert fleet.gone() == ()


def test_only_narrows_claims_and_gone_builders(tmp_path: Path) -> None:
    """A team, or one of its claims: no other is touched, nor pruned."""
    assert _gone(tmp_path, Only("search"), payments=GOOD, search=GOOD) == ("search-two",)
    assert _gone(tmp_path, Only("payments", "main"), payments=GOOD, search=GOOD) == ()
    with Fleet(read(tmp_path, payments=GOOD, search=GOOD), only=Only("search")) as fleet:
        assert list(fleet.resolved) == ["search-main"]


def test_a_builder_that_another_team_had_is_not_gone_from_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """a-b-c may be a's b-c or a-b's c: the state says whose it is; one whose state cannot be read is left out."""
    owners = {"a-b-c": {"team": "a-b", "name": "c"}, "a-b-d": {"team": "a", "name": "b-d"}, "a-old": None}

    class Stack(NamedTuple):
        name: str

        def outputs(self) -> dict[str, Any]:
            if self.name == "a-b-x":
                raise StackError("no passphrase")
            return {"claim": owners[self.name]}

    monkeypatch.setattr(_NoPulumi, "stacks_in_use", lambda self: [*owners, "a-b-x"])
    monkeypatch.setattr(_NoPulumi, "stack", lambda self, name, **_: Stack(name), raising=False)
    assert _gone(tmp_path, Only("a"), payments=GOOD) == ("a-b-d", "a-old")
    assert _gone(tmp_path, Only("a-b"), payments=GOOD) == ("a-b-c",)
    assert _gone(tmp_path, Only("a", "b-c"), payments=GOOD) == ()
    assert _gone(tmp_path, payments=GOOD) == ("a-b-c", "a-b-d", "a-b-x", "a-old")


def test_only_leaves_out_other_teams_problems(tmp_path: Path) -> None:
    """A mistake of payments does not fail search's job; one of the whole platform's does."""
    bad = {**GOOD, "size": "smal"}
    with Fleet(read(tmp_path, payments=bad, search=GOOD), only=Only("search")) as fleet:
        assert fleet.problems == ()
    with Fleet(read(tmp_path, payments=bad, search=GOOD), only=Only("payments", "main")) as fleet:
        assert [one.claim for one in fleet.problems] == ["payments/main"]
    with Fleet(read(tmp_path, {"sizes": {}}, search=GOOD), only=Only("search")) as fleet:
        assert fleet.problems
