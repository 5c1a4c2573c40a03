"""The demo, as far as it shows without a cluster: steps, interruption, locks left behind, what is said beforehand."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from localcluster.demo import current
from localcluster.demo.image import run_image
from localcluster.demo.local import steps
from localcluster.demo.stack import locks, mend, pending
from localcluster.demo.steps import DemoError, Shell, Step, run_steps
from tests.conftest import ROOT
from tests.load import busy


def test_each_step_says_its_number_what_it_does_and_for_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    """Step n of m, title, time; what fails names its step."""

    def fail() -> None:
        raise DemoError("no")

    run_steps([Step("This", lambda: None), Step("That", lambda: None)])
    title, time_taken, gap = capsys.readouterr().out.split("\n")[1:4]
    assert (title, gap) == ("Step 1 of 2: This", "")
    assert re.fullmatch(r"Step 1 of 2: done in \d+\.\d s", time_taken)
    with pytest.raises(DemoError, match=r"step 2 of 2 \(That\): no"):
        run_steps([Step("This", lambda: None), Step("That", fail)])


ORDERLY = """\
import pathlib, signal, sys, time
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
pathlib.Path(sys.argv[1], "started").touch()
while not heard:
    time.sleep(0.05)
time.sleep(1)  # longer than subprocess.run would wait
pathlib.Path(sys.argv[1], "ended").write_text(str(len(heard)))
"""
DEMO = """\
import signal, sys
from localcluster.demo.steps import Shell
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    Shell().run(sys.executable, "-c", sys.argv[1], sys.argv[2], timeout=60)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("how", ["terminal", "SIGTERM"])
def test_an_interrupted_command_comes_to_an_orderly_end(tmp_path: Path, how: str) -> None:
    """A Ctrl-C (to the whole foreground group) or a SIGTERM reaches the command as one SIGINT, and is waited for."""
    demo = subprocess.Popen(
        [sys.executable, "-c", DEMO, ORDERLY, str(tmp_path)],
        cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(tmp_path / "started")
    if how == "terminal":
        os.killpg(demo.pid, signal.SIGINT)
    else:
        demo.terminate()
    assert demo.wait(busy(20)) == 130
    assert (tmp_path / "ended").read_text() == "1"


IGNORING = ["sh", "-c", 'trap "" "$0"; exec "$@"']
"""Starts a command as a shell does with `&` (SIGINT), or as nohup does (SIGHUP): it ignores the signal that follows."""


def test_a_command_hears_an_interrupt_although_the_demo_was_started_to_ignore_them(tmp_path: Path) -> None:
    """`make demo &` in a script, then `kill`: the command ends at once, not only when its time is up."""
    command = f"import pathlib, time; pathlib.Path({str(tmp_path)!r}, 'started').touch(); time.sleep(50)"
    demo = subprocess.Popen(
        [*IGNORING, "INT", sys.executable, "-c", DEMO, command, ""], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    wait_for(tmp_path / "started")
    demo.terminate()
    assert demo.wait(busy(20)) == 130


EARLY = """\
import os, signal, subprocess, sys
from localcluster.demo.steps import Shell
start = subprocess.Popen
def start_and_interrupt(*args, **options):
    child = start(*args, **options)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    return child
subprocess.Popen = start_and_interrupt
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    Shell().run("sleep", "50", timeout=60, show=False)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_an_interrupt_while_a_command_starts_does_not_leave_it_running() -> None:
    """The signal that comes before the command is waited for ends it, too."""
    demo = subprocess.run(
        [sys.executable, "-c", EARLY], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert demo.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.killpg(int(demo.stdout), signal.SIGKILL)


HANG_UP = """\
import os, signal, sys
from localcluster.demo import __main__ as demo
from localcluster.demo.steps import Step
demo._PLANS["local"] = lambda shell: [Step("The terminal closes", lambda: os.kill(os.getpid(), signal.SIGHUP))]
sys.exit(demo.main())
"""


@pytest.mark.parametrize(("prefix", "status"), [([], 130), ([*IGNORING, "HUP"], 0)])
def test_a_closed_terminal_interrupts_the_demo_unless_nohup_says_otherwise(prefix: list[str], status: int) -> None:
    """A SIGHUP is a Ctrl-C; where it was ignored from the start, the demo goes on."""
    demo = subprocess.run(
        [*prefix, sys.executable, "-c", HANG_UP], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        timeout=60, check=False, restore_signals=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    assert demo.returncode == status


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The message names it and the time it had, and nothing of it runs on."""
    with pytest.raises(DemoError, match=r"sh -c .* did not end within 1 s"):
        Shell().run("sh", "-c", f"sleep 4; touch {tmp_path}/late", timeout=1, show=False)
    time.sleep(3.5)
    assert not (tmp_path / "late").exists()


def wait_for(path: Path) -> None:
    """Waits until a file is there."""
    deadline = time.monotonic() + busy(20)
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_lock_is_given_up_only_if_its_holder_is_dead(tmp_path: Path) -> None:
    """A pid that is gone or somebody else's is dead; another machine's, and what cannot be read, may be alive."""
    folder = tmp_path / "state of mine" / ".pulumi" / "locks" / "organization" / "builder" / "local"
    folder.mkdir(parents=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    here = socket.gethostname()
    for name, text in {
        "gone": json.dumps({"pid": gone.pid, "hostname": here}),
        "mine": json.dumps({"pid": os.getpid(), "hostname": here}),
        "away": json.dumps({"pid": gone.pid, "hostname": f"not-{here}"}),
        "half": "{",
    }.items():
        (folder / f"{name}.json").write_text(text)
    (folder / "gone.json.attrs").write_text("{}")
    found = locks((tmp_path / "state of mine").as_uri(), "local")
    assert {file.stem: held for file, held in found.items()} == {
        "gone": False, "mine": False, "away": True, "half": True,
    }  # fmt: skip
    assert locks((tmp_path / "state of mine").as_uri(), "other") == {}
    assert locks("s3://bucket", "local") == {}


def test_half_written_companions_of_the_stacks_files_are_removed(tmp_path: Path) -> None:
    """An empty or torn `.attrs` goes; a whole one, the state and other stacks' files stay; so does another backend."""
    torn = [
        "meta.yaml.attrs", "stacks/builder/a.json.attrs", "stacks/builder/a.json.bak.attrs",
        "locks/organization/builder/a/1.json.attrs", "history/builder/a/a-1.history.json.attrs",
        "backups/builder/a/a.1.json.attrs",
    ]  # fmt: skip
    kept = {
        "stacks/builder/a.json": "", "stacks/builder/a.json.gz.attrs": "{}", "stacks/builder/a.b.json.attrs": "",
        "stacks/builder/b.json.attrs": "", "stacks/other/a.json.attrs": "", "history/builder/b/b-1.json.attrs": "",
    }  # fmt: skip
    for name, text in {**dict.fromkeys(torn, '{"x"'), **kept}.items():
        path = tmp_path / ".pulumi" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def found() -> set[str]:
        return {str(path.relative_to(tmp_path / ".pulumi")) for path in tmp_path.rglob("*") if path.is_file()}

    mend(f"s3://{tmp_path}", "a")
    assert found() == {*torn, *kept}
    mend(tmp_path.as_uri(), "a")
    assert found() == kept.keys()


@pytest.mark.parametrize(
    ("backend", "folder"),
    [
        ("file://~", "home"), ("file://~/my%20state", "home/my state"), ("file://./state", "clone/state"),
        ("file://state?no_tmp_dir=true", "clone/state"), ("file://../state", "state"),
    ],
)  # fmt: skip
def test_a_file_backend_is_where_pulumi_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, folder: str
) -> None:
    """`~` is the home, a relative path is below the folder in which the demo runs Pulumi."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("localcluster.demo.stack.ROOT", tmp_path / "clone")
    lock = tmp_path / folder / ".pulumi" / "locks" / "organization" / "builder" / "local" / "1.json"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert locks(backend, "local") == {lock: True}


class Answers(Shell):
    """Answers kubectl's commands; of those that `failing` names, none succeeds."""

    def __init__(self, pods: str = "", failing: Sequence[str] = ()) -> None:
        super().__init__()
        self.pods, self.failing, self.asked = pods, failing, list[tuple[str, ...]]()

    def read(self, *command: str, timeout: float = 60) -> str:
        """The pods for a `get`; nothing for anything else."""
        self.asked.append(command)
        if command[1] in self.failing:
            raise DemoError(f"no {command[1]}")
        return self.pods if command[1] == "get" else ""


def test_a_pod_is_deleted_by_name_and_of_others_those_that_were_left_behind() -> None:
    """Another demo may be at work in the namespace: what runs is not asked for, what just ended may yet be read."""
    shell = Answers(f"hello-left 2020-01-02T03:04:05Z\nhello-new {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n")
    run_image(shell, "kubectl", "hello", "amd64")
    own = next(command[2] for command in shell.asked if command[1] == "run")
    deleted = [command[2:] for command in shell.asked if command[1] == "delete"]
    assert [[word for word in words if not word.startswith("--")] for words in deleted] == [
        ["pod", own],
        ["pod", "hello-left"],
    ]
    asked = next(command for command in shell.asked if command[1] == "get")
    assert "--field-selector=status.phase!=Pending,status.phase!=Running" in asked


@pytest.mark.parametrize("failing", [["wait", "delete"], ["wait", "get"]])
def test_why_an_image_did_not_run_is_said_even_if_its_pod_stays(failing: list[str]) -> None:
    """The error is the first one, not that of the tidying up."""
    with pytest.raises(DemoError, match="no wait"):
        run_image(Answers("hello-left 2020-01-02T03:04:05Z\n", failing), "kubectl", "hello", "amd64")


def test_what_a_killed_update_was_making_is_known() -> None:
    """Of a stack's pending operations, the Kubernetes objects under creation; a stack never updated has none."""

    def operation(of: str, **inputs: object) -> dict[str, object]:
        return {"type": of, "resource": {"urn": "urn:x", "inputs": inputs}}

    operations = [
        operation("creating", kind="Deployment", metadata={"name": "a", "namespace": "b"}),
        operation("creating", kind="Namespace", metadata={"name": "b"}),
        operation("updating", kind="ConfigMap", metadata={"name": "c", "namespace": "b"}),
        operation("creating", version="4.30"),
    ]
    assert pending({"deployment": {"pending_operations": operations}}) == [
        ("Deployment", "b", "a"),
        ("Namespace", "", "b"),
    ]
    assert pending({"deployment": {}}) == []


def test_what_is_in_the_way_is_one_line_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of the hindrances is said in step 1, in one line."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DemoError) as caught:
        steps(Shell())[0].act()
    assert "root" in str(caught.value)
    assert str(caught.value).endswith("make demo CLUSTER=current")
    assert "\n" not in str(caught.value)


def test_without_a_context_the_other_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kubeconfig: one line that names the file that was looked for and the local cluster."""
    monkeypatch.setattr(current, "_no_pulumi", lambda: "")
    with pytest.raises(DemoError, match=rf"no kubeconfig \({tmp_path}/none\).*; or let this machine .*: make demo$"):
        current.steps(Shell({"KUBECONFIG": f"{tmp_path}/none", "PATH": ""}))[0].act()


def test_a_pulumi_that_cannot_be_had_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the CLI nor Go: one line with both ways out; with the CLI on PATH there is nothing to say."""
    kubeconfig = tmp_path / "config"
    kubeconfig.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("localcluster.machine.preflight._which", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    first = current.steps(Shell({"KUBECONFIG": str(kubeconfig), "PATH": ""}))[0]
    with pytest.raises(DemoError, match=r"Go 1.* is needed to build pulumi.*; or install the Pulumi CLI$"):
        first.act()
    (tmp_path / "pulumi").write_text("#!/bin/sh\necho v3.300.0\n")
    (tmp_path / "pulumi").chmod(0o755)
    first.act()


@pytest.mark.parametrize(
    ("architectures", "nodes"),
    [
        ({"amd64", "arm64"}, {"demo-amd64": (["linux/amd64"], False), "demo-arm64": (["linux/arm64"], False)}),
        ({"amd64"}, {"demo-amd64": (["linux/amd64", "linux/arm64"], True)}),
        ({"arm64", "s390x"}, {"demo-arm64": (["linux/arm64", "linux/amd64"], True)}),
        ({"s390x"}, {"demo-s390x": (["linux/s390x", "linux/amd64", "linux/arm64"], True)}),
    ],
)
def test_a_cluster_gets_a_native_node_for_what_it_has_and_emulation_for_the_rest(
    architectures: set[str], nodes: dict[str, tuple[list[str], bool]]
) -> None:
    """Both platforms are always declared, each by one node; images that were given are every node's."""
    config = yaml.safe_load(current.stack_config(architectures, {"image": "reg:5000/buildkit:1"}))["config"]
    found = {
        node["name"]: (node["platforms"], "qemu.install" in node["driver-opts"]) for node in config["builder:nodes"]
    }
    assert found == nodes
    for node in config["builder:nodes"]:
        assert node["driver-opts"]["image"] == "reg:5000/buildkit:1"
        assert node["driver-opts"]["nodeselector"] == f"kubernetes.io/arch={node['name'].removeprefix('demo-')}"
