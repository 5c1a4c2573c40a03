"""What a preview says of APIs that a cluster lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from buildkit_builders.needed_apis import missing_api_lines
from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import check_node

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import ApiError

_HPA = {"autoscale.max-replicas": 4, "requests.cpu": "1"}
_KEDA = {"autoscale.max-replicas": 4, "autoscale.keda": {"triggers": [{"type": "cron"}]}}


class _Api:
    def __init__(self, error: UnreachableError | None) -> None:
        self.error = error
        self.asked: list[str] = []

    def read(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        self.asked.append(path)
        if self.error:
            raise self.error
        return {}


def _lines(options: dict[str, Any], error: UnreachableError | None) -> tuple[list[str], list[str]]:
    api: Any = _Api(error)
    nodes = [check_node("b", {"driver-opts": options}, Problems())]
    return list(missing_api_lines(api, nodes)), api.asked


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({}, []),
        (_HPA, ["the cluster has no metrics API"]),
        ({**_HPA, "autoscale.metrics": [{"type": "External"}]}, []),
        (_KEDA, ["the cluster has no KEDA"]),
        ({**_KEDA, "autoscale.cpu": 50, "requests.cpu": "1"}, ["the cluster has no KEDA", "no metrics API"]),
    ],
)
def test_only_what_is_needed_is_missed(options: dict[str, Any], missing: list[str]) -> None:
    """A line for each API that a node needs and the cluster does not know."""
    lines, asked = _lines(options, ApiError("not found", 404))
    assert len(lines) == len(missing) == len(asked)
    assert all(part in line and " b " in line for part, line in zip(missing, lines, strict=True))


@pytest.mark.parametrize("error", [None, ApiError("forbidden", 403), UnreachableError("no way")])
def test_what_cannot_be_asked_is_taken_to_be_there(error: UnreachableError | None) -> None:
    """No line where the API is there, or where nobody knows."""
    assert _lines(_HPA, error)[0] == []
