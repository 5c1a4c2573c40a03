"""Which cluster of the kubeconfig a builder is reached by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.contract.kubeconfig import Entries
from buildclient.contract.output import Cluster
from buildclient.discovery.cluster import choose_access, in_cluster
from buildclient.kube.kubeconfig import Kubeconfig


def config(user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """A kubeconfig of one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://one.example:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "current-context": "x",
        **top,
    }


def two() -> Kubeconfig:
    """Two contexts in two clusters."""
    entries = Entries(
        contexts={"a": {"cluster": "a"}, "b": {"cluster": "b"}},
        clusters={"a": {"server": "https://a.example"}, "b": {"server": "https://b.example:443/"}},
        current="a",
    )
    return Kubeconfig(entries, files=("config",))


@pytest.mark.parametrize(
    ("recorded", "named", "expected"),
    [
        (Cluster("b", "https://b.example"), "", "b"),
        (Cluster("a", "https://b.example"), "", "b"),
        (Cluster("gone", "https://B.example:443"), "", "b"),
        (Cluster("", ""), "", "a"),
        (Cluster("b", ""), "", "b"),
        (Cluster("b", "https://b.example"), "a", "a"),
    ],
)
def test_the_cluster_that_was_recorded_is_found(recorded: Cluster, named: str, expected: str) -> None:
    """A named context wins, then the recorded one if its server matches, then any with that server."""
    assert choose_access(two(), recorded, named, None).context == expected


def test_a_pod_uses_its_own_cluster_when_no_context_has_the_server(tmp_path: Path) -> None:
    """In a pod the service account serves; outside of one a line says what was looked for."""
    (tmp_path / "token").write_text("inner")
    inside = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, str(tmp_path))
    assert inside is not None
    assert inside.server == "https://[fd00::1]:6443"
    recorded = Cluster("gone", "https://elsewhere.example")
    assert choose_access(two(), recorded, "", inside) is inside
    with pytest.raises(UnreachableError, match=r"elsewhere\.example, to which no context leads \(config\)"):
        choose_access(two(), recorded, "", None)
