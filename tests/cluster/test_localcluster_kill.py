"""The local cluster comes back from anything: every process killed at any moment, single parts dead or hung."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.instance import Instance, current_instance
from localcluster.machine import process, snapshot
from tests.conftest import ROOT, kubectl
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

NAME = "kill"
ROUNDS = 10


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """An instance of its own, for breaking; taken down at the end, and nothing may be left of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALCLUSTER_INSTANCE", NAME)
        run("down")
        chosen = current_instance()
        before = snapshot.take(chosen)
        try:
            yield chosen
        finally:
            left = take_down(chosen, before)
    assert left == []


@pytest.fixture
def environment(instance: Instance) -> dict[str, str]:
    """The environment for kubectl on that instance."""
    return {**os.environ, "KUBECONFIG": str(instance.kubeconfig)}


def test_ten_of_ten_killed_clusters_come_back(instance: Instance, environment: dict[str, str]) -> None:
    """Every process killed with SIGKILL, in the middle of `up` or later: the next `up` ends with two ready nodes."""
    seed = int(time.time())
    print(f"seed {seed}")
    moments = random.Random(seed)
    for number in range(ROUNDS):
        starting = start("up")
        if number % 2:
            starting.wait(busy(120))
            if number == 1:
                run_pod(environment)
            time.sleep(moments.uniform(0, 1))
        else:
            time.sleep(moments.uniform(0.2, 7))
        kill_everything(starting)
        assert processes_of(instance) == [], f"round {number}"
        assert run("status").returncode != 0, f"round {number}: status trusts the dead"
        again = run("up")
        assert again.returncode == 0, f"round {number}: {again.stderr}"
        assert ready(environment) == {"amd64": "amd64", "arm64": "arm64"}, f"round {number}"
        assert run("status").returncode == 0


@pytest.mark.parametrize("part", ["registry", "etcd", "apiserver", "scheduler", "node-arm64"])
def test_a_dead_part_is_started_again(instance: Instance, part: str) -> None:
    """One part killed: `status` says so, `up` starts that one and leaves every other alone."""
    assert run("up").returncode == 0
    before = pids(instance)
    os.kill(before[part], signal.SIGKILL)
    wait_gone(before[part])
    status = run("status")
    assert status.returncode != 0
    assert "dead" in next(line for line in status.stdout.splitlines() if line.startswith(part))
    assert run("up").returncode == 0
    after = pids(instance)
    assert after[part] != before[part]
    assert {name: pid for name, pid in after.items() if name != part} == {
        name: pid for name, pid in before.items() if name != part
    }


def test_a_pid_that_belongs_to_somebody_else_is_not_trusted(instance: Instance) -> None:
    """A record that names a living process of somebody else is no proof: the part is started, that process lives on."""
    assert run("up").returncode == 0
    stranger = subprocess.Popen(["sleep", "100"])
    try:
        path = instance.run / "scheduler.json"
        record = json.loads(path.read_text())
        os.kill(record["pid"], signal.SIGKILL)
        path.write_text(json.dumps({**record, "pid": stranger.pid}))
        assert run("status").returncode != 0
        assert run("up").returncode == 0
        assert stranger.poll() is None
        assert pids(instance)["scheduler"] != stranger.pid
    finally:
        stranger.kill()
        stranger.wait()


def test_a_hung_part_is_replaced(instance: Instance) -> None:
    """A part that is stopped, alive but answering nobody, is ended and started again."""
    assert run("up").returncode == 0
    before = pids(instance)["controller-manager"]
    os.kill(before, signal.SIGSTOP)
    assert run("status").returncode != 0
    assert run("up").returncode == 0
    assert pids(instance)["controller-manager"] != before


def test_a_dead_container_runtime_ends_its_node_and_up_brings_it_back(
    instance: Instance, environment: dict[str, str]
) -> None:
    """containerd killed inside a node: the node's box ends as a whole, and the next `up` makes it ready again."""
    assert run("up").returncode == 0
    node = pids(instance)["node-amd64"]
    inside = [pid for pid in processes_of(instance) if name_of(pid) == "containerd" and below(pid, node)]
    assert len(inside) == 1
    os.kill(inside[0], signal.SIGKILL)
    wait_gone(node)
    assert run("up").returncode == 0
    assert ready(environment) == {"amd64": "amd64", "arm64": "arm64"}


def test_a_process_without_a_record_is_ended(instance: Instance) -> None:
    """What an `up` started and did not live to record is found by its namespace and ended before another is started."""
    assert run("up").returncode == 0
    (instance.run / "etcd.json").unlink()
    (instance.run / "node-arm64.json").unlink()
    assert run("up").returncode == 0
    assert run("status").returncode == 0
    names = [name_of(pid) for pid in processes_of(instance)]
    assert names.count("etcd") == 1
    assert names.count("kubelet") == 2


