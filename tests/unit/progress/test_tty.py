"""The live display on a small terminal: what a person sees of a build, at last and on the way."""

from __future__ import annotations

import fcntl
import io
import os
import select
import signal
import struct
import subprocess
import sys
import termios

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildclient.progress.closing import last_words
from buildclient.progress.events import Event, Log, SolveStarted, Vertex, VertexStatus, Warned
from buildclient.progress.state import KEPT_BYTES
from buildclient.progress.terminal import open_display
from buildclient.progress.tty import TtyDisplay
from tests.unit.progress.virtual_terminal import VirtualTerminal


class Shown(TtyDisplay):
    """A display on a small terminal."""

    def __init__(self, columns: int = 60, rows: int = 20) -> None:
        self.stream = io.StringIO()
        super().__init__(self.stream, {"run": "34", "cancel": "33", "error": "31", "warning": "33"})
        self.terminal = VirtualTerminal(columns, rows)
        self.begin()

    def _size(self) -> os.terminal_size:
        return os.terminal_size((self.terminal.columns, self.terminal.rows))

    def draw(self) -> list[str]:
        """Draws, and returns what there is to see."""
        self.show()
        return self.read()

    def finish(self, failed: bool = False) -> list[str]:
        """Ends, and returns what there is to see."""
        self.end(failed)
        return self.read()

    def read(self) -> list[str]:
        """What there is to see."""
        self.terminal.feed(self.stream.getvalue())
        self.stream.seek(0)
        self.stream.truncate()
        return self.terminal.lines()

    def take(self, *events: Event) -> None:
        """Feeds events."""
        for event in events:
            self.feed(event)


def test_a_failed_step_s_whole_output_stands_below() -> None:
    """All 150 lines, once, as docker buildx shows them."""
    shown = Shown()
    shown.take(Vertex("a", "[2/2] RUN make", started=1.0))
    shown.take(*(Log("a", 1, b"line %d\n" % number, 1.5) for number in range(150)))
    shown.draw()
    shown.take(Vertex("a", "[2/2] RUN make", started=1.0, completed=2.0, error="exit code: 1"))
    lines = shown.finish(failed=True)
    begin = lines.index("------")
    assert lines[begin + 1] == " > [2/2] RUN make:"
    assert lines[begin + 2 : -1] == [f"0.500 line {number}" for number in range(150)]
    assert lines[1].startswith(" => ERROR [2/2] RUN make")


