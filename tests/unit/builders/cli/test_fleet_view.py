"""The progress of many stacks: lines that name their claim, and a block on a terminal."""

from __future__ import annotations

import pytest
from buildkit_builders.automation import (
    Began,
    Ended,
    Outcome,
    Retrying,
    StackError,
    Step,
    StepBegan,
    StepEnded,
    Told,
    Update,
    Waiting,
)
from buildkit_builders.cli.fleet_view import FleetView

STEP = Step("create", "kubernetes:apps/v1:Deployment", "main-deployment", ())
DONE = Outcome("payments-main", Update("payments-main", (STEP,), {}, 1.0), None, 1, 3.21)


def test_a_log_has_a_line_for_what_happened() -> None:
    """Steps when they are done, warnings, waits, retries and ends, each with its claim; a plugin's note is left out."""
    lines: list[str] = []
    view = FleetView(2, lambda stack: stack.replace("-", "/"), terminal=False, write=lines.append)
    for event in (
        Began("payments-main"),
        StepBegan("payments-main", STEP),
        StepEnded("payments-main", STEP),
        Told("payments-main", "warning", "", "using pulumi-resource-kubernetes from $PATH at /x"),
        Told("payments-main", "warning", "main", "namespace x refuses its pods"),
        Waiting("payments-main", "stack payments-main is locked by ada"),
        Retrying("payments-main", 2, 2.0, StackError("connection refused")),
        Ended("payments-main", DONE),
        Ended("search-main", Outcome("search-main", None, StackError("no quota\n  more"), 1, 1.0)),
    ):
        view.show(event)
    assert lines == [
        "payments/main: create main-deployment",
        "payments/main: WARNING: main: namespace x refuses its pods",
        "payments/main: stack payments-main is locked by ada",
        "payments/main: try 2 in 2 s, after: connection refused",
        "[1/2] payments/main: done in 3.2 s: 1 to create",
        "[2/2] search/main: FAILED in 1.0 s: no quota",
    ]


def test_a_terminal_shows_what_is_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    """One row a stack that is under way, redrawn in place, and gone at the end; what is done stays above."""
    lines: list[str] = []
    view = FleetView(2, terminal=True, write=lines.append, clock=iter(float(n) for n in range(100)).__next__)
    view.show(Began("payments-main"))
    view.show(StepBegan("payments-main", STEP))
    drawn = capsys.readouterr().err
    assert "0/2 done, 1 at work" in drawn
    assert "  payments-main: create main-deployment\n" in drawn
    assert "\x1b[2A\x1b[J" in drawn, "the second picture replaces the first"
    view.show(Ended("payments-main", DONE))
    view.close()
    assert lines == ["[1/2] payments-main: done in 3.2 s: 1 to create"]
    assert capsys.readouterr().err.endswith("\x1b[1A\x1b[J")
