"""The results of stack operations, typed, from Pulumi's engine events; and errors in one or two lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pulumi import automation as auto
from pulumi.automation import events as engine

from buildclient.contract.output import BuilderOutput, OutputError
from buildkit_builders.drift.compare import Field
from buildkit_builders.drift.observed import Observed
from buildkit_builders.locks import LockedError, StackError, locks_in
from buildkit_builders.reasons import Failed, failed_workload
from buildkit_builders.recorded import BUILDER_TYPE, NODE_TYPE, PROVIDER_TYPE

__all__ = [
    "CLUSTER",
    "Drift",
    "Events",
    "LockedError",
    "MissingStackError",
    "Preview",
    "StackError",
    "Step",
    "Update",
    "explain",
    "plain",
    "read_builder",
    "step_of",
]

CLUSTER = "cluster: "
"""How the line begins in which a program says where a builder goes."""
_QUIET = frozenset(["same", "read", "refresh"])
_COLOUR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")


class MissingStackError(StackError):
    """There is no stack of that name."""

    def __init__(self, stack: str, known: Sequence[str], config: Path) -> None:
        """`known` are the stacks that there are; with a file `config` the stack would be made."""
        super().__init__(f"there is no stack {stack}; there are: {', '.join(known) or 'none'}")
        self.stack = stack
        self.config = config


class Step(NamedTuple):
    """The change of one resource."""

    operation: str
    """Pulumi's word: create, update, delete, replace, …"""
    type: str
    name: str
    paths: tuple[str, ...]
    """The properties that differ, such as `spec.replicas`."""


class Preview(NamedTuple):
    """What an update would do."""

    stack: str
    steps: tuple[Step, ...]
    text: str
    """The preview as Pulumi prints it."""
    clusters: tuple[str, ...] = ()
    """The clusters that it concerns, as far as the stack's builders tell."""
    warnings: tuple[str, ...] = ()
    """What the stack's builders warn of, such as a namespace that would refuse the pods; a line each."""

    @property
    def changes(self) -> Mapping[str, int]:
        """How many resources each operation concerns; empty if nothing would change."""
        return Counter(step.operation for step in self.steps)


class Update(NamedTuple):
    """What was done."""

    stack: str
    steps: tuple[Step, ...]
    outputs: Mapping[str, Any]
    """The stack's outputs after an `up`; empty after a refresh or destroy."""
    seconds: float
    secret: frozenset[str] = frozenset()
    """The names of those outputs that are secrets; their values are in the clear here."""

    @property
    def changes(self) -> Mapping[str, int]:
        """How many resources each operation concerned; empty if nothing had to be done."""
        return Counter(step.operation for step in self.steps)

    @property
    def builder(self) -> BuilderOutput:
        """The builder that is up now. Raises StackError if the stack exports none."""
        if "builder" not in self.outputs:
            raise StackError(f"stack {self.stack} exports no output named builder")
        return read_builder(self.stack, self.outputs["builder"])


class Drift(NamedTuple):
    """Where the cluster differs from the state."""

    stack: str
    steps: tuple[Step, ...]
    """The resources that Pulumi finds changed (update) or gone (delete)."""
    fields: tuple[Field, ...] = ()
    """The fields that differ, among them those that somebody added by hand, which Pulumi does not see."""
    others: tuple[Field, ...] = ()
    """What is not drift: fields that another program set beside the stack's, and replicas that an autoscaler sets."""

    def __bool__(self) -> bool:
        return bool(self.steps or self.fields)


def step_of(metadata: engine.StepEventMetadata) -> Step | None:
    """The change of a resource that an event tells of; None where nothing changes."""
    operation = str(getattr(metadata.op, "value", metadata.op))
    if operation in _QUIET or _is_default_provider(metadata):
        return None
    paths = sorted({*(metadata.detailed_diff or {}), *(metadata.diffs or [])} - {""})
    return Step(operation, metadata.type, metadata.urn.rpartition("::")[2], tuple(paths))


def plain(text: str) -> str:
    """What the engine says, without its marks of colour."""
    return _COLOUR.sub("", text).strip()


def read_builder(stack: str, value: Any) -> BuilderOutput:
    """The builder in a stack's output. Raises StackError for a value that is none."""
    try:
        return BuilderOutput.from_json(value)
    except OutputError as error:
        raise StackError(f"stack {stack}: {error}") from None