def test_what_is_kept_of_a_step_is_bounded() -> None:
    """The end of it, and how many lines are left out; of a step that succeeds nothing is kept."""
    shown = Shown()
    for name in "ab":
        shown.take(Vertex(name, name, started=1.0))
        shown.take(*(Log(name, 1, b"x" * 60000 + b"\n", 1.5) for _ in range(KEPT_BYTES // 60000 + 10)))
    rows = list(shown.progress.rows.values())
    assert sum(map(len, rows[0].log)) <= KEPT_BYTES
    shown.take(Vertex("a", "a", started=1.0, completed=2.0), Vertex("b", "b", started=1.0, completed=2.0, error="no"))
    assert not rows[0].log
    assert f"… {rows[1].lines_dropped} earlier lines are not kept" in list(last_words(shown.progress))
    assert rows[1].lines_dropped >= 10


def test_a_rewritten_line_is_shown_in_its_last_state() -> None:
    """Not every state of a progress bar side by side."""
    shown = Shown()
    shown.take(Vertex("a", "pull", started=1.0), Log("a", 1, b"10%\r20%\r", 1.5), Log("a", 1, b"30%\r", 2.0))
    assert shown.draw()[2] == " => => # 0.500 30%"


def test_the_last_picture_names_what_was_moved_and_pushed() -> None:
    """Transfers that have ended stay, with their bytes and times, and so do warnings."""
    shown = Shown(columns=90)
    shown.describe("kube", "kubernetes")
    shown.take(
        Vertex("a", "exporting to image", started=1.0),
        VertexStatus("a", "exporting manifest sha256:abc", started=1.0, timestamp=1.1, completed=1.1),
        VertexStatus("a", "sha256:layer", current=2000, total=2000, started=1.0, timestamp=2.0, completed=2.0),
        VertexStatus("a", "pushing manifest for r/app:1@sha256:def", started=2.0, timestamp=2.3, completed=2.3),
        Warned("a", 1, "Casing"),
        Vertex("a", "exporting to image", started=1.0, completed=3.0),
    )
    lines = shown.finish()
    assert lines[0].startswith("[+] Building 0.")
    assert lines[0].endswith(" kubernetes:kube")
    assert len(lines[0]) == 90
    assert "(1/1) FINISHED  " in lines[0]
    assert [" ".join(line.split()) for line in lines[1:6]] == [
        "=> exporting to image 2.0s",
        "=> => exporting manifest sha256:abc 0.1s",
        "=> => sha256:layer 2.00kB / 2.00kB 1.0s",
        "=> => pushing manifest for r/app:1@sha256:def 0.3s",
        "=> WARN: Casing 2.0s",
    ]


def test_a_transfer_tells_how_fast_it_is_and_how_long_it_takes() -> None:
    """Over the last seconds; a transfer of unknown size has no end to reckon."""
    shown = Shown()
    now = shown._begun
    shown.take(Vertex("a", "pull", started=now - 4))
    for second in range(5):
        at = now - 4 + second
        shown.take(VertexStatus("a", "layer", current=second * 10**6, total=10**7, timestamp=at, started=now - 4))
        shown.take(VertexStatus("a", "context:", current=second * 10**6, timestamp=at, started=now - 4))
    lines = shown.draw()
    assert " => => layer 4.00MB / 10.00MB  1.0MB/s, 6s left" in lines[2]
    assert " => => context: 4.00MB  1.0MB/s" in lines[3]
    assert "left" not in lines[3]


def test_each_of_several_nodes_has_a_heading() -> None:
    """With its pod, platforms, steps and cache hits; the client's own steps stand before and after."""
    shown = Shown(columns=100)
    shown.take(Vertex("client:1", "waiting", started=0.5, completed=0.9))
    for node in ("amd", "arm"):
        shown.take(SolveStarted(node, node, "ref", (f"linux/{node}64",), f"pod-{node}"))
    for node, cached in (("amd", True), ("arm", False)):
        shown.take(
            Vertex("a", "[1/2] FROM x", started=1.0, completed=1.0, cached=cached, node=node),
            Vertex("b", "[2/2] RUN x", started=1.0 if cached else 1.2, completed=3.0, node=node),
        )
    shown.take(Vertex("client:2", "merging", started=4.0, completed=5.0))
    lines = [" ".join(line.split()) for line in shown.finish()[1:]]
    assert lines[8] == ""
    assert lines[9].startswith(
        "Built in 0.0s: 4 steps, 1 cached; linux/amd64 2.0s on pod-amd, linux/arm64 2.0s on pod-arm"
    )
    assert lines[:8] == [
        "=> waiting 0.4s",
        "amd (2/2, 1 cached) linux/amd64 on pod-amd 2.0s",
        "=> CACHED [1/2] FROM x 0.0s",
        "=> [2/2] RUN x 2.0s",
        "arm (2/2) linux/arm64 on pod-arm 2.0s",
        "=> [1/2] FROM x 0.0s",
        "=> [2/2] RUN x 1.8s",
        "=> merging 1.0s",
    ]


def test_many_nodes_on_a_small_screen_have_a_line_each() -> None:
    """With what each does last."""
    shown = Shown(columns=50, rows=14)
    for number in range(8):
        shown.take(Vertex("a", "[1/9] RUN make", started=1.0, node=f"n{number}"))
    lines = shown.draw()
    assert len(lines) == 9
    assert lines[3].startswith(" n2 (0/1)  [1/9] RUN make")


def test_what_works_is_seen_on_a_small_screen() -> None:
    """Of hundreds of steps those that work are always there, then the latest that ended."""
    shown = Shown(rows=12)
    shown.take(Vertex("slow", "slow", started=0.0))
    shown.take(*(Vertex(f"{n}", f"step {n}", started=1.0 + n, completed=2.0 + n) for n in range(300)))
    shown.take(Vertex("late", "late", started=500.0))
    lines = [line.split("  ")[0] for line in shown.draw()]
    assert lines[1] == " => slow"
    assert lines[-2:] == [" => step 299", " => late"]
    assert len(lines) == 10


def test_the_cursor_is_hidden_and_comes_back() -> None:
    """Also where the end cannot be drawn."""
    shown = Shown()
    shown.draw()
    assert not shown.terminal.cursor_shown
    shown.take(Vertex("a", "step", started=1.0, completed=2.0))
    shown.finish()
    assert shown.terminal.cursor_shown
    shown = Shown()
    shown._picture.whole = None  # type: ignore[method-assign, assignment]
    with pytest.raises(TypeError):
        shown.end(failed=False)
    shown.read()
    assert shown.terminal.cursor_shown


@pytest.mark.parametrize("columns", [1, 5, 13, 20, 40])
def test_a_narrow_terminal_breaks_no_line(columns: int) -> None:
    """Names in wide characters, joined emoji and combining marks included."""
    shown = Shown(columns=columns)
    shown.describe("a-very-long-name-of-a-builder", "kubernetes")
    shown.take(
        Vertex("a", "[1/2] RUN " + "建" * 40, started=10.0),
        Vertex("b", "👩‍👩‍👧‍👦e\u0301" * 9, started=10.0),
        VertexStatus("b", "sha256:" + "0" * 64, current=5, total=10, started=10.0),
        Log("a", 1, ("ก็" * 60).encode(), 11.0),
    )
    lines = shown.draw()
    assert shown.terminal.wrapped == 0
    assert len(lines) <= 6


def test_a_terminal_that_becomes_narrower_keeps_no_copies() -> None:
    """The lines that it has broken are drawn over."""
    shown = Shown(columns=60)
    shown.take(Vertex("a", "step", started=1.0), Vertex("b", "step", started=1.0))
    shown.draw()
    broken = VirtualTerminal(30, 20)
    for line in shown.terminal.lines():
        broken.feed(f"{line}\n")
    shown.terminal = broken
    lines = shown.draw()
    assert len(lines) == 3
    assert sum("Building" in line for line in lines) == 1


_EVENTS = st.lists(
    st.one_of(
        st.builds(
            Vertex,
            st.sampled_from("abc"),
            st.text(max_size=90),
            started=st.one_of(st.none(), st.floats(0, 10)),
            completed=st.one_of(st.none(), st.floats(10, 20)),
            error=st.sampled_from(["", "bad", "context canceled"]),
            node=st.sampled_from(["", "x", "y"]),
        ),
        st.builds(Log, st.sampled_from("abc"), st.just(1), st.binary(max_size=99), node=st.sampled_from(["", "x"])),
        st.builds(VertexStatus, st.sampled_from("abc"), st.text(max_size=9), current=st.integers(0, 9**9)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(_EVENTS, st.integers(1, 90), st.integers(2, 30))
def test_the_picture_is_always_drawn_over_itself(events: list[Event], columns: int, rows: int) -> None:
    """Whatever comes, on a terminal of any size: nothing scrolls out before the end, and nothing steers it."""
    shown = Shown(columns, rows)
    for event in events:
        shown.feed(event)
        shown.draw()
        assert shown.terminal.top == 0, shown.terminal.lines()
    lines = shown.finish()
    assert shown.terminal.wraps
    assert sum(line.startswith("[+] Buildi") for line in lines) <= 1


_STOPPED = """
import os, signal, sys
from buildclient.progress.events import Vertex
from buildclient.progress.terminal import open_display
display = open_display("tty", environ={"NO_COLOR": "1"})
display.begin()
display.feed(Vertex("a", "step", started=1.0))
display.show()
os.kill(os.getpid(), getattr(signal, sys.argv[1]))
display.show()
display.end(False)
"""


def _written(leader: int) -> str:
    """What a process that does nothing more has written to its terminal."""
    found = b""
    waiting = select.poll()  # `select` takes no descriptor above 1023, and other tests may hold many.
    waiting.register(leader, select.POLLIN)
    while waiting.poll(200):
        found += os.read(leader, 1 << 16)
    return found.decode()


@pytest.mark.alone
@pytest.mark.parametrize(("name", "goes_on"), [("SIGTSTP", True), ("SIGQUIT", False)])
def test_the_cursor_is_back_while_the_process_is_stopped_or_killed(name: str, goes_on: bool) -> None:
    """A shell that takes over after Ctrl-Z or Ctrl-backslash has a cursor; a process that goes on draws anew."""
    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    # In a group of its own: in one that no shell looks after, a stop from the terminal has no effect.
    process = subprocess.Popen([sys.executable, "-c", _STOPPED, name], stderr=follower, process_group=0)
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        text = _written(leader)
        assert VirtualTerminal().feed(text).cursor_shown
        if not goes_on:
            assert os.WIFSIGNALED(status)
            return
        assert os.WIFSTOPPED(status)
        os.kill(process.pid, signal.SIGCONT)
        os.waitpid(process.pid, 0)
        rest = _written(leader)
        assert rest.startswith("\x1b[?25l")
        assert VirtualTerminal().feed(text + rest).cursor_shown
        assert VirtualTerminal().feed(text + rest).text().count("Building") == 2
    finally:
        process.returncode = 0
        os.close(leader)
        os.close(follower)


def test_a_signal_that_the_program_handles_stays_its_own() -> None:
    """Handlers that stand are not replaced, and the usual ones are back in the end."""
    calls: list[int] = []

    def own(number: int, frame: object) -> None:
        calls.append(number)

    before = signal.signal(signal.SIGQUIT, own)
    leader, follower = os.openpty()
    try:
        with open(follower, "w", encoding="utf-8", closefd=False) as out:
            display = open_display("tty", out, {})
            display.begin()
            assert signal.getsignal(signal.SIGQUIT) is own
            assert signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL
            display.end(failed=False)
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGQUIT, before)
        os.close(leader)
        os.close(follower)
