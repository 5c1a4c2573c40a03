"""Drive stacks from a Python script: preview, up, refresh, drift, destroy, outputs; one stack or many at once.

Synchronous, on Pulumi's Automation API; in async code call it through `asyncio.to_thread`.

    from buildkit_builders.automation import Project

    dev = Project(".").stack("dev")
    if dev.preview().changes:
        print(dev.up().builder.nodes)

A project's own program needs Pulumi's Python language host, as `pulumi up` does; a function given as `program` runs
in this process and needs none. The user's selected stack stays selected.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation as auto

from buildclient.contract.output import BuilderOutput
from buildclient.net.proxy import redacted
from buildkit_builders.command import Command, interrupt_all, interrupts, start_none_after
from buildkit_builders.destination import MOVE
from buildkit_builders.guard import check_clusters, clusters_in
from buildkit_builders.reasons import reasons_of
from buildkit_builders.results import (
    Drift,
    Events,
    MissingStackError,
    Preview,
    StackError,
    Update,
    explain,
    read_builder,
)

__all__ = ["Drift", "MissingStackError", "OnOutput", "Preview", "Project", "Stack", "StackError", "Update", "each"]

_log = logging.getLogger(__name__)

OnOutput = Callable[[str], Any]
"""Called with each line of Pulumi's progress."""


