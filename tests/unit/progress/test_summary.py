"""What a build did, as a value and as a line."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.cli import main
from buildclient.cli.build import command
from buildclient.cli.closer import closer_look
from buildclient.cli.where import where_text
from buildclient.progress.events import Event, Log, SolveStarted, Vertex, VertexStatus, Warned
from buildclient.progress.state import Progress
from buildclient.progress.summary import summarize, summary_lines
from buildclient.progress.terminal import open_display

_DIGEST = f"sha256:{'0' * 64}"


def progress_of(*events: Event) -> Progress:
    """The progress after these events."""
    progress = Progress()
    for event in events:
        progress.feed(event)
    return progress


def built(node: str, platform: str, *, start: float = 10.0, error: str = "") -> list[Event]:
    """One node's part of a build."""
    return [
        SolveStarted(node, node or "n0", f"ref-{node}", (platform,), f"pod-{node}"),
        Vertex("i", "[internal] load build definition", started=start, completed=start + 0.1, node=node),
        Vertex("f", f"[{platform} 1/3] FROM x", started=start, completed=start, cached=True, node=node),
        Vertex("r", f"[{platform} 2/3] RUN make", started=start + 1, completed=start + 6, node=node),
        Vertex("t", f"[{platform} 3/3] RUN test", started=start + 6, completed=start + 8, error=error, node=node),
        VertexStatus("f", "sha256:layer", current=1500, total=1500, node=node),
        VertexStatus("f", "extracting sha256:layer", current=9000, node=node),
        VertexStatus("r", f"pushing manifest for r/a:1@{_DIGEST}", node=node),
        VertexStatus("r", "pushing manifest for r/a", node=node),
    ]


def test_a_summary_counts_the_instructions_of_the_dockerfile() -> None:
    """Cached ones, the slowest, bytes, times by platform and node; as a line and as JSON."""
    progress = progress_of(
        *built("amd", "linux/amd64"),
        *built("arm", "linux/arm64", start=12.0),
        Warned("i", 1, "x", node="amd"),
        Warned("i", 1, "x", node="arm"),
    )
    summary = summarize(progress)
    assert (summary.steps, summary.cached, summary.warnings, summary.moved) == (6, 2, 1, 3000)
    assert summary.seconds == 10.0
    assert summary.pushed == (f"r/a:1@{_DIGEST}",)
    assert [node[:6] for node in summary.nodes] == [
        ("amd", "pod-amd", "ref-amd", ("linux/amd64",), 3, 1),
        ("arm", "pod-arm", "ref-arm", ("linux/arm64",), 3, 1),
    ]
    assert [tuple(one) for one in summary.platforms] == [("linux/amd64", 8.0, "amd"), ("linux/arm64", 8.0, "arm")]
    assert [(one.name, one.seconds) for one in summary.slowest][:2] == [
        ("[amd linux/amd64 2/3] RUN make", 5.0),
        ("[arm linux/arm64 2/3] RUN make", 5.0),
    ]
    assert json.loads(json.dumps(summary.as_dict()))["platforms"][0] == {
        "platform": "linux/amd64",
        "seconds": 8.0,
        "node": "amd",
    }
    assert list(summary_lines(summary, pushed=True)) == [
        f"pushed r/a:1@{_DIGEST}",
        "Built in 10.0s: 6 steps, 2 cached; linux/amd64 8.0s on pod-amd, linux/arm64 8.0s on pod-arm; "
        "slowest [amd linux/amd64 2/3] RUN make 5.0s, [arm linux/arm64 2/3] RUN make 5.0s, "
        "[amd linux/amd64 3/3] RUN test 2.0s; 3.00kB moved",
    ]


