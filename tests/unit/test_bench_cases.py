"""The comparison's own parts: runs in turns, medians, whether the same was made, verdicts, the page and its curves."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import contexts, planning, same
from bench.cases import CASES, Case, Line
from bench.curves import curves
from bench.measure import BenchError, Pair, Ran, in_turns, timed_at_once
from bench.report import Report, Row, figure, line, page
from bench.verdict import BOUNDS, Figure, behind, latest, verdict

_MEETING = """
import os, pathlib, time
pathlib.Path(str(os.getpid())).touch()
until = time.monotonic() + 60
while len(os.listdir()) < 3:
    assert time.monotonic() < until
    time.sleep(0.01)
"""


def _pair(ours: tuple[float, ...], peer: tuple[float, ...], carried: int = 0) -> Pair:
    runs = [tuple(Ran(seconds, 50 << 20, seconds / 2, carried) for seconds in times) for times in (ours, peer)]
    return Pair(runs[0], runs[1])


def test_the_first_of_a_round_is_the_second_of_the_next() -> None:
    """Neither client is always the one that finds what the other has warmed."""
    order: list[str] = []

    def run(client: str) -> Ran:
        order.append(client)
        return Ran(1.0, 1)

    in_turns(3, run)
    assert order == ["buildx", "ours", "ours", "buildx", "buildx", "ours"]


def test_medians_make_the_ratio_and_the_spread_is_told() -> None:
    """One slow run moves the spread and not the ratio."""
    pair = _pair((1.0, 9.0, 1.2), (2.0, 2.4, 2.2))
    assert pair.ratio == pytest.approx(1.2 / 2.2)
    assert pair.spread("ours") == (1.0, 9.0)
    assert pair.processor("ours") == pytest.approx(0.6)


def test_commands_at_once_run_together_and_their_memory_adds_up(tmp_path: Path) -> None:
    """Three that wait for one another end, and hold three interpreters."""
    one = timed_at_once([[sys.executable, "-c", "pass"]], os.environ, tmp_path)
    three = timed_at_once([[sys.executable, "-c", _MEETING]] * 3, os.environ, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert three.memory > 2 * one.memory
    assert three.processor > one.processor


def test_one_of_several_commands_that_fails_is_told() -> None:
    """With its last words."""
    with pytest.raises(BenchError, match="status 3\nno use"):
        timed_at_once(
            [[sys.executable, "-c", "pass"], [sys.executable, "-c", "import sys; print('no use'); sys.exit(3)"]],
            os.environ,
            Path("/"),
        )


@pytest.mark.parametrize(
    ("value", "goal", "expected"),
    [(0.9, 1.0, "reached"), (1.0, 1.0, "reached"), (1.2, 1.0, "near"), (1.21, 1.0, "behind"), (9.0, None, "")],
)
def test_a_verdict_allows_a_fifth(value: float, goal: float | None, expected: str) -> None:
    """A ratio and its goal."""
    assert verdict(Figure("case", value, 1.0, goal)) == expected


def test_a_goal_out_of_reach_has_a_bound() -> None:
    """The verdict is about the goal; a run fails by the bound. Bounds are of cases, and above their goals."""
    late, later = Figure("cached", 1.5, 1.0, 1.2), Figure("cached", 1.6, 1.0, 1.2)
    assert (verdict(late), verdict(later)) == ("behind", "behind")
    assert behind([late, later]) == [later]
    goals = {**{case.name: case.goal for case in CASES}, "planning": planning.GOAL}
    assert all(bound > (goals[name] or 0) for name, bound in BOUNDS.items())


def test_those_behind_are_told_the_farthest_first() -> None:
    """A goal without a peer is one of seconds."""
    figures = [
        Figure("good", 1.0, 2.0, 0.5),
        Figure("late", 1.5, 1.0, 1.0),
        Figure("later", 0.06, None, 0.02),
        Figure("free", 5.0, 1.0, None),
    ]
    assert [one.name for one in behind(figures)] == ["later", "late"]


def test_the_figures_are_read_as_json() -> None:
    """In their order, null where there is no peer."""
    read = json.loads(latest([Figure("cached", 0.25, 0.2, 1.2), Figure("planning", 0.05, None, 0.02)]))
    assert read == [
        {"name": "cached", "ratio": 1.25, "ours_s": 0.25, "peer_s": 0.2, "goal": 1.2},
        {"name": "planning", "ratio": None, "ours_s": 0.05, "peer_s": None, "goal": 0.02},
    ]


def test_a_row_has_time_spread_goal_processor_memory_and_bytes() -> None:
    """Bytes only where there was a link."""
    row = Row("other", "rebuild", _pair((0.5, 0.6, 0.7), (1.0, 1.2, 1.4), 2_500_000), 0.45)
    assert line(row) == (
        "| rebuild | 0.60 s (0.50–0.70) | 1.20 s (1.00–1.40) | 0.50 | ≤ 0.45 near | 0.30 s · 0.60 s | 50 · 50 | "
        "2.5 · 2.5 | 3 |"
    )
    assert figure(row) == Figure("other", 0.6, 1.2, 0.45)
    assert "|  | 3 |" in line(row._replace(pair=_pair((0.5, 0.6, 0.7), (1.0, 1.2, 1.4))))


def test_the_page_says_what_was_not_measured() -> None:
    """Cases left out and cases that failed are named; there are no figures for them."""
    report = Report(
        [], None, None, None, None, ["ls: status 1"], ["20,000 files back"], [], "python -m bench", "2026-01-01"
    )
    text = page(report._replace(note="Other work ran."))
    assert "- ls: status 1" in text
    assert "- 20,000 files back" in text
    assert "Other work ran." in text


def test_curves_have_a_point_for_every_value() -> None:
    """An SVG that parses, with two curves, higher for more seconds."""
    text = curves("Size & time", "MB", (1, 10, 100), {"ours": (1.0, 2.0, 3.0), "docker buildx": (2.0, 3.0, 3.9)})
    drawing = ET.fromstring(text)
    lines = [element.attrib["points"].split() for element in drawing.iter() if element.tag.endswith("polyline")]
    assert [len(points) for points in lines] == [3, 3]
    across = [float(point.split(",")[0]) for point in lines[0]]
    assert across[1] - across[0] == pytest.approx(across[2] - across[1])
    heights = [float(point.split(",")[1]) for point in lines[0]]
    assert heights == sorted(heights, reverse=True)


def test_a_listing_is_what_sha256sum_makes(tmp_path: Path) -> None:
    """The sum that a daemon would write of the same folder."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("1\n")
    (tmp_path / "a.b").write_text("2\n")
    command = [
        "sh",
        "-c",
        f"cd {tmp_path} && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum >/dev/stderr",
    ]
    with pytest.raises(BenchError) as shown:
        timed_at_once([["sh", "-c", f"{command[-1]}; exit 1"]], os.environ, tmp_path)
    assert same.listing_sum(tmp_path) in str(shown.value)