class Project:
    """A Pulumi project: `Project(".")` is the one in the working directory or above it."""

    def __init__(
        self,
        folder: str | Path = ".",
        *,
        program: auto.PulumiFn | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`program` runs instead of the project's own; `environment` is added to that of the Pulumi CLI.

        Raises StackError if there is no Pulumi.yaml in `folder` or above it, or no Pulumi CLI.
        """
        start = Path(folder).absolute()
        found = next((one for one in [start, *start.parents] if (one / "Pulumi.yaml").is_file()), None)
        if found is None:
            raise StackError(f"there is no Pulumi.yaml in {start} or above it; name the project's folder")
        self.folder = found
        _log.debug("project: %s", found)
        _log.debug("backend: %s", _backend({**os.environ, **(environment or {})}))
        self._program = program
        self._environment = dict(environment or {})
        with explain():
            self._command = Command()

    def stack(self, name: str, *, create: bool | None = None) -> Stack:
        """The stack `name`. With `create` it is made if missing; by default if it has a config file.

        Raises MissingStackError for a stack that is missing and not to be made, StackError.
        """
        workspace = self._workspace()
        if create is None:
            create = self._config_file(name).is_file()
        with explain(f"stack {name}"):
            try:
                stack = auto.Stack.select(name, workspace)
                _log.debug("stack: %s, there already", name)
            except auto.StackNotFoundError:
                if not create:
                    raise MissingStackError(name, self.stacks(), self._config_file(name)) from None
                stack = auto.Stack.create(name, workspace)
                _log.debug("stack: %s, made", name)
        return Stack(self, stack)

    def stacks(self) -> list[str]:
        """The names of the project's stacks, in order."""
        with explain("the list of stacks"):
            return sorted(summary.name for summary in self._workspace().list_stacks())

    def selected(self) -> str | None:
        """The stack that `pulumi stack select` chose, if any."""
        with explain("the list of stacks"):
            return next((summary.name for summary in self._workspace().list_stacks() if summary.current), None)

    def _workspace(self) -> auto.LocalWorkspace:
        return _Workspace(
            work_dir=str(self.folder),
            program=self._program,
            env_vars={"PULUMI_SKIP_UPDATE_CHECK": "true", **self._environment},
            pulumi_command=self._command,
        )

    def _config_file(self, stack: str) -> Path:
        # the SDK's own reading of Pulumi.yaml drops this key
        try:
            settings = yaml.safe_load((self.folder / "Pulumi.yaml").read_text())
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            settings = None  # Pulumi reports what is wrong with it
        folder = settings.get("stackConfigDir") if isinstance(settings, dict) else None
        return self.folder / str(folder or ".") / f"Pulumi.{stack}.yaml"


class Stack:
    """One stack, made by `Project.stack`. Every method raises StackError, in one or two lines, if Pulumi fails.

    stack = Project(".").stack("dev")
    if stack.preview().changes:
        stack.up()
    print(stack.outputs())
    """

    def __init__(self, project: Project, stack: auto.Stack) -> None:
        self.name = stack.name
        self.project = project
        self._stack = stack

    def preview(self, *, refresh: bool = False, move: bool = False, on_output: OnOutput | None = None) -> Preview:
        """Return what `up` would change: compared with the recorded state, or with the cluster if `refresh` is set."""
        events = Events()
        with self._moving(move), explain(f"preview of stack {self.name}", events):
            result = self._stack.preview(
                refresh=refresh, diff=True, color="never", on_output=on_output, on_event=events.add
            )
        return Preview(self.name, events.steps(), result.stdout, events.clusters())

    def up(self, *, refresh: bool = False, move: bool = False, on_output: OnOutput | None = None) -> Update:
        """Make the cluster as the program says, and wait until the pods are ready.

        With `move` a builder may go to another cluster than the one that it is in, and is deleted there.
        """
        with self._moving(move):
            return self._update(
                "update", lambda events: self._stack.up(refresh=refresh, on_output=on_output, on_event=events.add)
            )

    def refresh(self, *, on_output: OnOutput | None = None) -> Update:
        """Record the current state of the cluster in the stack's state."""
        rebind = self._check_clusters()
        return self._update(
            "refresh",
            lambda events: self._stack.refresh(run_program=rebind, on_output=on_output, on_event=events.add),
        )

    def drift(self, *, on_output: OnOutput | None = None) -> Drift:
        """Return where the cluster differs from the stack's state. Changes neither."""
        events, rebind = Events(), self._check_clusters()
        with explain(f"drift of stack {self.name}", events):
            self._stack.preview_refresh(run_program=rebind, color="never", on_output=on_output, on_event=events.add)
        return Drift(self.name, tuple(step for step in events.steps() if step.operation != "read"))

    def preview_destroy(self, *, on_output: OnOutput | None = None) -> Preview:
        """Return what `destroy` would delete."""
        events, rebind = Events(), self._check_clusters()
        with explain(f"preview of stack {self.name}", events):
            result = self._stack.preview_destroy(
                run_program=rebind, color="never", on_output=on_output, on_event=events.add
            )
        return Preview(self.name, events.steps(), result.stdout, self._clusters())

    def destroy(self, *, remove: bool = False, on_output: OnOutput | None = None) -> Update:
        """Delete all that the stack made; with `remove` also the stack itself, but not its config file."""
        rebind = self._check_clusters()
        destroyed = self._update(
            "destroy",
            lambda events: self._stack.destroy(run_program=rebind, on_output=on_output, on_event=events.add),
        )
        if remove:
            with explain(f"removal of stack {self.name}"):
                self._stack.workspace.remove_stack(self.name, preserve_config=True)
        return destroyed

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs; secrets are in plain text."""
        with explain(f"outputs of stack {self.name}"):
            return {name: output.value for name, output in self._stack.outputs().items()}

    def builder(self) -> BuilderOutput:
        """The builder that the stack made, for a build client. Raises StackError if it has none."""
        outputs = self.outputs()
        if "builder" not in outputs:
            raise StackError(f"stack {self.name} has no builder; bring it up first")
        return read_builder(self.name, outputs["builder"])

    @contextmanager
    def _moving(self, move: bool) -> Iterator[None]:
        variables = dict(self._stack.workspace.env_vars)
        self._stack.workspace.env_vars = {**variables, **({MOVE: "1"} if move else {})}
        try:
            yield
        finally:
            self._stack.workspace.env_vars = variables

    def _deployment(self) -> Mapping[str, Any] | None:
        with explain(f"state of stack {self.name}"):
            return self._stack.export_stack().deployment

    def _check_clusters(self) -> bool:
        """Raises StackError if the stack is in another cluster; returns whether its program must bind it anew."""
        return check_clusters(self.name, self._deployment(), self._environ())

    def _environ(self) -> Mapping[str, str]:
        return {**os.environ, **self._stack.workspace.env_vars}

    def _clusters(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(found.recorded.cluster) for found in clusters_in(self._deployment())))

    def _update(self, what: str, act: Callable[[Events], Any]) -> Update:
        events, started = Events(), time.monotonic()
        try:
            with explain(f"{what} of stack {self.name}", events):
                result = act(events)
        except StackError as error:
            lines = reasons_of(events.failed, events.providers, self._environ())
            raise StackError("\n  ".join([str(error), *lines])) from None
        _log.debug(
            "%s of stack %s: %d steps in %.1f s", what, self.name, len(events.steps()), time.monotonic() - started
        )
        outputs = getattr(result, "outputs", {})
        values = {name: output.value for name, output in outputs.items()}
        secret = frozenset(name for name, output in outputs.items() if output.secret)
        return Update(self.name, events.steps(), values, time.monotonic() - started, secret)


def each(stacks: Iterable[Stack], act: Callable[[Stack], Any], *, at_once: int = 8) -> dict[str, Any | StackError]:
    """Do one thing to many stacks at once: `each(stacks, Stack.preview)`.

    Returns {stack name: result}, with the StackError as the result of a stack that failed.
    """

    def one(stack: Stack) -> Any | StackError:
        try:
            return act(stack)
        except StackError as error:
            return error

    listed = list(stacks)
    workers = max(1, min(at_once, len(listed)))
    with ThreadPoolExecutor(workers, initializer=start_none_after, initargs=(interrupts(),)) as pool:
        try:
            return dict(zip([stack.name for stack in listed], pool.map(one, listed), strict=True))
        except KeyboardInterrupt:
            # only this thread gets the interrupt; the pool waits for the others, which start nothing new
            pool.shutdown(wait=False, cancel_futures=True)
            interrupt_all()
            raise


def _backend(environ: Mapping[str, str]) -> str:
    """Where the state is, as far as it can be told without asking Pulumi."""
    url = environ.get("PULUMI_BACKEND_URL", "")
    if not url:
        return "that of Pulumi.yaml, else of `pulumi login`"
    return f"{url if url.startswith('file:') else redacted(url)} (PULUMI_BACKEND_URL)"


class _Workspace(auto.LocalWorkspace):
    """A workspace that does not change the stack that the user has selected."""

    def select_stack(self, stack_name: str) -> None:
        self._run("stack", "--stack", stack_name, "--show-name")

    def create_stack(self, stack_name: str) -> None:
        self._run("stack", "init", stack_name, "--no-select")

    def _run(self, *arguments: str) -> None:
        self.pulumi_command.run([*arguments, "--non-interactive"], self.work_dir, dict(self.env_vars))
