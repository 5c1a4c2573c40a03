"""The local cluster's machinery, as far as it shows without a cluster: names, records, locks, keys, comparisons."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from localcluster.errors import ClusterError
from localcluster.images import BASE_IMAGE
from localcluster.instance import NODES, Instance, current_instance
from localcluster.machine import binfmt, cgroups, files, pki, preflight, process, rootless, snapshot
from localcluster.machine.lock import lock_file, locked
from localcluster.parts.node import policy_objects
from localcluster.status import status


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


def skip_unless_boxes_can_be_made(instance: Instance) -> None:
    """Skips, saying why, where preflight would stop the cluster: no root, or one that may not make namespaces."""
    if why := preflight._system(instance) or preflight._root(instance) or preflight._namespaces(instance):
        pytest.skip(why)


@given(st.from_regex(r"[a-z]{2,6}", fullmatch=True))
def test_an_instance_has_its_own_names_and_subnet(name: str) -> None:
    """The same name gives the same instance; a device name fits the kernel's 15 characters; only `lc` is at 77."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALCLUSTER_INSTANCE", name)
        one, other = current_instance(), current_instance()
    assert one == other
    assert len(one.host_link) <= 15
    assert (one.octet == 77) == (name == "lc")
    assert 0 < one.octet < 256


@pytest.mark.parametrize("name", ["x", "seventy", "A", "a b", "../x", "l1"])
def test_a_wrong_instance_name_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name goes into paths and devices, so nothing but letters gets through."""
    monkeypatch.setenv("LOCALCLUSTER_INSTANCE", name)
    with pytest.raises(ValueError, match="LOCALCLUSTER_INSTANCE"):
        current_instance()


def test_a_record_is_of_one_process_only(tmp_path: Path) -> None:
    """The process that was started counts; the same pid with another start time, a zombie or nothing does not."""
    record = process.start("sleeper", ["sleep", "60"], tmp_path / "log", tmp_path)
    assert process.alive(record)
    assert process.load(tmp_path, "sleeper") == record
    assert not process.alive(record._replace(started=record.started + 1))
    assert process.kill([record]) == []
    assert not process.alive(record)
    process.remove(tmp_path, "sleeper")
    assert process.load(tmp_path, "sleeper") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"name": "x", "pid": "y", "started": 1}'])
def test_a_half_written_record_is_no_record(tmp_path: Path, text: str) -> None:
    """What a killed run left half-written is taken for nothing, without an error."""
    (tmp_path / "x.json").write_text(text)
    assert process.load(tmp_path, "x") is None
    assert process.records(tmp_path) == []


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failing write leaves the old content and no file beside."""
    path = tmp_path / "file"
    files.write_text(path, "old", 0o600)
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "new \udc80")
    assert path.read_text() == "old"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_lock_keeps_a_second_command_out(instance: Instance) -> None:
    """While one holds it, another gives up after its time; afterwards, and after the file was removed, it is free."""
    said: list[str] = []
    with locked(instance, said.append), pytest.raises(ClusterError, match="holds"), locked(instance, said.append, 0.3):
        pass
    assert said == ["waiting for another localcluster command to end"]
    with locked(instance, said.append, 0):
        lock_file(instance).unlink()
    with locked(instance, said.append, 0):
        assert lock_file(instance).exists()


