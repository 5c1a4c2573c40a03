"""What happens to stacks while they are worked on, as typed events; one union for one stack and for many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from pulumi.automation import events as engine

from buildkit_builders.results import StackError, Step, plain, step_of

__all__ = [
    "Began",
    "Ended",
    "OnEvent",
    "Outcome",
    "Retrying",
    "StackEvent",
    "StepBegan",
    "StepEnded",
    "StepFailed",
    "Told",
    "Waiting",
    "event_of",
]

T_co = TypeVar("T_co", covariant=True)

_SEVERITIES: dict[str, Literal["info", "warning", "error"]] = {
    "info": "info",
    "info#err": "info",
    "warning": "warning",
    "error": "error",
}


class Outcome(NamedTuple, Generic[T_co]):
    """How the work on one stack of many ended: with a result, or an error, or `cancelled`."""

    stack: str
    result: T_co | None
    error: StackError | None
    attempts: int
    """How often it was tried; 0 if it was cancelled before it began."""
    seconds: float
    cancelled: bool = False
    """Whether it was interrupted, or not begun because of an interrupt."""


class Began(NamedTuple):
    """The work on a stack has begun."""

    stack: str


class StepBegan(NamedTuple):
    """The change of a resource has begun; in a preview it would be made."""

    stack: str
    step: Step


class StepEnded(NamedTuple):
    """A resource is changed."""

    stack: str
    step: Step


class StepFailed(NamedTuple):
    """The change of a resource failed; the reason comes as an event `Told`."""

    stack: str
    step: Step


class Told(NamedTuple):
    """What the program or a provider says."""

    stack: str
    severity: Literal["info", "warning", "error"]
    resource: str
    """The resource's name; empty for the stack itself."""
    text: str


class Waiting(NamedTuple):
    """Another operation holds the stack's lock, or something else must end first."""

    stack: str
    text: str
    """For what it waits, and how long."""


class Retrying(NamedTuple):
    """A failure that may pass: it is tried again."""

    stack: str
    attempt: int
    """The number of the next try, 2 or more."""
    pause: float
    """Seconds until then."""
    error: StackError


class Ended(NamedTuple):
    """The work on a stack has ended: its last event."""

    stack: str
    outcome: Outcome[Any]


StackEvent: TypeAlias = Began | StepBegan | StepEnded | StepFailed | Told | Waiting | Retrying | Ended
OnEvent = Callable[[StackEvent], Any]
"""Called with each event, in the thread that reads them from Pulumi; it must not block."""


def event_of(stack: str, event: engine.EngineEvent) -> StackEvent | None:
    """The typed event of one of Pulumi's; None for one that tells of no change."""
    told = event.diagnostic_event
    if told and not told.ephemeral and (severity := _SEVERITIES.get(told.severity)) and (text := plain(told.message)):
        urn = told.urn or ""
        name = "" if "pulumi:pulumi:Stack" in urn else urn.rpartition("::")[2]
        return Told(stack, severity, name, text)
    for one, kind in (
        (event.resource_pre_event, StepBegan),
        (event.res_outputs_event, StepEnded),
        (event.res_op_failed_event, StepFailed),
    ):
        if one and one.metadata and (step := step_of(one.metadata)):
            return kind(stack, step)
    return None
