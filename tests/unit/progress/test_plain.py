"""Progress as a function of events: plain text as BuildKit prints it."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.progress.closing import last_words, warning_lines
from buildclient.progress.events import Event, Log, Vertex, VertexStatus, Warned
from buildclient.progress.plain import Plain
from buildclient.progress.state import Progress
from buildclient.progress.terminal import open_display


def told(*events: Event, now: float = 100.0) -> list[str]:
    """The lines of plain text once all events are in."""
    progress = Progress(fresh=True)
    for event in events:
        progress.feed(event)
    return Plain(progress).text(now, final=True).splitlines()


def test_a_step_is_its_name_and_how_long_it_took() -> None:
    """A number, the name, then DONE with the time on the daemon's clock."""
    assert told(Vertex("a", "[1/1] RUN x", started=10.0, completed=11.25)) == ["#1 [1/1] RUN x", "#1 DONE 1.2s"]


def test_a_cached_step_says_so() -> None:
    """CACHED in place of a time."""
    assert told(Vertex("a", "step", cached=True, started=1.0, completed=1.0))[-1] == "#1 CACHED"


def test_what_has_not_started_is_not_shown() -> None:
    """Vertices come long before their work does."""
    assert told(Vertex("a", "step")) == []


def test_output_carries_its_time_and_is_joined_over_pieces() -> None:
    """Seconds since the step's start; a line may come in pieces, even inside a character."""
    lines = told(
        Vertex("a", "step", started=10.0),
        Log("a", 1, b"caf\xc3", 10.5),
        Log("a", 1, b"\xa9\nrest", 10.75),
        Vertex("a", "step", started=10.0, completed=12.0),
    )
    assert lines == ["#1 step", "#1 0.500 café", "#1 0.750 rest", "#1 DONE 2.0s"]


def test_a_failed_step_is_shown_once_more_at_the_end() -> None:
    """Its last lines stand below everything else, with its name; cancelled steps are not repeated."""
    progress = Progress(fresh=True)
    progress.feed(Vertex("a", "bad", started=1.0, completed=2.0, error="exit code: 1"))
    progress.feed(Vertex("b", "other", started=1.0, completed=2.0, error="x: context canceled"))
    progress.feed(Log("a", 2, b"why\n", 1.5))
    plain = Plain(progress)
    lines = plain.text(3.0).splitlines()
    assert "#1 ERROR: exit code: 1" in lines
    assert "#2 CANCELED" in lines
    assert list(last_words(progress)) == ["------", " > bad:", "0.500 why", "------"]


def test_a_transfer_is_throttled() -> None:
    """Only every twentieth of the whole is told, or every five seconds."""
    progress, plain_lines = Progress(fresh=True), []
    plain = Plain(progress)
    progress.feed(Vertex("a", "step", started=0.0))
    for n in range(101):
        progress.feed(VertexStatus("a", "copy", current=n, total=100, timestamp=n / 1000, started=0.0))
        plain_lines += plain.text(n / 1000).splitlines()
    copies = [line for line in plain_lines if "copy" in line]
    assert 18 <= len(copies) <= 22
    assert copies[0].startswith("#1 copy 0B / 100B")


def test_steps_at_the_same_time_take_turns() -> None:
    """Another working step waits for five seconds; one that ended is shown at once, with the way back marked."""
    progress = Progress(fresh=True)
    plain = Plain(progress)
    progress.feed(Vertex("a", "one", started=0.0))
    progress.feed(Vertex("b", "two", started=0.1))
    assert plain.text(1.0).splitlines() == ["#1 one"]
    progress.feed(Log("b", 1, b"hello\n", 1.5))
    assert plain.text(2.0).splitlines() == []
    assert plain.text(7.0).splitlines() == ["#1 ...", "", "#2 two", "#2 1.400 hello"]
    progress.feed(Vertex("a", "one", started=0.0, completed=8.0))
    assert plain.text(8.0).splitlines() == ["#2 ...", "", "#1 one", "#1 DONE 8.0s"]


def test_a_node_s_name_stands_before_the_step_s() -> None:
    """Inside its brackets, as docker buildx puts a prefix."""
    lines = told(
        Vertex("a", "[base 1/2] RUN x", started=1.0, completed=2.0, node="arm"),
        Vertex("a", "exporting", started=1.0, completed=2.0, node="amd"),
    )
    assert "#1 [arm base 1/2] RUN x" in lines
    assert "#2 [amd] exporting" in lines