def test_a_difference_is_named() -> None:
    """A file that one client left out; nothing at all is no agreement."""
    same.differing("folder", {"a": "1"}, {"a": "1"})
    with pytest.raises(BenchError, match="b is missing of ours, 2 of docker buildx's"):
        same.differing("folder", {"a": "1"}, {"a": "1", "b": "2"})
    with pytest.raises(BenchError, match="nothing to compare"):
        same.differing("folder", {}, {})


def test_layers_are_read_from_an_archive(tmp_path: Path) -> None:
    """By platform, through the index."""
    blobs = {
        "blobs/sha256/c": {"os": "linux", "architecture": "arm64", "history": []},
        "blobs/sha256/m": {"config": {"digest": "sha256:c"}, "layers": [{"digest": "sha256:l"}]},
        "index.json": {"manifests": [{"digest": "sha256:m"}]},
    }
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, value in blobs.items():
            data = json.dumps(value).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    assert same.layout_archive(tmp_path / "a.tar") == {"linux/arm64": "sha256:l"}


def test_contexts_are_as_large_as_they_are_told(tmp_path: Path) -> None:
    """And one file of them is changed, differently each time."""
    for plant, count in ((contexts.many, 200), (contexts.tree, 14), (contexts.text, 1)):
        folder = tmp_path / plant.__name__
        folder.mkdir()
        plant(folder, 0.01)
        assert sum(path.is_file() for path in folder.rglob("*")) == count
    before = same.folder_listing(tmp_path / "many")
    contexts.change_one(tmp_path / "many", "1")
    after = same.folder_listing(tmp_path / "many")
    assert [name for name in before if before[name] != after[name]] == ["d0/f0"]
    assert (tmp_path / "text" / "t0.txt").stat().st_size == 1 << 20


def test_every_target_gets_pods_of_every_platform() -> None:
    """Each choice is of the node's own pods, and keys choose differently."""
    chosen = planning.planned(3, 80)
    assert len(chosen) == 3 * 8
    assert all(len(pods) == 4 for pods in chosen)
    assert len({pods[0].name for pods in chosen}) > 8


def test_sums_are_part_of_the_decisions() -> None:
    """Both times are of the processor, and grow with the targets."""
    assert planning.seconds(2, 500, 1) > 0
    assert planning.sums_seconds(16, 500, 1) > planning.sums_seconds(1, 500, 1)


def test_cases_have_names_of_their_own() -> None:
    """The goals of cases are ratios, and cases over a link have one."""
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.goal for case in CASES)
    assert Case("a", "b", ("ls",)).line == Line()
