"""Drive stacks from a Python script: preview, up, refresh, drift, destroy, outputs; one stack or many at once.

Synchronous, on Pulumi's Automation API; in async code call it through `asyncio.to_thread`.

    from buildkit_builders.automation import Project

    dev = Project(".").stack("dev")
    if dev.preview().changes:
        print(dev.up().builder.nodes)

Many at once, with events as they come; what fails hides no other, and an interrupt leaves no stack locked:

    with start([project.stack(name) for name in project.stacks()], Stack.up, at_once=4) as run:
        for event in run:
            print(event.stack, event)
    failed = [one for one in run.outcomes.values() if one.error]

A project's own program needs Pulumi's Python language host, as `pulumi up` does; a function given as `program` runs
in this process and needs none. The user's selected stack stays selected.
"""

from buildkit_builders.automation.events import (
    Began,
    Ended,
    OnEvent,
    Outcome,
    Retrying,
    StackEvent,
    StepBegan,
    StepEnded,
    StepFailed,
    Told,
    Waiting,
)
from buildkit_builders.automation.many import Job, Run, each, start
from buildkit_builders.automation.project import Project
from buildkit_builders.automation.retries import NO_RETRY, Retry, is_transient
from buildkit_builders.automation.stack import OnOutput, Stack
from buildkit_builders.drift.compare import Field
from buildkit_builders.locks import LOCK_TIMEOUT, LockedError, StaleLockError
from buildkit_builders.results import Drift, MissingStackError, Preview, StackError, Step, Update

__all__ = [
    "LOCK_TIMEOUT",
    "NO_RETRY",
    "Began",
    "Drift",
    "Ended",
    "Field",
    "Job",
    "LockedError",
    "MissingStackError",
    "OnEvent",
    "OnOutput",
    "Outcome",
    "Preview",
    "Project",
    "Retry",
    "Retrying",
    "Run",
    "Stack",
    "StackError",
    "StackEvent",
    "StaleLockError",
    "Step",
    "StepBegan",
    "StepEnded",
    "StepFailed",
    "Told",
    "Update",
    "Waiting",
    "each",
    "is_transient",
    "start",
]
