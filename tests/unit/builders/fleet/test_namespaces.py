"""A namespace that is being deleted is waited for; an API server on the loopback that answers as Kubernetes does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from buildkit_builders.automation import Job, StackError, Waiting, start
from buildkit_builders.fleet import Fleet
from buildkit_builders.fleet import fleet as fleet_module
from buildkit_builders.fleet import namespaces as namespaces_module
from buildkit_builders.fleet.namespaces import TeamNamespace, await_end, make_missing, missing, remove_empty

from tests.jsonserver import JsonHandler, served
from tests.unit.builders.claims.files import read

SHARED = TeamNamespace("prod-eu", "builders-payments", "payments", "")
REMAINING = {
    "type": "NamespaceContentRemaining",
    "status": "True",
    "message": "Some resources are remaining: pods. has 1 resource instances",
}


class _Handler(JsonHandler):
    ending: int
    """How often the namespace is still being deleted when it is asked for; then it is gone."""
    made: list[str]

    def do_GET(self) -> None:  # noqa: N802 - the base class names it
        cls = type(self)
        cls.ending -= 1
        if cls.ending < 0:
            self.answer(404, {"kind": "Status", "reason": "NotFound", "message": "not found"})
            return
        labels = {"app.kubernetes.io/managed-by": "builders-claims"}
        metadata = {"name": SHARED.name, "labels": labels, "deletionTimestamp": "2026-06-01T00:00:00Z"}
        self.answer(200, {"metadata": metadata, "status": {"phase": "Terminating", "conditions": [REMAINING]}})

    def do_POST(self) -> None:  # noqa: N802 - the base class names it
        body = self.asked()
        type(self).made.append(f"{body['kind']} {body['metadata']['name']}")
        self.answer(201, body)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Handler]]:
    """The API server of context prod-eu."""

    class Handler(_Handler):
        ending = 0
        made: list[str] = []  # noqa: RUF012 - of this class alone

    monkeypatch.setattr(namespaces_module, "_LOOK_EVERY", 0.01)
    with served(Handler) as address:
        config = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://{address}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "prod-eu", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield Handler


def test_a_namespace_that_is_being_deleted_is_waited_for(api: type[_Handler]) -> None:
    """One line says so, however long it takes; then it is gone."""
    api.ending, said = 3, list[str]()
    assert not await_end(SHARED, said.append)
    assert said == ["namespace builders-payments is being deleted: waits for its end, at most 300 s"]


def test_a_namespace_that_does_not_end_is_one_line_with_what_holds_it(api: type[_Handler]) -> None:
    """The wait has an end, and says what the cluster says and what to look at."""
    api.ending = 10**6
    with pytest.raises(StackError) as raised:
        await_end(SHARED, lambda line: None, timeout=0.05)
    assert str(raised.value) == (
        "namespace builders-payments is being deleted, and was not gone after 0 s (Some resources are remaining: "
        "pods. has 1 resource instances); see what holds it: "
        "kubectl --context prod-eu get namespace builders-payments -o yaml"
    )


def test_a_namespace_that_is_being_deleted_is_neither_changed_nor_deleted_again(api: type[_Handler]) -> None:
    """A plan says that it would be made; before an apply nothing is said, since each of its builders waits for it."""
    api.ending = 3
    assert list(missing([SHARED])) == [SHARED]
    assert list(make_missing([SHARED._replace(storage="20Gi")])) == []
    assert list(remove_empty([SHARED])) == []
    assert api.made == []


def test_an_apply_waits_and_makes_the_namespace_anew(
    api: type[_Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Pulumi puts anything into it; what is waited for is among the events."""
    api.ending = 2
    there_before: list[list[str]] = []

    def up(stack: Any, **_: Any) -> str:
        there_before.append([*api.made])
        return "done"

    monkeypatch.setattr(fleet_module, "up_recovering", up)
    monkeypatch.setattr(fleet_module, "Project", lambda *_: SimpleNamespace(mend=tuple, stack=_named))
    with Fleet(read(tmp_path, payments={"name": "main", "owner": "ada"})) as fleet:
        run = fleet.apply()
        said = [event.text for event in run if isinstance(event, Waiting)]
    assert run.outcomes["payments-main"].error is None
    assert there_before == [["Namespace builders-payments"]]
    assert [line.split(":")[0] for line in said] == [
        "namespace builders-payments is being deleted",
        "namespace builders-payments",
    ]


def _named(name: str, **_: Any) -> Any:
    return SimpleNamespace(name=name)


def test_an_interrupt_ends_the_wait(api: type[_Handler]) -> None:
    """The stack counts as cancelled, not as failed."""
    api.ending = 10**6

    def act(stack: Any, *, on_event: Any) -> bool:
        return await_end(SHARED, lambda line: on_event(Waiting(stack.name, line)))

    run = start([Job("payments-main", lambda: _named("payments-main"))], act)
    for event in run:
        if isinstance(event, Waiting):
            run.cancel()
    assert run.outcomes["payments-main"].cancelled
