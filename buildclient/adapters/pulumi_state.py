"""Stack outputs of a Pulumi project: read from a file backend's state, else asked of the Pulumi CLI.

Starting Pulumi takes a second, reading a file none; so states of file backends are read as they lie there, and what
the CLI says is kept until the project or the backend changes or a minute has passed. No Pulumi library is imported.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from buildclient.core.errors import UnreachableError

__all__ = ["Project"]

_FILES = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_NAME = re.compile(r"^[\"']?name[\"']?\s*:\s*[\"']?([A-Za-z0-9_.-]+)", re.MULTILINE)
_BACKEND = re.compile(r"^backend\s*:\s*\n\s+url\s*:\s*[\"']?([^\s\"']+)", re.MULTILINE)
_OUTPUT = "builder"
_KEEP = 60.0
"""Seconds that an answer of the CLI is kept."""
_CLI_TIMEOUT = 60.0


class Project:
    """A Pulumi project on disk."""

    def __init__(self, path: str, text: str, environ: Mapping[str, str]) -> None:
        """`path` is the project file, `text` its contents."""
        match = _NAME.search(text)
        self.name = match.group(1) if match else os.path.basename(os.path.dirname(path))
        self._path = path
        self._environ = dict(environ)
        configured = _BACKEND.search(text)
        self._backend = environ.get("PULUMI_BACKEND_URL") or (configured.group(1) if configured else "")

    @classmethod
    def find(cls, folder: str, environ: Mapping[str, str]) -> Project | None:
        """The project in a folder (the working directory if empty) or above it; None where there is none."""
        here = os.path.abspath(folder or os.getcwd())
        while True:
            for name in _FILES:
                path = os.path.join(here, name)
                if os.path.isfile(path):
                    with open(path, encoding="utf-8", errors="replace") as source:
                        return cls(path, source.read(), environ)
            parent = os.path.dirname(here)
            if parent == here:
                return None
            here = parent

    def selected(self) -> str:
        """The name of the selected stack; empty if none is."""
        if named := self._environ.get("PULUMI_STACK", ""):
            return named.rpartition("/")[2]
        digest = hashlib.sha1(self._path.encode(), usedforsecurity=False).hexdigest()
        path = os.path.join(self._home(), "workspaces", f"{self.name}-{digest}-workspace.json")
        try:
            with open(path, encoding="utf-8") as source:
                return str(json.load(source).get("stack") or "").rpartition("/")[2]
        except (OSError, ValueError):
            return ""

    def stacks(self) -> list[str]:
        """The names of all stacks. Raises UnreachableError when the backend can't be asked."""
        folder = self._folder()
        if folder is None:
            listed = self._ask("stack", "ls", "--json")
            return [str(stack["name"]).rpartition("/")[2] for stack in listed]
        try:
            names = os.listdir(os.path.join(folder, self.name))
        except OSError:
            return []
        return sorted({name.removesuffix(".gz").removesuffix(".json") for name in names if _is_state(name)})

    def output(self, stack: str) -> Any:
        """The stack's output `builder`; None when it has none. Raises UnreachableError where there is no such stack."""
        folder = self._folder()
        if folder is not None:
            for suffix in (".json", ".json.gz"):
                path = os.path.join(folder, self.name, stack + suffix)
                if os.path.exists(path):
                    return _state_output(path)
            known = ", ".join(self.stacks())
            if not os.path.exists(os.path.join(folder, self.name, f"{stack}.json.zst")):
                raise UnreachableError(f'project {self.name} has no stack "{stack}" (stacks: {known or "none"})')
        outputs = self._ask("stack", "output", "--json", "--stack", stack)
        return outputs.get(_OUTPUT) if isinstance(outputs, dict) else None

    def _folder(self) -> str | None:
        """The folder with the states of a file backend; None for any other."""
        url = self._backend or self._logged_in()
        if not url.startswith("file://"):
            return None
        path = (
            url[len("file://") :] if url.startswith("file://~") else unquote(urlsplit(url).netloc + urlsplit(url).path)
        )
        return os.path.join(os.path.abspath(os.path.expanduser(path)), ".pulumi", "stacks")

    def _logged_in(self) -> str:
        try:
            with open(os.path.join(self._home(), "credentials.json"), encoding="utf-8") as source:
                return str(json.load(source).get("current") or "")
        except (OSError, ValueError):
            return ""

    def _home(self) -> str:
        home = self._environ.get("HOME") or os.path.expanduser("~")
        return self._environ.get("PULUMI_HOME") or os.path.join(home, ".pulumi")

    def _ask(self, *arguments: str) -> Any:
        """An answer of the Pulumi CLI, in JSON. Raises UnreachableError."""
        kept = self._kept(arguments)
        try:
            if time.time() - os.stat(kept).st_mtime < _KEEP and os.stat(kept).st_mtime > os.stat(self._path).st_mtime:
                with open(kept, encoding="utf-8") as source:
                    return json.load(source)
        except (OSError, ValueError):
            pass
        answer = self._run(arguments)
        os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
        with open(f"{kept}.{os.getpid()}", "w", encoding="utf-8") as target:
            json.dump(answer, target)
        os.replace(f"{kept}.{os.getpid()}", kept)
        return answer

    def _kept(self, arguments: tuple[str, ...]) -> str:
        cache = self._environ.get("XDG_CACHE_HOME") or os.path.join(
            self._environ.get("HOME") or os.path.expanduser("~"), ".cache"
        )
        key = "\0".join([self._path, self._backend or self._logged_in(), *arguments])
        return os.path.join(cache, "buildkit-builders", "outputs", hashlib.sha256(key.encode()).hexdigest())

    def _run(self, arguments: tuple[str, ...]) -> Any:
        try:
            done = subprocess.run(
                ["pulumi", "--non-interactive", *arguments],
                cwd=os.path.dirname(self._path),
                env=self._environ,
                capture_output=True,
                timeout=_CLI_TIMEOUT,
                check=False,
            )
        except FileNotFoundError:
            raise UnreachableError("the stack's backend needs the Pulumi CLI, which is not on PATH") from None
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"pulumi {' '.join(arguments)} did not end within {_CLI_TIMEOUT:.0f} s") from None
        said = done.stderr.decode(errors="replace").strip().splitlines()
        if done.returncode:
            raise UnreachableError(f"pulumi {' '.join(arguments)}: {said[-1] if said else 'failed'}")
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise UnreachableError(f"pulumi {' '.join(arguments)} printed no JSON") from None


def _is_state(name: str) -> bool:
    return name.endswith((".json", ".json.gz"))


def _state_output(path: str) -> Any:
    """Output `builder` of a state file; None when the stack has none. Raises UnreachableError."""
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as source:
            state = json.load(source)
        resources = (state.get("checkpoint") or {}).get("latest") or {}
        for resource in resources.get("resources") or ():
            if resource.get("type") == "pulumi:pulumi:Stack":
                return (resource.get("outputs") or {}).get(_OUTPUT)
    except (OSError, ValueError, AttributeError):
        raise UnreachableError(f"the state {path} cannot be read") from None
    return None