def test_platforms_of_one_node_are_told_apart_by_their_steps() -> None:
    """As the frontend names them; a build without a platform has a pod alone."""
    both = SolveStarted("", "n0", "ref", ("linux/amd64", "linux/arm64"), "pod")
    steps = [
        Vertex("a", "[linux/amd64 build 1/1] RUN x", started=1.0, completed=2.0),
        Vertex("b", "[linux/arm64 build 1/1] RUN x", started=1.0, completed=5.0),
    ]
    summary = summarize(progress_of(both, *steps))
    assert [one[:2] for one in summary.platforms] == [("linux/amd64", 1.0), ("linux/arm64", 4.0)]
    one = progress_of(SolveStarted("", "n0", "ref", (), "pod"), Vertex("a", "[1/1] RUN x", started=1.0, completed=1.5))
    assert list(summary_lines(summarize(one))) == ["Built in 0.5s: 1 step, 0 cached; on pod"]


@pytest.mark.parametrize(("environ", "summary"), [({}, True), ({"BUILDCLIENT_SUMMARY": "0"}, False)])
def test_the_summary_is_the_last_line_unless_switched_off(environ: dict[str, str], summary: bool) -> None:
    """Also of a build that failed; not of one that never began, nor in other formats."""
    out = io.StringIO()
    display = open_display("plain", out, environ)
    for event in built("", "linux/amd64", error="bad"):
        display.feed(event)
    display.end(failed=True)
    last = out.getvalue().splitlines()[-1]
    assert last.startswith("Failed after 0.0s: 3 steps, 1 cached; linux/amd64 8.0s on pod-; slowest") == summary
    for mode, events in (("plain", []), ("quiet", built("", "x/y"))):
        out = io.StringIO()
        display = open_display(mode, out, {})
        for event in events:
            display.feed(event)
        display.end(failed=False)
        assert out.getvalue() == ""


def test_a_new_kind_of_event_is_not_raw_json_s() -> None:
    """The daemon's own objects alone."""
    out = io.StringIO()
    display = open_display("rawjson", out, {})
    display.feed(SolveStarted("", "n0", "ref"))
    display.end(failed=False)
    assert out.getvalue() == ""


def test_a_failure_names_the_command_that_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the failed node's record and the flags that lead to the builder, once there is such a command."""
    progress = progress_of(*built("amd", "linux/amd64"), *built("arm", "linux/arm64", error="bad"))
    monkeypatch.setattr(main, "_COMMANDS", {})
    assert closer_look(progress, "") == ""
    monkeypatch.setattr(main, "_COMMANDS", {"history": ("", "")})
    assert closer_look(progress, "--stack dev") == "View its log: buildclient history logs ref-arm --stack dev"
    assert closer_look(progress_of(*built("", "linux/amd64")), "") == ""


def test_flags_that_lead_to_a_builder_are_written_for_a_shell() -> None:
    """Those that were given, quoted."""
    with command.make_context("build", ["--builder", "a b", "--context", "c", "."]) as context:
        assert where_text(context.params) == "--builder 'a b' --context c"


@given(
    st.lists(
        st.one_of(
            st.builds(
                Vertex,
                st.sampled_from("abc"),
                st.sampled_from(["[1/2] RUN x", "[linux/arm64 2/2] COPY", "[internal] load", "export"]),
                started=st.one_of(st.none(), st.floats(0, 10)),
                completed=st.one_of(st.none(), st.floats(0, 20)),
                cached=st.booleans(),
                error=st.sampled_from(["", "bad", "context canceled"]),
                node=st.sampled_from(["", "x"]),
            ),
            st.builds(SolveStarted, st.sampled_from(["", "x"]), st.just("n"), st.just("r"), st.just(("linux/arm64",))),
            st.builds(VertexStatus, st.sampled_from("abc"), st.text(max_size=5), current=st.integers(0, 9)),
            st.builds(Log, st.sampled_from("abc"), st.just(1), st.binary(max_size=5)),
        ),
        max_size=20,
    )
)
def test_a_summary_s_numbers_fit_together(events: list[Event]) -> None:
    """Whatever comes: cached are some of the steps, nodes' steps some of all, times not negative."""
    summary = summarize(progress_of(*events))
    assert 0 <= summary.cached <= summary.steps
    assert sum(node.steps for node in summary.nodes) <= summary.steps
    assert min([summary.seconds, *(one.seconds for one in (*summary.platforms, *summary.slowest))]) >= 0
    assert len(list(summary_lines(summary))) == 1
    json.dumps(summary.as_dict())
