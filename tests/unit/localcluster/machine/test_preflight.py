"""What is in the way of a local cluster is said beforehand, in one line each."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from localcluster.images import BASE_IMAGE
from localcluster.instance import Instance
from localcluster.machine import preflight, process, rootless


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


def test_what_is_in_the_way_is_said_in_one_line_with_the_other_way(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not root is said first and alone; then all other hindrances, each a line that names an existing cluster."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    alone = preflight.problems(instance)
    assert len(alone) == 1
    assert "root" in alone[0]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("localcluster.tools.missing_sources", lambda: ["kubernetes"])
    monkeypatch.setattr(preflight, "_which", lambda name: None if name == "go" else f"/bin/{name}")
    monkeypatch.setattr(preflight, "_MEMORY", 2**60)
    found = preflight.problems(instance)
    assert any("Go 1.26.8 or newer is needed to build kubernetes, and there is no go" in line for line in found)
    assert any("GiB of memory" in line for line in found)
    for line in [*alone, *found]:
        assert line.endswith("or use a cluster you have: make demo CLUSTER=current")
        assert "\n" not in line


@pytest.mark.parametrize(
    ("what", "stub", "line"),
    [
        ("localcluster.machine.preflight.platform.machine", lambda: "aarch64", "amd64 only, this is Linux on aarch64"),
        ("localcluster.machine.binfmt.available", lambda: False, "has no binfmt_misc (/proc/sys/fs/binfmt_misc)"),
        ("localcluster.machine.preflight.taken_by", lambda *_: ["vpn0"], "10.200.0.0/16 is taken: device vpn0"),
    ],
)
def test_each_hindrance_has_its_line(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, what: str, stub: Callable[..., object], line: str
) -> None:
    """Wrong architecture, no emulation, a taken subnet: each named with what was found."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(what, stub)
    assert any(line in found for found in preflight.problems(instance))


def test_root_that_may_make_no_namespaces_is_told(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root of an unprivileged container is no root for this: the system's own word is passed on."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refused = subprocess.CompletedProcess([], 1, "", "unshare: unshare failed: Operation not permitted\n")
    monkeypatch.setattr(preflight.subprocess, "run", lambda *_, **__: refused)
    monkeypatch.setattr("localcluster.tools.missing_sources", list)
    monkeypatch.setattr("localcluster.tools.missing_packages", list)
    assert any("namespaces and mount in them here (unshare: " in line for line in preflight.problems(instance))


def test_a_running_cluster_is_not_refused_the_memory_that_it_has(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second `up` beside a living process of the instance asks for no free memory."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "_MEMORY", 2**60)
    assert any("GiB of memory" in line for line in preflight.problems(instance))
    record = process.start("sleeper", ["sleep", "60"], instance.logs / "log", instance.run)
    assert not any("GiB of memory" in line for line in preflight.problems(instance))
    process.kill([record])


def test_an_old_go_is_named_with_its_version(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Too old is not the same as missing."""
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go1.19.8\n")
    go.chmod(0o755)
    monkeypatch.setattr("localcluster.tools.missing_sources", lambda: ["buildkit"])
    monkeypatch.setattr(preflight, "_which", lambda name: str(go) if name == "go" else f"/bin/{name}")
    assert f"{go} is 1.19.8;" in next(line for line in preflight.problems(instance) if "Go 1.26" in line)
    go.write_text("#!/bin/sh\nexit 1\n")
    assert f"{go} does not tell its version;" in next(line for line in preflight.problems(instance) if "Go 1" in line)


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
vpn0\t00034D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
lc-host\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1\t00004E0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_a_subnet_is_taken_by_routes_inside_it_only() -> None:
    """Routes into 10.77 count; the default route, one to all of 10 and a neighbour do not."""
    assert preflight.taken_by(ROUTES, 77) == ["vpn0", "lc-host"]
    assert preflight.taken_by(ROUTES, 78) == ["eth1"]
    assert preflight.taken_by(ROUTES, 79) == []


@pytest.mark.parametrize("name", ["user/max_user_namespaces", "kernel/unprivileged_userns_clone"])
def test_a_machine_that_forbids_user_namespaces_is_named_by_its_setting(tmp_path: Path, name: str) -> None:
    """The check that says no is said, before anything is tried."""
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text("0\n")
    assert rootless.refusal(tmp_path).startswith(f"{name.replace('/', '.')} is 0")


def test_the_base_images_name_has_a_tag() -> None:
    """Tests and docs append it to the registry's address."""
    assert BASE_IMAGE.count(":") == 1
