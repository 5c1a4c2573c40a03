"""A workload that is taken from its pods comes back where its successor does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders import adoption
from buildkit_builders.adoption import Adoption, released, restore_config, write_config
from buildkit_builders.results import StackError

from buildclient.kube.api import ApiError

_SET = {
    "kind": "StatefulSet",
    "metadata": {"name": "a", "namespace": "n", "uid": "1", "resourceVersion": "9"},
    "spec": {"replicas": 1},
}


class Api:
    """An API server that has deleted the workload once it was asked for `slow` more times."""

    def __init__(self, slow: int = 0, refuses: int = 0) -> None:
        self.slow, self.refuses = slow, refuses
        self.there, self.interrupted = True, False
        self.made: list[Mapping[str, Any]] = []

    def delete(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        assert query == {"propagationPolicy": "Orphan"}
        self.there = False
        return {}

    def read(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        if self.slow:
            self.slow -= 1
            return {"metadata": {"uid": "1", "deletionTimestamp": "now"}}
        raise ApiError("not found", 404)

    def create(self, path: str, query: Mapping[str, str], value: Mapping[str, Any], what: str) -> dict[str, Any]:
        if self.slow:
            self.slow -= 1
            raise ApiError("it is there", 409)
        if self.refuses:
            raise ApiError("forbidden", self.refuses)
        self.made.append(value)
        return {}


def _found(api: Api) -> Adoption:
    return Adoption({}, (), (), (_SET,), api)  # type: ignore[arg-type]


def _fail(api: Api) -> None:
    with released(_found(api)):
        assert not api.there
        raise StackError("the update failed")


def test_a_workload_whose_successor_fails_is_made_again() -> None:
    """As it was, without what the API server had given it."""
    api = Api()
    with pytest.raises(StackError, match="the update failed"):
        _fail(api)
    assert api.made == [
        {**_SET, "metadata": {"name": "a", "namespace": "n", "labels": {}, "annotations": {}}, "status": {}}
    ]


def test_a_workload_that_goes_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt while it is still going does not leave its pods without one."""
    monkeypatch.setattr(adoption.time, "sleep", lambda _: None)
    api = Api(slow=6)
    api.interrupted = True
    with pytest.raises(KeyboardInterrupt), released(_found(api)):
        pass
    assert len(api.made) == 1


def test_a_workload_that_cannot_be_made_again_is_named() -> None:
    """With its pods, and what makes it again."""
    api = Api(refuses=403)
    words = r"(?s)the update failed.*StatefulSet a in namespace n is gone and its pods are left: forbidden"
    with pytest.raises(StackError, match=words):
        _fail(api)


def test_a_config_is_given_back_as_it_was(tmp_path: Path) -> None:
    """A file that was there has its text again, one that was not is gone; another builder's is refused."""
    file = tmp_path / "Pulumi.a.yaml"
    restored = write_config(file, {"builder:name": "a"})
    with pytest.raises(StackError, match="has a builder already"):
        write_config(file, {"builder:name": "b"})
    restore_config(file, restored)
    assert not file.exists()
    file.write_text("# mine\nconfig: {}\n")
    restore_config(file, write_config(file, {"builder:name": "a"}))
    assert file.read_text() == "# mine\nconfig: {}\n"