def test_a_group_is_one_row() -> None:
    """Vertices of one group share a row under the group's name; their times are not counted twice."""
    lines = told(
        Vertex("a", "inner", started=1.0, completed=3.0, group="g", group_name="FROM x"),
        Vertex("b", "inner", started=2.0, completed=4.0, group="g", group_name="FROM x"),
    )
    assert lines == ["#1 FROM x", "#1 DONE 3.0s"]


def test_warnings_are_told_at_once_and_summed_up() -> None:
    """Each once, with the step and at the end."""
    progress = Progress(fresh=True)
    progress.feed(Vertex("a", "load", started=1.0, completed=2.0))
    for _ in range(2):
        progress.feed(Warned("a", 1, "FromAsCasing: …"))
    plain = Plain(progress)
    assert "#1 WARN: FromAsCasing: …" in plain.text(3.0).splitlines()
    assert list(warning_lines(progress.warnings))[1:] == [
        " 1 warning found (use buildclient --debug to expand):",
        " - FromAsCasing: …",
    ]


def test_a_daemon_s_clock_may_differ_from_ours() -> None:
    """What still runs is measured by the daemon's clock, reckoned from the events."""
    progress = Progress(fresh=True)
    progress.feed(Vertex("a", "step", started=1000.0), received=10.0)
    row = next(iter(progress.rows.values()))
    assert row.seconds(progress.clock(row, 12.5)) == 2.5


def test_times_have_three_digits_that_count() -> None:
    """Seconds since the step last began, as BuildKit writes them."""
    lines = told(
        Vertex("a", "step", started=1.0, completed=2.0),
        Vertex("a", "step", started=100.0),
        *(Log("a", 1, b"x\n", 100.0 + seconds) for seconds in (0.25, 12.34, 123.456)),
        Vertex("a", "step", started=100.0, completed=300.0),
    )
    assert [line for line in lines if line.endswith("x")] == ["#1 0.250 x", "#1 12.34 x", "#1 123.5 x"]


def test_a_begun_line_is_written_at_once_and_continued() -> None:
    """What a program prints before it works on is read before it is done; the text in the end is the whole line's."""
    progress = Progress(fresh=True)
    plain = Plain(progress)
    progress.feed(Vertex("a", "step", started=0.0))
    progress.feed(Log("a", 1, b"\x1b[31mcompiling", 1.0))
    assert plain.text(1.1) == "#1 step\n#1 1.000 \x1b[31mcompiling\x1b[0m"
    assert plain.text(1.2) == ""
    progress.feed(Log("a", 2, b"...", 2.0))
    assert plain.text(2.1) == "\x1b[31m...\x1b[0m"
    progress.feed(Log("a", 1, b" done\nnext\n", 4.0))
    assert plain.text(4.1) == "\x1b[31m done\x1b[0m\n#1 4.000 next\n"


def test_a_begun_line_ends_before_another_step_speaks() -> None:
    """And is written again as a whole when its step speaks again."""
    progress = Progress(fresh=True)
    plain = Plain(progress)
    progress.feed(Vertex("a", "one", started=0.0))
    progress.feed(Log("a", 1, b"half", 1.0))
    text = plain.text(1.0)
    progress.feed(Vertex("b", "two", started=1.0, completed=2.0))
    text += plain.text(2.0)
    progress.feed(Log("a", 1, b" whole\n", 3.0))
    text += plain.text(9.0)
    assert text.splitlines() == [
        "#1 one", "#1 1.000 half", "#1 ...", "", "#2 two", "#2 DONE 1.0s", "", "#1 one", "#1 1.000 half whole"
    ]  # fmt: skip


