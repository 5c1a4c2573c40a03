"""Cgroups of an instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.machine import cgroups


def test_controllers_are_handed_down_where_they_are_not_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On version 2, only what a kubelet needs and is off is switched on; `down` knows what that was, once."""
    root, switched = tmp_path / "cgroup", []
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    (root / "cgroup.subtree_control").write_text("cpu memory pids\n")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [root])
    monkeypatch.setattr(cgroups, "_switch", lambda names, sign: switched.append((sign, names)))
    memory = tmp_path / "memory.json"
    cgroups.enable(memory)
    cgroups.enable(memory)
    cgroups.restore(memory)
    expected = {str(root): ["cpuset", "hugetlb", "io"]}
    assert switched == [("+", expected), ("-", expected)]
    assert not memory.exists()
