"""What a person sees of a build, on a terminal and in a log, beside docker buildx on the same pod."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from localcluster import tools
from tests.cluster.client_builder import BIN, HandMadeBuilder, hand_made
from tests.cluster.held import held, release
from tests.load import busy
from tests.unit.progress.virtual_terminal import VirtualTerminal

pytestmark = pytest.mark.cluster
_COLUMNS, _ROWS = 200, 40
_TIME = re.compile(r"\s+\d+\.\d+s\s*$")
_VARYING = re.compile(r"sha256:[0-9a-f]{64}|(?<=Building )[\d.]+s|\d[\d.]*k?B( / [\d.]+k?B)?")
_TALK = (
    "FROM BASE\n"
    "RUN printf 'half '; sleep 0.5; echo whole; printf '\\033[31mred\\033[0m\\n'; "
    "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; done; exit STATUS\n"
)


class Peers:
    """Both clients of one builder: `peer` is its first node for docker buildx."""

    def __init__(self, builder: HandMadeBuilder) -> None:
        self.builder = builder
        self.alone = builder.folder / "alone.json"
        self.alone.write_text(builder.output._replace(nodes=builder.output.nodes[:1]).dumps())
        self.environment = {
            **builder.environment,
            "BUILDX_CONFIG": str(builder.folder / "buildx"),
            "TERM": "xterm",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        }
        self.commands = {
            "buildx": [str(tools.ensure("buildx")), "build", "--builder", "peer"],
            "ours": [str(BIN / "buildclient"), "build", "--builder-file", str(self.alone)],
            "both": [str(BIN / "buildclient"), "build"],
        }
        create = ("create", "--name", "peer", "--driver", "kubernetes", "--node", "builder-amd64")
        driver = ("--driver-opt", f"namespace={builder.namespace}")
        subprocess.run(
            [self.commands["buildx"][0], *create, *driver],
            env=self.environment, timeout=60, check=True, capture_output=True,
        )  # fmt: skip

    def plain(self, client: str, *arguments: str) -> str:
        """What a build writes to standard error where that is no terminal."""
        command = [*self.commands[client], "--no-cache", "--progress=plain", *arguments]
        done = subprocess.run(command, env=self.environment, timeout=120, capture_output=True, check=False)
        return done.stderr.decode()

    def screen(
        self, client: str, *arguments: str, interrupt: str = "", seen: Callable[[bytes], None] = lambda _: None
    ) -> tuple[int, VirtualTerminal]:
        """A build on a terminal: its status, and what there is to see; Ctrl-C comes once a text is there.

        `seen` gets all that has been written whenever more comes.
        """
        pid, leader = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
            os.chdir(self.builder.folder)
            os.execve(self.commands[client][0], [*self.commands[client], "--no-cache", *arguments], self.environment)
        found, until, ended = b"", time.monotonic() + busy(120), False
        try:
            while time.monotonic() < until and _readable(leader, busy(60)):
                try:
                    found += os.read(leader, 1 << 16)
                except OSError:
                    break
                seen(found)
                if interrupt and interrupt.encode() in found:
                    interrupt = ""
                    os.write(leader, b"\x03")
            ended = time.monotonic() < until
        finally:
            if not ended:
                os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            os.close(leader)
        # The Kubernetes library of docker buildx writes lines of its own; a terminal echoes Ctrl-C.
        text = re.sub(r"[EWI]\d{4} \d\d:\d\d:[^\n]*\n", "", found.decode()).replace("^C", "").replace("\r\n", "\n")
        return os.waitstatus_to_exitcode(status), VirtualTerminal(_COLUMNS, _ROWS).feed(text)


@pytest.fixture(scope="module")
def peers(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """A builder of two nodes, ready."""
    with hand_made(cluster, tmp_path_factory.mktemp("screen"), "screen") as builder:
        yield Peers(builder)


_IGNORE = "[internal] load .dockerignore"


def _readable(descriptor: int, seconds: float) -> bool:
    waiting = select.poll()  # `select` takes no descriptor above 1023, and other tests may hold many.
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def steps(text: str) -> dict[str, list[str]]:
    """The lines of each step, by its name, without numbers and times."""
    names: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if (match := re.match(r"#(\d+) (.*)", line)) is None:
            continue
        number, rest = match[1], re.sub(r"^\d+\.\d+ |(?<=DONE )[\d.]+s", "", match[2])
        if rest == "..." or rest == names.get(number):
            continue
        if number in names:
            found[names[number]].append(rest)
        else:
            names[number] = rest
            found[rest] = []
    return found


@pytest.mark.parametrize("status", [0, 7])
def test_lines_are_docker_buildx_s(peers: Peers, status: int) -> None:
    """The same steps but for .dockerignore's; output with colours and begun lines, verdicts, repeated lines too."""
    context = peers.builder.context(f"talk{status}", _TALK.replace("STATUS", str(status)))
    texts = {client: peers.plain(client, context) for client in ("buildx", "ours")}
    for client, text in texts.items():
        name = {"buildx": "peer", "ours": "kube"}[client]
        assert text.startswith(f'#0 building with "{name}" instance using kubernetes driver\n\n#1 '), text
    theirs, ours = steps(texts["buildx"]), steps(texts["ours"])
    (run,) = (name for name in theirs if " RUN " in name)
    assert ours[run] == theirs[run]
    assert "half whole" in ours[run]
    # It goes along with the Dockerfile.
    assert set(ours) == {name.replace('"peer"', '"kube"') for name in theirs if name != _IGNORE}
    again = [re.search(r"^------\n.*^------\n", text, re.M | re.S) for text in texts.values()]
    shown = [re.sub(r"^\d+\.\d+ ", "", match[0], flags=re.M) if match else "" for match in again]
    assert shown[0] == shown[1]
    assert bool(shown[0]) == bool(status)
    assert texts["ours"].count(" steps, ") == 1