def test_a_lock_ends_with_its_holder(instance: Instance) -> None:
    """A killed holder holds nothing."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom localcluster.instance import Instance\n"
        "from localcluster.machine.lock import locked\n"
        f"with locked(Instance('test', 200, Path({str(instance.state)!r}), Path({str(instance.run)!r})), print):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ClusterError), locked(instance, print, 0):
            pass
        holder.kill()
    with locked(instance, print, 5):
        pass


def test_keys_are_made_once_and_completed_when_half_made(instance: Instance) -> None:
    """A second call changes nothing; without its mark, everything is made anew."""
    pki.ensure(instance)
    first = (instance.pki / "ca.crt").read_text()
    pki.ensure(instance)
    assert (instance.pki / "ca.crt").read_text() == first
    (instance.pki / "complete").unlink()
    (instance.pki / "admin.kubeconfig").unlink()
    pki.ensure(instance)
    assert (instance.pki / "ca.crt").read_text() != first
    assert json.loads(instance.kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == instance.server


def test_certificates_are_the_authoritys_and_say_who(instance: Instance) -> None:
    """Each is signed by the authority; nodes are named as the node authoriser wants; keys are root's alone."""
    pki.ensure(instance)
    authority = x509.load_pem_x509_certificate((instance.pki / "ca.crt").read_bytes())
    for path in instance.pki.glob("*.crt"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        certificate.verify_directly_issued_by(authority)
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    for node in NODES:
        certificate = x509.load_pem_x509_certificate((instance.pki / f"node-{node.name}.crt").read_bytes())
        assert certificate.subject.rfc4514_string() == f"CN=system:node:{node.name},O=system:nodes"
    server = x509.load_pem_x509_certificate((instance.pki / "apiserver.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert instance.control_address in [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]
    assert {path.stat().st_mode & 0o777 for path in instance.pki.glob("*.key")} == {0o600}


def test_a_comparison_names_what_is_new_and_what_is_gone() -> None:
    """One line a difference, signed; what matches the pattern of others does not count."""
    before = snapshot.Snapshot({"links": frozenset({"lo", "eth0"}), "mounts": frozenset({"/"})})
    after = snapshot.Snapshot({"links": frozenset({"lo", "lc-host", "xy-host"}), "mounts": frozenset({"/"})})
    assert snapshot.compare(before, before) == []
    assert snapshot.compare(before, after) == ["- links: eth0", "+ links: lc-host", "+ links: xy-host"]
    assert snapshot.compare(before, after, ignoring=r"\b(?!xy)[a-z]+-host") == ["- links: eth0", "+ links: xy-host"]


def test_a_snapshot_sees_a_new_mount_namespace(tmp_path: Path, instance: Instance) -> None:
    """A process in a box of its own is in the second look and not in the first, and gone again in the third."""
    skip_unless_boxes_can_be_made(instance)
    name = f"boxed{os.getpid()}"
    shutil.copy2(shutil.which("sleep") or "", tmp_path / name)
    first = snapshot.take()
    with subprocess.Popen(["unshare", "--mount", tmp_path / name, "61"]) as boxed:
        time.sleep(0.3)
        added = [line for line in snapshot.compare(first, snapshot.take()) if name in line]
        boxed.kill()
    assert len(added) == 1
    assert added[0].startswith(f"+ processes: {name} in ")
    assert not any(name in line for line in snapshot.compare(first, snapshot.take()))


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


def test_status_makes_nothing(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked before there is a cluster, it says so without a tool or a file being made."""
    monkeypatch.setattr("localcluster.tools.ensure", lambda *_: pytest.fail("a tool was made"))
    lines = {line.name: line for line in status(instance)}
    assert lines["etcd"].detail == lines["node-arm64"].detail == "not started"
    assert not any(line.well for name, line in lines.items() if name != "rootless")
    assert not instance.state.parent.exists()
    assert not instance.run.parent.exists()


NETWORK = """\
import pathlib, sys
from localcluster.instance import Instance
from localcluster.machine import network, snapshot
folder = pathlib.Path(sys.argv[1])
one, two = (Instance(name, octet, folder / "state" / name, folder / "run" / name)
            for name, octet in (("test", 200), ("other", 201)))
before = snapshot.take()
network.up(one)
assert network.is_up(one) and not network.is_up(two)
network.up(two)
network.up(one)
network.down(one)
network.forget_mount(one, last=False)
assert network.is_up(two)
network.down(two)
network.forget_mount(two, last=True)
# What other programs of the machine do meanwhile is not shut out: their cgroups and processes.
others = ("cgroups", "processes", "emulators")
differences = [line for line in snapshot.compare(before, snapshot.take()) if not line[2:].startswith(others)]
assert not differences, differences
assert not pathlib.Path("/run/netns").exists()
assert not any(path.is_file() for path in folder.rglob("*"))
"""


def test_a_network_leaves_a_bare_machine_as_it_was(tmp_path: Path, instance: Instance) -> None:
    """On a machine that never had a namespace: two instances up, the first down before the second, nothing left."""
    skip_unless_boxes_can_be_made(instance)
    if not shutil.which("ip"):
        pytest.skip("there is no ip on PATH (iproute2, which `localcluster up` installs)")
    # As on a machine of its own, whatever runs on this one.
    script = "umount -l /run/netns 2> /dev/null; mount -t tmpfs none /run && mount -t sysfs none /sys"
    script += ' && ip link set lo up && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", script, "sh", sys.executable, "-c", NETWORK, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_cache_of_an_up_is_known_to_a_down_that_has_another(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each cache is noted once, for all instances; what it registered is forgotten along with the other's."""
    forgotten: list[tuple[str, ...]] = []
    monkeypatch.setattr(binfmt, "forget", lambda *folders: forgotten.append(folders))
    for cache in ("/one", "/two", "/one"):
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        binfmt.remember(instance)
    monkeypatch.setenv("XDG_CACHE_HOME", "/three")
    other = instance._replace(name="other", run=instance.run.parent / "other")
    for _ in range(2):
        binfmt.forget_ours(other)
    here = ["/three/buildkit-builders", "/one/buildkit-builders", "/two/buildkit-builders", binfmt.INSTALLED]
    assert forgotten == [tuple(here), (here[0], binfmt.INSTALLED)]
    assert not list(instance.run.parent.iterdir())


def test_emulators_of_ours_are_forgotten_and_others_kept(tmp_path: Path, instance: Instance) -> None:
    """Entries are known by where their interpreters lie; a folder whose name only begins alike is another."""
    skip_unless_boxes_can_be_made(instance)
    if not Path("/proc/sys/fs/binfmt_misc").is_dir():
        pytest.skip("this kernel has no binfmt_misc, or has not loaded it")
    for name in ("ours", "ours-not"):
        (tmp_path / name).mkdir()
        shutil.copy2("/bin/true", tmp_path / name / "emulator")
    table, names = "/proc/sys/fs/binfmt_misc", {f"lctest{os.getpid()}{letter}": letter for letter in "ab"}
    lines = [
        f":{name}:E::{name}::{tmp_path}/{folder}/emulator:"
        for name, folder in zip(names, ("ours", "ours-not"), strict=True)
    ]
    script = f"[ -e {table}/register ] || mount -t binfmt_misc x {table}; for l; do echo $l > {table}/register; done; "
    # It keeps the table mounted meanwhile: by itself a kernel might forget an unmounted one.
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script + "echo; read end", "sh", *lines],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            before = binfmt.entries()
            assert names.keys() <= before.keys()
            binfmt.forget(str(tmp_path / "ours"))
            after = binfmt.entries()
        finally:
            binfmt.forget(str(tmp_path / "ours"), str(tmp_path / "ours-not"))
            holder.communicate(b"\n")
    assert sorted(before.keys() - after.keys()) == sorted(name for name, letter in names.items() if letter == "a")


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


def test_the_policy_labels_its_node_only() -> None:
    """The expression names the node and the architecture, and policy and binding name each other."""
    node = NODES[1]
    (_, policy), (_, binding) = policy_objects(node)
    text = json.dumps(policy)
    assert f"object.metadata.name == '{node.name}'" in text
    assert f"value: '{node.architecture}'" in text
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]  # type: ignore[index]


def test_the_base_images_name_has_a_tag() -> None:
    """Tests and docs append it to the registry's address."""
    assert BASE_IMAGE.count(":") == 1


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
