"""Opens the stacks of claims, and plans, applies and destroys many of them at once."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pulumi import automation as auto

from buildkit_builders.automation import (
    LOCK_TIMEOUT,
    Job,
    OnEvent,
    Preview,
    Project,
    Retry,
    Run,
    Stack,
    Update,
    Waiting,
    start,
)
from buildkit_builders.automation.recovery import destroy_recovering, up_recovering
from buildkit_builders.claims import Claim, Claims, Problem, Resolved, resolve
from buildkit_builders.claims.problem import ERROR
from buildkit_builders.fleet.namespaces import TeamNamespace, await_end, make_missing, team_namespaces
from buildkit_builders.fleet.program import claim_program
from buildkit_builders.results import StackError

__all__ = ["PROJECT", "Fleet", "Only", "write_project"]

PROJECT = "builder-claims"
"""The Pulumi project of all claims' stacks, where the platform's file names no other."""
_RETRY = Retry(times=2)


def write_project(folder: Path, project: str = PROJECT) -> None:
    """Makes a folder the project of claims' stacks, which has no program of its own."""
    text = f"name: {project}\nruntime: python\ndescription: The builders of claims.\n"
    (folder / "Pulumi.yaml").write_text(text)


class Only(NamedTuple):
    """The claims that are meant: all, a team's, or a single one."""

    team: str = ""
    name: str = ""

    def means(self, claim: Claim) -> bool:
        """Whether the claim is meant."""
        return self.names(claim.team, claim.name)

    def names(self, team: str, name: str) -> bool:
        """Whether the claim of this team and name is meant."""
        return self.team in ("", team) and self.name in ("", name)

    def concerns(self, problem: Problem) -> bool:
        """Whether a problem is of a claim that is meant, or of none in particular."""
        team, _, name = problem.claim.partition("/")
        return not team or (self.team in ("", team) and (not name or self.name in ("", name)))

    def has_stack(self, stack: str) -> bool:
        """Whether a stack without a claim is meant."""
        return stack == f"{self.team}-{self.name}" if self.name else not self.team or stack.startswith(f"{self.team}-")