def rows(terminal: VirtualTerminal) -> set[str]:
    """The steps and transfers that the last picture names, without times and digests."""
    return {_VARYING.sub("", _TIME.sub("", line)).strip() for line in terminal.lines() if line.startswith(" => ")}


def test_the_last_picture_is_docker_buildx_s(peers: Peers) -> None:
    """The same steps and transfers, with the image that was pushed; the builder at the right; the cursor is back."""
    context = peers.builder.context("push", "FROM BASE\nRUN echo RANDOM > /f\n")
    name = f"{peers.builder.registry}/screen/{uuid.uuid4().hex[:8]}:1"
    seen = {}
    for client in ("buildx", "ours"):
        status, terminal = peers.screen(client, "--push", "-t", name, context)
        assert status == 0, terminal.text()
        assert terminal.cursor_shown
        assert terminal.wrapped == 0
        seen[client] = terminal
    # Dockerfile and .dockerignore go along with the solve; this build has no transfer of a context.
    spared = {f"=> {_IGNORE}", "=> => transferring context:", "=> => transferring dockerfile:"}
    assert rows(seen["ours"]) == rows(seen["buildx"]) - spared
    assert f"=> => pushing manifest for {name}@" in rows(seen["ours"])
    first = seen["ours"].lines()[0]
    assert re.match(r"\[\+\] Building \d+\.\ds \((\d+)/\1\) FINISHED +kubernetes:kube$", first)
    assert re.search(rf"^pushed {name}@sha256:[0-9a-f]{{64}}$", seen["ours"].text(), re.M)


def test_a_failed_step_s_whole_output_stands_on_the_terminal(peers: Peers) -> None:
    """As docker buildx has it, below the last picture."""
    context = peers.builder.context("talk7", _TALK.replace("STATUS", "7"))
    seen = {}
    for client in ("buildx", "ours"):
        status, terminal = peers.screen(client, context)
        assert status == 1
        lines = terminal.lines()
        begin, end = (number for number, line in enumerate(lines) if line == "------")
        seen[client] = [re.sub(r"^\d+\.\d+ ", "", line) for line in lines[begin + 1 : end]]
    assert seen["ours"] == seen["buildx"]
    assert seen["ours"][-1] == "line 30"


def test_of_two_nodes_the_one_that_did_not_fail_is_cancelled(peers: Peers) -> None:
    """Under its heading; the summary and the Dockerfile's lines stand below."""
    mark = f"half-{uuid.uuid4().hex[:8]}"
    step = f'if [ "$(uname -m)" = aarch64 ]; then {held(mark)}; exit 3; fi; sleep 300; exit 4'
    context = peers.builder.context("half", f"FROM BASE\nRUN {step}\n")

    released = threading.Event()

    def seen(written: bytes) -> None:
        if b" => [linux/amd64 2/2] RUN " in written and not released.is_set():
            release(mark, steps=2)
            released.set()

    status, terminal = peers.screen("both", "--platform=linux/amd64,linux/arm64", context, seen=seen)
    text = terminal.text()
    assert status == 1, text
    for expected in (
        r"^ builder-amd64 \(\d+/\d+.*\)  linux/amd64 on builder-amd64-",
        r"^ => CANCELED \[linux/amd64 2/2\] RUN ",
        r"^ => ERROR \[linux/arm64 2/2\] RUN ",
        r"^Failed after .*; linux/amd64 .*, linux/arm64 ",
        r"^   2 \| >>> RUN ",
    ):
        assert re.search(expected, text, re.M), text


def test_ctrl_c_leaves_a_cursor(peers: Peers) -> None:
    """And steps that have ended."""
    context = peers.builder.context("sleep", "FROM BASE\nRUN echo asleep; sleep 60\n")
    status, terminal = peers.screen("ours", context, interrupt="asleep\x1b")
    assert status == 130, terminal.text()
    assert terminal.cursor_shown
    assert " => CANCELED [2/2] RUN echo asleep" in terminal.text()
