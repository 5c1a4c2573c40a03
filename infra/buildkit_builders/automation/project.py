"""A Pulumi project, and the stacks that it has."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation as auto

from buildclient.discovery.pulumi_state import ProjectFolder
from buildclient.net.proxy import redacted
from buildkit_builders.automation.stack import Stack
from buildkit_builders.automation.workspace import Workspace
from buildkit_builders.command import Command
from buildkit_builders.results import MissingStackError, StackError, explain

__all__ = ["Project"]

_log = logging.getLogger(__package__)

_STACK_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


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

    def stack(self, name: str, *, create: bool | None = None, program: auto.PulumiFn | None = None) -> Stack:
        """The stack `name`. With `create` it is made if missing; by default if it has a config file.

        `program` runs instead of the project's.

        Raises MissingStackError for a stack that is missing and not to be made, StackError.
        """
        workspace = self._workspace(program)
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
        return Stack(self, stack, workspace)

    @contextmanager
    def adopted(self, name: str, config: Mapping[str, Any]) -> Iterator[Stack]:
        """A stack that is made with this config, keys `builder:…`, for objects that are there: see `adoption`.

        Where the block fails before the stack has any object, stack and config are taken back. Raises StackError.
        """
        from buildkit_builders.adoption import restore_config, write_config

        if not _STACK_NAME.match(name):
            raise StackError(f"{name!r} is no name of a stack: give letters, digits, '.', '-' and '_'")
        file = self._config_file(name)
        there = name in self.stacks()
        before = write_config(file, config)
        try:
            yield self.stack(name, create=True)
        except BaseException:
            if not self._holds_something(name):
                try:
                    if not there:
                        with contextlib.suppress(auto.CommandError, StackError):
                            self._workspace().remove_stack(name, preserve_config=True)
                finally:
                    restore_config(file, before)
            raise

    def _holds_something(self, name: str) -> bool:
        try:
            deployment = self._workspace().export_stack(name).deployment or {}
        except (auto.CommandError, StackError):
            # No such stack, or nobody can say: then its config is not taken away.
            return name in self.stacks()
        return bool(deployment.get("resources"))

    def mend(self) -> tuple[str, ...]:
        """Take out of a backend of files what a kill left half-written and Pulumi stops at; returns the files.

        Beside each file of such a backend one named `….attrs` has its checksum. Pulumi does without that file, but not
        with an empty one (`EOF`), and it is written in place (gocloud.dev, blob/fileblob/attrs.go). States themselves
        are written beside their place and renamed.
        """
        found = ProjectFolder.find(str(self.folder), {**os.environ, **self._environment})
        states = found.state_folder() if found else None
        if states is None:
            return ()
        root = next((one for one in [Path(states), *Path(states).parents] if one.name == ".pulumi"), Path(states))
        empty = [
            one for part in ("stacks", "locks") for one in (root / part).rglob("*.attrs") if not one.stat().st_size
        ]
        for one in empty:
            one.unlink(missing_ok=True)
        return tuple(map(str, empty))

    def stacks(self) -> list[str]:
        """The names of the project's stacks, in order."""
        with explain("the list of stacks"):
            return sorted(summary.name for summary in self._workspace().list_stacks())

    def stacks_in_use(self) -> list[str]:
        """The names of those stacks that have resources, or of which the backend does not say."""
        with explain("the list of stacks"):
            found = self._workspace().list_stacks()
        return sorted(one.name for one in found if one.resource_count != 0)

    def selected(self) -> str | None:
        """The stack that `pulumi stack select` chose, if any."""
        with explain("the list of stacks"):
            return next((summary.name for summary in self._workspace().list_stacks() if summary.current), None)

    def _workspace(self, program: auto.PulumiFn | None = None) -> Workspace:
        return Workspace(
            work_dir=str(self.folder),
            program=program or self._program,
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


def _backend(environ: Mapping[str, str]) -> str:
    """Where the state is, as far as it can be told without asking Pulumi."""
    url = environ.get("PULUMI_BACKEND_URL", "")
    if not url:
        return "that of Pulumi.yaml, else of `pulumi login`"
    return f"{url if url.startswith('file:') else redacted(url)} (PULUMI_BACKEND_URL)"