class Fleet:
    """The stacks of claims. A context manager: it has a folder of its own for Pulumi's settings."""

    def __init__(
        self,
        claims: Claims,
        *,
        only: Only = Only(),  # noqa: B008 (it is a value)
        at_once: int = 4,
        program: Callable[[Resolved], auto.PulumiFn] = claim_program,
        project: str = PROJECT,
        today: date | None = None,
    ) -> None:
        """`only` narrows the claims, `at_once` is how many Pulumi processes run, `program` makes a stack's program.

        The state is where PULUMI_BACKEND_URL or `pulumi login` say. Raises StackError without a Pulumi CLI.
        """
        self.claims = claims
        self.only = only
        self._resolve = functools.partial(resolve, platform=claims.platform, today=today)
        self.resolved: Mapping[str, Resolved] = {
            claim.stack: self._resolve(claim) for claim in claims.claims if only.means(claim)
        }
        """The builders of the claims that are meant, by stack."""
        self.refused: Mapping[str, str] = _refused(claims, only)
        """The claims that are meant and were refused, as `team/name`, by stack: their builders may be there."""
        self._at_once, self._program = at_once, program
        self._folder = tempfile.TemporaryDirectory(prefix="builders-claims-")
        write_project(Path(self._folder.name), project)
        self._project = Project(self._folder.name)
        self._project.mend()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of the claims that are meant."""
        return tuple(filter(self.only.concerns, self.claims.problems))

    @property
    def unread(self) -> tuple[Problem, ...]:
        """Those errors among the problems that hide which claims there are."""
        rules = self.claims.platform.file
        return tuple(
            one for one in self.problems if one.severity == ERROR and one.file != rules and "/" not in one.claim
        )

    @functools.cached_property
    def made(self) -> frozenset[str]:
        """The stacks that hold something."""
        return frozenset(self._project.stacks_in_use())

    @functools.cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self._project.stacks())

    def gone(self) -> tuple[str, ...]:
        """The stacks that hold a builder whose claim is not there any more, in order.

        None of a claim that is there and has a problem, nor of a team whose file cannot be read.
        """
        return self._gone

    @functools.cached_property
    def _gone(self) -> tuple[str, ...]:
        kept, teams = _with_problems(self.claims)
        if "" in teams:
            return ()
        named = {claim.stack for claim in self.claims.claims} | kept
        unknown = tuple(f"{team}-" for team in teams)
        found = sorted(one for one in self.made - named if self.only.has_stack(one) and not one.startswith(unknown))
        if not self.only.team:
            return tuple(found)
        # a-b-c may be a's b-c or a-b's c: its state knows
        owners = self.outputs(one for one in found if one.count("-") > 1)
        return tuple(one for one in found if self._may_be_meant(owners.get(one)))

    def _may_be_meant(self, outputs: Mapping[str, Any] | StackError | None) -> bool:
        """Whether a builder without a claim is of those that are meant, or its state does not say whose it is."""
        facts = outputs.get("claim") if isinstance(outputs, Mapping) else None
        if not isinstance(facts, Mapping) or not facts.get("team"):
            return not isinstance(outputs, StackError)
        return self.only.names(str(facts["team"]), str(facts.get("name")))

    def namespaces(self) -> list[TeamNamespace]:
        """The namespaces that no single stack makes: `fleet.namespaces` makes those that are missing."""
        return list(self._shared.values())

    @functools.cached_property
    def _shared(self) -> Mapping[tuple[str, str], TeamNamespace]:
        limits = self.claims.platform.limits
        teams = {one.claim.team: limits.of(one.claim.team) for one in self.resolved.values()}
        meant = {(one.context, one.namespace) for one in self.resolved.values()}
        # with all the builders that share them
        every = map(self._resolve, self.claims.claims)
        found = team_namespaces((one for one in every if (one.context, one.namespace) in meant), teams)
        return {(one.context, one.name): one for one in found}

    def namespaces_in_state(self, stacks: Iterable[str]) -> list[TeamNamespace]:
        """The namespaces of builders whose claim is gone or refused, but for those where a good claim's builder is."""
        used = {(claim.context, claim.namespace) for claim in map(self._resolve, self.claims.claims)}
        found: dict[tuple[str, str], TeamNamespace] = {}
        for outputs in self.outputs(stacks).values():
            builder = outputs.get("builder") if isinstance(outputs, Mapping) else None
            if isinstance(builder, Mapping):
                context, name = str((builder.get("kubernetes") or {}).get("context", "")), str(builder["namespace"])
                found[context, name] = TeamNamespace(context, name, "", "")
        return [one for place, one in found.items() if place not in used]

    def plan(self) -> Run[Preview]:
        """What `apply` would change. Nothing is written: a new claim's stack is previewed in a backend of its own."""
        if self.resolved.keys() - self._names:
            _ = self._scratch  # here, not by several threads at once
        return start(self._jobs(self._new_or_old), Stack.preview, at_once=self._at_once, retry=_RETRY)

    def apply(
        self, stacks: Collection[str] | None = None, *, lock_timeout: float = LOCK_TIMEOUT, clear_locks: bool = False
    ) -> Run[Update]:
        """Make the builders as the claims say; those of `stacks` alone, if given. What fails hides no other.

        An apply that was interrupted or killed is taken up by the next one: see `automation.recovery`. A namespace that
        is being deleted is waited for, and made anew.
        """
        _ = self._shared  # here, not by several threads at once
        act = functools.partial(self._up, lock_timeout=lock_timeout, clear_locks=clear_locks)
        return start(self._jobs(self._to_make, stacks), act, at_once=self._at_once, retry=_RETRY)

    def _up(self, stack: Stack, *, on_event: OnEvent, lock_timeout: float, clear_locks: bool) -> Update:
        resolved = self.resolved[stack.name]
        shared = self._shared.get((resolved.context, resolved.namespace))
        namespace = shared or TeamNamespace(resolved.context, resolved.namespace, resolved.claim.team, "")
        if not await_end(namespace, lambda line: on_event(Waiting(stack.name, line))) and shared:
            for line in make_missing([shared]):
                on_event(Waiting(stack.name, line))
        return up_recovering(stack, on_event=on_event, lock_timeout=lock_timeout, clear_locks=clear_locks)

    def destroy(
        self, stacks: Iterable[str], *, lock_timeout: float = LOCK_TIMEOUT, clear_locks: bool = False
    ) -> Run[Update]:
        """Delete the builders of these stacks, and the stacks."""
        act = functools.partial(destroy_recovering, lock_timeout=lock_timeout, clear_locks=clear_locks)
        jobs = [Job(name, functools.partial(self._project.stack, name, create=False)) for name in stacks]
        return start(jobs, act, at_once=self._at_once, retry=_RETRY)

    def outputs(self, stacks: Iterable[str]) -> Mapping[str, Mapping[str, Any] | StackError]:
        """The outputs of stacks, or why they cannot be read."""

        def read(stack: Stack, *, on_event: object) -> dict[str, Any]:
            return stack.outputs()

        jobs = [Job(name, functools.partial(self._project.stack, name, create=False)) for name in stacks]
        found = start(jobs, read, at_once=self._at_once, retry=_RETRY).results()
        return {name: one.error or one.result or {} for name, one in found.items()}

    def _jobs(self, opened: Callable[[str], Stack], stacks: Collection[str] | None = None) -> list[Job]:
        names = [name for name in self.resolved if stacks is None or name in stacks]
        return [Job(name, functools.partial(opened, name)) for name in names]

    def _to_make(self, name: str) -> Stack:
        return self._project.stack(name, create=True, program=self._program(self.resolved[name]))

    def _new_or_old(self, name: str) -> Stack:
        if name in self._names:
            return self._to_make(name)
        return self._scratch.stack(name, create=True, program=self._program(self.resolved[name]))

    @functools.cached_property
    def _scratch(self) -> Project:
        state = Path(self._folder.name) / "state"
        state.mkdir(exist_ok=True)
        where = {"PULUMI_BACKEND_URL": f"file://{state}", "PULUMI_CONFIG_PASSPHRASE": "preview"}
        return Project(self._folder.name, environment={**where, "PULUMI_CONFIG_PASSPHRASE_FILE": ""})


def _refused(claims: Claims, only: Only) -> dict[str, str]:
    """The refused claims by stack. A stack that several claims name is one's own only where all of them are meant."""
    good = {one.stack for one in claims.claims}
    by_stack: dict[str, list[str]] = {}
    for one in claims.named:
        by_stack.setdefault(one.replace("/", "-", 1), []).append(one)
    return {
        stack: ids[0]
        for stack, ids in by_stack.items()
        if stack not in good and all(only.names(*one.split("/", 1)) for one in ids)
    }


def _with_problems(claims: Claims) -> tuple[frozenset[str], frozenset[str]]:
    """The stacks of claims that were refused, and the teams whose claims are not all known; "" for any team's."""
    stacks, teams = set(), set()
    for problem in claims.errors:
        team, slash, name = problem.claim.partition("/")
        if slash:
            stacks.add(f"{team}-{name}")
        else:
            teams.add(team)  # empty where a file, or the platform's, cannot be read
    return frozenset(stacks), frozenset(teams)