def test_up_twice_changes_nothing_and_is_quick(instance: Instance) -> None:
    """With all well, `up` replaces no process and ends within three seconds."""
    assert run("up").returncode == 0
    before, started = pids(instance), time.monotonic()
    assert run("up").returncode == 0
    assert time.monotonic() - started < busy(3)
    assert pids(instance) == before


def test_two_ups_at_once_make_one_cluster(instance: Instance) -> None:
    """The second waits for the first: both end well, with one process a part."""
    kill_everything()
    both = [start("up"), start("up")]
    assert [one.wait(busy(120)) for one in both] == [0, 0]
    names = [name_of(pid) for pid in processes_of(instance)]
    assert names.count("etcd") == 1
    assert names.count("kubelet") == 2


def test_images_outlive_a_kill(instance: Instance, environment: dict[str, str]) -> None:
    """After a kill of everything, what was in the registry and on the nodes is still there."""
    assert run("up").returncode == 0
    kill_everything()
    again = run("up")
    assert again.returncode == 0
    assert "pushing" not in again.stderr
    assert "empty" not in again.stderr


def test_down_after_a_kill_in_the_middle_of_up_leaves_nothing(instance: Instance) -> None:
    """Half a cluster, all its processes dead: `down` alone takes everything away."""
    assert run("down").returncode == 0
    before = snapshot.take(instance)
    for seconds in (0.4, 2.0, 5.5):
        starting = start("up")
        time.sleep(seconds)
        kill_everything(starting)
        assert take_down(instance, before) == []


def take_down(instance: Instance, before: snapshot.Snapshot) -> list[str]:
    """`down`; what is then left of the instance, whatever else goes on on the machine."""
    records = process.records(instance.run)
    down = run("down")
    assert down.returncode == 0, down.stderr
    left = [f"+ recorded processes: {one.name} {one.pid}" for one in records if process.alive(one)]
    return left + snapshot.compare(before, snapshot.take(instance))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m localcluster …` on the instance, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "localcluster", *arguments],
        cwd=ROOT, env={**os.environ, "LOCALCLUSTER_INSTANCE": NAME}, capture_output=True, text=True, timeout=busy(200),
    )  # fmt: skip


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """The same, in the background."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-m", "localcluster", *arguments],
        cwd=ROOT, env={**os.environ, "LOCALCLUSTER_INSTANCE": NAME}, stdout=quiet, stderr=quiet,
    )  # fmt: skip


def run_pod(environment: dict[str, str]) -> None:
    """Has a pod with mounts of its own on each node, so that there is more to be left behind."""
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "some"},
        "spec": {
            "selector": {"matchLabels": {"app": "some"}},
            "template": {
                "metadata": {"labels": {"app": "some"}},
                "spec": {
                    "volumes": [{"name": "data", "emptyDir": {"medium": "Memory"}}],
                    "containers": [
                        {
                            "name": "some",
                            "image": "busybox",
                            "command": ["sleep", "1000"],
                            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                        }
                    ],
                },
            },
        },
    }
    subprocess.run(
        ["kubectl", "apply", "-f", "-"], input=json.dumps(manifest), env=environment, text=True, check=True, timeout=60
    )
    kubectl(environment, "rollout", "status", "daemonset/some", "--timeout=120s", timeout=130)


def ready(environment: dict[str, str]) -> dict[str, str]:
    """Name and architecture label of the nodes that are Ready."""
    found = json.loads(kubectl(environment, "get", "nodes", "-o", "json"))["items"]
    return {
        node["metadata"]["name"]: node["metadata"]["labels"]["kubernetes.io/arch"]
        for node in found
        if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
    }


def pids(instance: Instance) -> dict[str, int]:
    """Part -> recorded pid."""
    return {record.name: record.pid for record in process.records(instance.run)}


def processes_of(instance: Instance) -> list[int]:
    """Every process of the instance: in its network namespaces, in its nodes' cgroups, or below one of those."""
    inodes = set()
    for name in instance.namespaces:
        with contextlib.suppress(OSError):
            inodes.add(os.stat(f"/run/netns/{name}").st_ino)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            cgroups = (folder / "cgroup").read_text()
            inside = os.stat(folder / "ns" / "net").st_ino in inodes or f":/{NAME}-" in cgroups
            zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if inside and not zombie:
                found.append(int(folder.name))
    return found


def kill_everything(starting: subprocess.Popen[bytes] | None = None) -> None:
    """SIGKILL to `up` itself first, then to every process of the instance until there is none."""
    if starting is not None:
        starting.kill()
        starting.wait()
    deadline = time.monotonic() + busy(20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALCLUSTER_INSTANCE", NAME)
        instance = current_instance()
    while (left := processes_of(instance)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def name_of(pid: int) -> str:
    """What a process calls itself; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def below(pid: int, ancestor: int) -> bool:
    """Whether a process descends from another."""
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def wait_gone(pid: int) -> None:
    """Waits until a process has ended (a zombie has)."""
    deadline = time.monotonic() + busy(20)
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} does not end")
