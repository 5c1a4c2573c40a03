"""One stack: preview, up, refresh, drift, destroy, outputs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from pulumi import automation as auto
from pulumi.automation import events as engine

from buildclient.base.errors import UnreachableError
from buildclient.contract.output import BuilderOutput
from buildkit_builders.apis import api_by
from buildkit_builders.automation.events import OnEvent, Waiting, event_of
from buildkit_builders.automation.workspace import Workspace
from buildkit_builders.destination import MOVE, UPSERT
from buildkit_builders.drift.compare import Field
from buildkit_builders.drift.lookout import drift_of, planned, provider_inputs, to_repair
from buildkit_builders.drift.observed import Sight
from buildkit_builders.drift.repair import WORKLOADS, repair
from buildkit_builders.guard import check_clusters, clusters_in
from buildkit_builders.locks import LOCK_TIMEOUT, LockedError, when_free
from buildkit_builders.reasons import reasons_of
from buildkit_builders.results import Drift, Events, Preview, StackError, Update, explain, read_builder

if TYPE_CHECKING:
    from buildkit_builders.automation.project import Project

__all__ = ["OnOutput", "Stack"]

_log = logging.getLogger(__package__)

OnOutput = Callable[[str], Any]
"""Called with each line of Pulumi's progress, and of a wait for the stack's lock."""


class Stack:
    """One stack, made by `Project.stack`. Every method raises StackError, in one or two lines, if Pulumi fails.

    stack = Project(".").stack("dev")
    if stack.preview().changes:
        stack.up()
    print(stack.outputs())
    """

    def __init__(self, project: Project, stack: auto.Stack, workspace: Workspace) -> None:
        self.name = stack.name
        self.project = project
        self._stack = stack
        self._workspace = workspace

    def preview(
        self,
        *,
        refresh: bool = True,
        move: bool = False,
        on_output: OnOutput | None = None,
        on_event: OnEvent | None = None,
    ) -> Preview:
        """Return what `up` would change: compared with the cluster, or with the recorded state without `refresh`."""
        events, refreshing = Events(), self._refreshing(refresh, move)
        with self._moving(move), explain(f"preview of stack {self.name}", events):
            result = self._stack.preview(
                **refreshing, diff=True, color="never", on_output=on_output, on_event=self._heard(events, on_event)
            )
        steps = planned(events) if refreshing else events.steps()
        return Preview(self.name, steps, result.stdout, events.clusters(), events.warnings())

    def up(
        self,
        *,
        refresh: bool = True,
        move: bool = False,
        lock_timeout: float = LOCK_TIMEOUT,
        on_output: OnOutput | None = None,
        on_event: OnEvent | None = None,
    ) -> Update:
        """Make the cluster as the program says, and wait until the pods are ready.

        What was changed by hand is made good, unless `refresh` is False: then what is recorded of the cluster is taken
        for true. With `move` a builder may go to another cluster than the one that it is in, and is deleted there.
        While another operation holds the stack's lock this one waits, for at most `lock_timeout` seconds, and tells
        `on_output` who holds it; then it raises LockedError. So do `refresh` and `destroy`.
        """
        refreshing = self._refreshing(refresh, move)

        def update() -> tuple[Update, Events]:
            return self._update(
                "update",
                lambda events: self._stack.up(
                    **refreshing, on_output=on_output, on_event=self._heard(events, on_event)
                ),
                lock_timeout,
                on_output,
                on_event,
            )

        with self._moving(move):
            done, events = update()
            repaired = self._repair(to_repair(events), on_output) if refreshing else ()
            done = done._replace(steps=tuple(dict.fromkeys([*done.steps, *events.steps_of(repaired)])))
            if any(field.object.kind in WORKLOADS for field in repaired):
                last, _ = update()  # waits for the pods that the repair replaces
                steps = tuple(dict.fromkeys([*done.steps, *last.steps]))
                done = last._replace(steps=steps, seconds=done.seconds + last.seconds)
            return done

    def refresh(
        self, *, lock_timeout: float = LOCK_TIMEOUT, on_output: OnOutput | None = None, on_event: OnEvent | None = None
    ) -> Update:
        """Record the current state of the cluster in the stack's state."""
        rebind = self._check_clusters()
        done, _ = self._update(
            "refresh",
            lambda events: self._stack.refresh(
                run_program=rebind, on_output=on_output, on_event=self._heard(events, on_event)
            ),
            lock_timeout,
            on_output,
            on_event,
        )
        return done

    def drift(self, *, on_output: OnOutput | None = None, on_event: OnEvent | None = None) -> Drift:
        """Return where the cluster differs from the stack's state. Changes neither."""
        events, rebind = Events(), self._check_clusters()
        with explain(f"drift of stack {self.name}", events):
            self._stack.preview_refresh(
                run_program=rebind, color="never", on_output=on_output, on_event=self._heard(events, on_event)
            )
        return drift_of(self.name, events, api_by(events.providers, self._environ()))

    def preview_destroy(self, *, on_output: OnOutput | None = None, on_event: OnEvent | None = None) -> Preview:
        """Return what `destroy` would delete."""
        events, rebind = Events(), self._check_clusters()
        with explain(f"preview of stack {self.name}", events):
            result = self._stack.preview_destroy(
                run_program=rebind, color="never", on_output=on_output, on_event=self._heard(events, on_event)
            )
        return Preview(self.name, events.steps(), result.stdout, self._clusters())

    def destroy(
        self,
        *,
        remove: bool = False,
        lock_timeout: float = LOCK_TIMEOUT,
        on_output: OnOutput | None = None,
        on_event: OnEvent | None = None,
    ) -> Update:
        """Delete all that the stack made; with `remove` also the stack itself, but not its config file."""
        rebind = self._check_clusters()
        destroyed, _ = self._update(
            "destroy",
            lambda events: self._stack.destroy(
                run_program=rebind, on_output=on_output, on_event=self._heard(events, on_event)
            ),
            lock_timeout,
            on_output,
            on_event,
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

    def clear_lock(self) -> None:
        """Take the stack's lock from whoever holds it: only from one that has died."""
        with explain(f"lock of stack {self.name}"):
            self._stack.cancel()

    def take_pending(self, *, lock_timeout: float = LOCK_TIMEOUT) -> tuple[str, ...]:
        """Take from the state the operations that a killed Pulumi had begun and not recorded; returns their resources.

        What they made is in the cluster and not in the state: see `adopting`. An operation that is under way is waited
        for, since its operations are no one's to take; then LockedError is raised.
        """

        def take() -> list[Mapping[str, Any]]:
            with explain(f"state of stack {self.name}", stack=self.name):
                exported = self._stack.export_stack()
                state = dict(exported.deployment or {})
                found = state.pop("pending_operations", None) or []
                if found:
                    self._stack.import_stack(auto.Deployment(version=exported.version, deployment=state))
            return list(found)

        pending = when_free(take, lock_timeout)
        return tuple(str(one["resource"]["urn"]).rpartition("::")[2] for one in pending)

    @contextmanager
    def adopting(self) -> Iterator[None]:
        """Within the block objects that are to be made and are there already become the stack's."""
        with self._with_variables({UPSERT: "true"}):
            yield

    def _moving(self, move: bool) -> AbstractContextManager[None]:
        return self._with_variables({MOVE: "1"} if move else {})

    @contextmanager
    def _with_variables(self, more: Mapping[str, str]) -> Iterator[None]:
        variables = dict(self._stack.workspace.env_vars)
        self._stack.workspace.env_vars = {**variables, **more}
        try:
            yield
        finally:
            self._stack.workspace.env_vars = variables

    def _refreshing(self, refresh: bool, move: bool) -> dict[str, Any]:
        """Pulumi's arguments for a look at the cluster before a program runs.

        None while a builder moves, whose old cluster may be gone, nor if this machine leads to another cluster than the
        stack's: Pulumi would find everything deleted there, and record that before the program can object.
        """
        if not refresh or move or not (deployment := self._deployment()):
            return {}
        try:
            rebind = check_clusters(self.name, deployment, self._environ())
        except StackError:
            return {}
        return {"refresh": True, **({"run_program": True} if rebind else {})}

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

    def _heard(self, events: Events, on_event: OnEvent | None) -> Callable[[engine.EngineEvent], None]:
        def hear(event: engine.EngineEvent) -> None:
            events.add(event)
            if on_event and (typed := event_of(self.name, event)):
                on_event(typed)

        return hear

    def _update(
        self,
        what: str,
        act: Callable[[Events], Any],
        lock_timeout: float,
        on_output: OnOutput | None,
        on_event: OnEvent | None,
    ) -> tuple[Update, Events]:
        def waits(line: str) -> None:
            if on_output:
                on_output(line)
            if on_event:
                on_event(Waiting(self.name, line))

        began = time.monotonic()
        done, events = when_free(lambda: self._one_update(what, act), lock_timeout, waits)
        return done._replace(seconds=time.monotonic() - began), events

    def _one_update(self, what: str, act: Callable[[Events], Any]) -> tuple[Update, Events]:
        events, started = Events(), time.monotonic()
        try:
            with explain(f"{what} of stack {self.name}", events, stack=self.name):
                result = act(events)
        except LockedError:
            raise
        except StackError as error:
            lines = reasons_of(events.failed, events.providers, self._environ())
            raise StackError("\n  ".join([str(error), *lines])) from None
        seconds = time.monotonic() - started
        _log.debug("%s of stack %s: %d steps in %.1f s", what, self.name, len(events.steps()), seconds)
        outputs = getattr(result, "outputs", {})
        values = {name: output.value for name, output in outputs.items()}
        secret = frozenset(name for name, output in outputs.items() if output.secret)
        return Update(self.name, events.steps(), values, seconds, secret), events

    def _repair(self, sights: Sequence[Sight], on_output: OnOutput | None) -> tuple[Field, ...]:
        """Take back what was set by hand and Pulumi left; what cannot be is told, and stays."""
        if not sights:
            return ()
        with explain(f"state of stack {self.name}"):
            inputs = provider_inputs(self._workspace.export_with_secrets(self.name))
        api_of, repaired = api_by(inputs, self._environ()), list[Field]()
        for sight in sights:
            try:
                api = api_of(sight.provider)
                if api is None:
                    raise UnreachableError(f"cannot change {sight.object}: its cluster is not known here")
                repaired += repair(api, sight)
            except UnreachableError as error:
                if on_output:
                    on_output(f"WARNING: {error}; what was set by hand stays (builders drift shows it)")
        return tuple(repaired)