def test_a_rewritten_line_is_told_when_it_ends_or_every_five_seconds() -> None:
    """A progress bar fills no log, and a step that has nothing else to say is not silent."""
    progress = Progress(fresh=True)
    plain = Plain(progress)
    progress.feed(Vertex("a", "step", started=0.0))
    text = plain.text(0.0)
    for tenth in range(1, 121):
        progress.feed(Log("a", 1, b"\r%d%%" % (tenth * 100 // 120), tenth / 10))
        text += plain.text(tenth / 10)
    progress.feed(Log("a", 1, b"\nend\n", 12.0))
    text += plain.text(12.0)
    assert text.splitlines() == ["#1 step", "#1 5.100 42%", "#1 10.10 84%", "#1 0.100 100%", "#1 12.00 end"]


@given(st.lists(st.tuples(st.binary(max_size=12), st.booleans()), max_size=12))
def test_text_is_the_same_however_the_output_is_cut(pieces: list[tuple[bytes, bool]]) -> None:
    """As long as no line is rewritten, looking often changes nothing of what a log holds in the end."""
    kept = [(piece.translate(None, b"\r\b\x1b\x9b"), look) for piece, look in pieces]
    texts = []
    for often in (True, False):
        progress = Progress(fresh=True)
        plain = Plain(progress)
        progress.feed(Vertex("a", "step", started=0.0))
        text = plain.text(0.0)
        for piece, look in kept:
            progress.feed(Log("a", 1, piece, 1.0))
            text += plain.text(1.0) if often and look else ""
        progress.feed(Vertex("a", "step", started=0.0, completed=2.0))
        texts.append(text + plain.text(2.0, final=True))
    assert texts[0] == texts[1]


def test_the_builder_stands_above_the_first_step() -> None:
    """As docker buildx names it."""
    out = io.StringIO()
    display = open_display("plain", out, {})
    display.describe("kube", "kubernetes")
    display.feed(Vertex("a", "step", started=1.0, completed=2.0))
    display.end(failed=False)
    assert out.getvalue().startswith('#0 building with "kube" instance using kubernetes driver\n\n#1 step\n')


@pytest.mark.parametrize(
    ("environ", "marks"),
    [
        ({}, []),
        ({"GITHUB_ACTIONS": "true", "BUILDCLIENT_LOG_GROUPS": "0"}, []),
        ({"GITHUB_ACTIONS": "true"}, ["::group::#1 one 100%25", "::endgroup::", "::group::#1 one 100%25"]),
        ({"GITLAB_CI": "true"}, ["section_start", "section_end", "section_start"]),
    ],
)
def test_a_step_is_a_group_in_the_log_of_a_ci_service(environ: dict[str, str], marks: list[str]) -> None:
    """Closed before another step speaks, and before the verdict, which is read without opening it."""
    out = io.StringIO()
    display = open_display("plain", out, environ)
    display.feed(Vertex("a", "one 100%", started=1.0))
    display.show()
    display.feed(Vertex("b", "two", started=1.0, completed=2.0, cached=True))
    display.show()
    display.feed(Log("a", 1, b"output\n", 1.5))
    display.feed(Vertex("a", "one 100%", started=1.0, completed=2.0, error="bad"))
    display.end(failed=True)
    lines = out.getvalue().split("\n")
    found = [line for line in lines if "::" in line or "section_" in line]
    assert len(found) == (4 if marks else 0)
    assert all(mark in line for mark, line in zip(marks, found, strict=False))
    bare = re.sub(r"\x1b\[0K(section_\w+:\d+:\w+(\[collapsed=true\])?\r)?|::group::|%25(?=\n)", "", out.getvalue())
    bare = bare.replace("100\n", "100%\n").replace("::endgroup::\n", "").replace("\n\n\n", "\n\n")
    verdict = lines.index("#1 ERROR: bad")
    assert not marks or any(mark in lines[verdict - 1] for mark in ("endgroup", "section_end"))
    assert bare.count("#1 one 100%\n") == 2


_EVENTS = st.lists(
    st.one_of(
        st.builds(
            Vertex,
            st.sampled_from("abc"),
            st.just("step"),
            started=st.one_of(st.none(), st.floats(0, 10)),
            completed=st.one_of(st.none(), st.floats(10, 20)),
            cached=st.booleans(),
            error=st.sampled_from(["", "bad", "context canceled"]),
            group=st.sampled_from(["", "g"]),
        ),
        st.builds(Log, st.sampled_from("abcd"), st.integers(1, 2), st.binary(max_size=9), st.floats(0, 20)),
        st.builds(VertexStatus, st.sampled_from("abcd"), st.sampled_from("xy"), current=st.integers(0, 9)),
    ),
    max_size=30,
)


@given(_EVENTS, st.integers(1, 5))
def test_no_order_of_events_breaks_it(events: list[Event], every: int) -> None:
    """However events come, every line carries the number of a row, and nothing is said twice when nothing is new."""
    progress = Progress(fresh=True)
    plain = Plain(progress)
    text = ""
    for number, event in enumerate(events):
        progress.feed(event)
        if number % every == 0:
            text += plain.text(float(number))
    text += plain.text(99.0, final=True)
    assert all(line == "" or line.startswith("#") for line in text.split("\n"))
    assert plain.text(99.0, final=True) == ""