class Events:
    """Gathers the engine's events of one operation."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, str], Step] = {}
        self._errors: list[str] = []
        self._clusters: dict[str, None] = {}
        self._warnings: dict[str, None] = {}
        self.failed: list[Failed] = []
        """Workloads whose step failed."""
        self.providers: dict[str, Mapping[str, Any]] = {}
        """Inputs of Kubernetes providers, by URN; secrets are left out."""
        self.observed = Observed()
        """The Kubernetes objects."""

    def add(self, event: engine.EngineEvent) -> None:
        """Take one event."""
        diagnostic = event.diagnostic_event
        if diagnostic and diagnostic.severity == "error" and not diagnostic.ephemeral:
            name = diagnostic.urn.rpartition("::")[2] if diagnostic.urn else ""
            text = _COLOUR.sub("", diagnostic.message).strip()
            stack = not name or "pulumi:pulumi:Stack" in (diagnostic.urn or "")
            if text:
                self._errors.append(text if stack else f"{name}: {text}")
        if diagnostic and diagnostic.message.startswith(CLUSTER):
            self._clusters[_COLOUR.sub("", diagnostic.message).removeprefix(CLUSTER).strip()] = None
        if diagnostic and diagnostic.severity == "warning" and _is_builders(diagnostic.urn or ""):
            text = _COLOUR.sub("", diagnostic.message).removeprefix("warning: ").strip()
            self._warnings[f"{_type_and_name(diagnostic.urn or '')[1]}: {text}"] = None
        self.observed.add(event)
        for one in (event.resource_pre_event, event.res_outputs_event):
            if one and one.metadata:
                self._step(one.metadata)
                self._note_provider(one.metadata)
        if event.res_op_failed_event and (metadata := event.res_op_failed_event.metadata) and metadata.new:
            workload = failed_workload(metadata.type, metadata.new.inputs or {}, metadata.new.provider or "")
            self.failed += [workload] if workload else []

    def _note_provider(self, metadata: engine.StepEventMetadata) -> None:
        if metadata.type == PROVIDER_TYPE and metadata.new:
            self.providers[metadata.urn] = dict(metadata.new.inputs or {})

    def _step(self, metadata: engine.StepEventMetadata) -> None:
        step = step_of(metadata)
        if step is None:
            return
        # a refresh tells what it found only once it has looked
        known = self._steps.get((step.operation, metadata.urn))
        self._steps[step.operation, metadata.urn] = known if known and known.paths and not step.paths else step

    def clusters(self) -> tuple[str, ...]:
        """The clusters that the program's builders go to."""
        return tuple(self._clusters)

    def warnings(self) -> tuple[str, ...]:
        """What the program's builders warn of."""
        return tuple(self._warnings)

    def steps(self, *, without: Collection[str] = ()) -> tuple[Step, ...]:
        """The steps that change something, in the order in which they began; `without` are URNs to leave out."""
        return tuple(step for (_, urn), step in self._steps.items() if urn not in without)

    def step_keys(self) -> Collection[tuple[str, str]]:
        """The operation and URN of each step."""
        return self._steps.keys()

    def steps_with(self, fields: Iterable[Field]) -> tuple[Step, ...]:
        """The steps, and an update of each object with `fields` that has none."""
        return _with_fields(self._steps, fields)

    @staticmethod
    def steps_of(fields: Iterable[Field]) -> tuple[Step, ...]:
        """An update of each object with `fields`."""
        return _with_fields({}, fields)

    def errors(self) -> list[str]:
        """What went wrong, each thing once, without the lines that only say that something did."""
        told = [text for text in dict.fromkeys(self._errors) if not _is_echo(text)]
        return told or list(dict.fromkeys(self._errors))


def _with_fields(known: Mapping[tuple[str, str], Step], fields: Iterable[Field]) -> tuple[Step, ...]:
    steps = dict(known)
    for field in fields:
        urn = field.object.urn
        key = next((one for one in steps if one[1] == urn), ("update", urn))
        step = steps.setdefault(key, Step("update", *_type_and_name(urn), ()))
        if field.path and field.path not in step.paths and step.operation == "update":
            steps[key] = step._replace(paths=(*step.paths, field.path))
    return tuple(steps.values())


def _is_default_provider(metadata: engine.StepEventMetadata) -> bool:
    """Whether a step is of a provider that the engine makes for itself; Pulumi's own display leaves them out too."""
    return metadata.type.startswith("pulumi:providers:") and metadata.urn.rpartition("::")[2].startswith("default")


def _is_builders(urn: str) -> bool:
    """Whether a URN is a builder's or a node's own."""
    return _type_and_name(urn)[0] in (BUILDER_TYPE, NODE_TYPE)


def _type_and_name(urn: str) -> tuple[str, str]:
    """Of a URN `urn:pulumi:stack::project::parent$type::name`; both are empty for a text that is none."""
    before, _, name = urn.rpartition("::")
    return before.rpartition("::")[2].rpartition("$")[2], name


def _is_echo(text: str) -> bool:
    return text.startswith(("update failed", "preview failed", "an unhandled error occurred", "Program exited"))


@contextmanager
def explain(what: str = "", events: Events | None = None, *, stack: str = "") -> Iterator[None]:
    """Turns what the Automation API raises into a StackError that begins with `what`; `stack` is for advice."""
    head = f"{what}: " if what else ""
    try:
        yield
    except auto.ConcurrentUpdateError as error:
        raise LockedError(what, stack, locks_in(str(error))) from None
    except auto.CommandError as error:
        if isinstance(error, auto.StackNotFoundError) and events is None:
            raise
        told = "\n".join(events.errors() if events else []) or _last_line(str(error))
        raise StackError(head + told + _advice(told)) from None
    except auto.InvalidVersionError as error:
        raise StackError(f"{head}{error}") from None
    except FileNotFoundError as error:
        if error.filename == "pulumi" or "pulumi" in str(error):
            raise StackError(
                "there is no Pulumi CLI on PATH; see https://www.pulumi.com/docs/iac/download-install/"
            ) from None
        raise


def _advice(told: str) -> str:
    """What to do about the errors that newcomers meet."""
    if 'no matches for kind "Certificate"' in told:
        return "\ninstall cert-manager, or give endpoint.secret instead of endpoint.issuer"
    if "failed to read resource state due to unreachable cluster" in told:
        return "\na look at what is recorded of it needs no cluster: builders preview --no-refresh"
    missing = re.search(r'namespaces "([^"]+)" not found', told)
    if not missing:
        return ""
    return f"\nmake it: kubectl create namespace {missing[1]}; or set builder:createNamespace: true"


def _last_line(text: str) -> str:
    """The line that says why, out of the output of a failed command."""
    lines = [line.strip().removeprefix("stderr: ") for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["Pulumi failed without a word"])[-1].removeprefix("error:").strip()
