"""Stack outputs of a Pulumi project: read from a file backend's state, else asked of the Pulumi CLI.

Starting Pulumi takes a second, reading a file none; so states of file backends are read as they lie there, and what
the CLI says of a state that cannot be read so (packed with zstd, or a secret) is kept until that file changes, and
what it says of other backends for a minute. No Pulumi library is imported.

Reference: pkg/backend/diy, pkg/backend/state and pkg/workspace of pulumi/pulumi 3.259.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.base.files import read_bounded, replace_whole
from buildclient.contract.jsontext import read_json
from buildclient.contract.patterns import pattern

__all__ = ["ProjectFolder"]

_LOG = logging.getLogger("buildclient.discovery")
_FILES = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_NAME = pattern(r"^[\"']?name[\"']?\s*:\s*[\"']?([A-Za-z0-9_.-]+)", re.MULTILINE)
_BACKEND = pattern(r"^backend\s*:\s*\n\s+url\s*:\s*[\"']?([^\s\"']+)", re.MULTILINE)
_CONFIG_FOLDER = pattern(r"^stackConfigDir\s*:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
_CONFIG = pattern(r"Pulumi\.(.+)\.(?:yaml|yml|json)")
_OUTPUT = "builder"
_SECRET = "4dabf18193072939515e22adb298388d"
"""The member by which Pulumi marks a wrapped value: a secret's ciphertext."""
_FILE_URL = "file://"
_SUFFIXES = (".json", ".json.gz", ".json.zst")
_STATE = pattern(r"(.+)\.json(?:\.gz|\.zst)?")
_CACHE_TTL = 60.0
"""Seconds that an answer of the CLI is kept."""
_CLI_TIMEOUT = 60.0
"""Seconds; the backend may be far away."""
_MAX_STATE = 256 << 20
"""Bytes of a stack's state."""


class ProjectFolder:
    """A Pulumi project on disk."""

    def __init__(self, path: str, text: str, environ: Mapping[str, str]) -> None:
        """`path` is the project file, `text` its contents."""
        settings = _json(text) if path.endswith(".json") else {}
        name, url = _NAME.search(text), _BACKEND.search(text)
        self.name = str(settings.get("name") or (name and name.group(1)) or os.path.basename(os.path.dirname(path)))
        self._path = path
        folder = _CONFIG_FOLDER.search(text)
        configs = str(settings.get("stackConfigDir") or (folder and folder.group(1)) or "")
        self._configs = os.path.join(os.path.dirname(path), configs)
        self._environ = dict(environ)
        backend = settings.get("backend")
        configured = str(backend.get("url") or "") if isinstance(backend, dict) else url.group(1) if url else ""
        self._backend = environ.get("PULUMI_BACKEND_URL") or configured

    @classmethod
    def find(cls, folder: str, environ: Mapping[str, str]) -> ProjectFolder | None:
        """The project in a folder (the working directory if empty) or above it; None where there is none."""
        here = os.path.abspath(folder or os.getcwd())
        while True:
            for name in _FILES:
                path = os.path.join(here, name)
                if os.path.isfile(path):
                    return cls(path, read_bounded(path).decode(errors="replace"), environ)
            parent = os.path.dirname(here)
            if parent == here:
                return None
            here = parent

    def selected(self) -> str:
        """The name of the stack selected for this project and backend; empty if none is."""
        if named := self._environ.get("PULUMI_STACK", ""):
            return named.rpartition("/")[2]
        digest = hashlib.sha1(self._path.encode(), usedforsecurity=False).hexdigest()
        settings = _object(os.path.join(self._home(), "workspaces", f"{self.name}-{digest}-workspace.json"))
        # Pulumi before 3.250 kept one selection for all backends.
        stacks = settings.get("stacks")
        chosen = stacks.get(self._url()) if isinstance(stacks, dict) else None
        return str(chosen or settings.get("stack") or "").rpartition("/")[2]

    def stacks(self) -> list[str]:
        """The names of all stacks. Raises UnreachableError when the backend can't be asked."""
        folder = self._folder()
        if folder is None:
            listed = self._ask("stack", "ls", "--json")
            return [str(stack.get("name", "")).rpartition("/")[2] for stack in listed if isinstance(stack, dict)]
        found = {match.group(1) for name in _listed(folder) if (match := _STATE.fullmatch(name))}
        return sorted(found)

    def stacks_on_disk(self) -> list[str]:
        """Names of stacks that are known without asking the Pulumi CLI: by state, config file, or its last answer."""
        folder = self._folder()
        states = (_STATE.fullmatch(name) for name in (_listed(folder) if folder else ()))
        configs = (_CONFIG.fullmatch(name) for name in _listed(self._configs))
        asked = self._last_answer("stack", "ls", "--json") if folder is None else None
        names = {match.group(1) for match in (*states, *configs) if match}
        for stack in asked if isinstance(asked, list) else ():
            names.add(str(stack.get("name", "") if isinstance(stack, dict) else "").rpartition("/")[2])
        return sorted(names - {""})

    def outputs_on_disk(self) -> list[Any]:
        """The outputs `builder`, unchecked, that are known without asking the Pulumi CLI."""
        found = []
        for stack in self.stacks_on_disk():
            folder = self._folder()
            path = _newest([os.path.join(folder, stack + suffix) for suffix in _SUFFIXES]) if folder else ""
            with contextlib.suppress(ConfigurationError):
                if path and not path.endswith(".zst"):
                    found.append(_state_output(path))
                else:
                    question = ("stack", "output", _OUTPUT, "--json", "--show-secrets", "--stack", stack)
                    found.append(self._last_answer(*question, *_identity(path)))
        return [output for output in found if output is not None]

    def output(self, stack: str) -> Any:
        """The stack's output `builder`; None when it has none. Raises UnreachableError for a stack that is not there.

        `stack` may be qualified, `organization/project/stack`.
        """
        name = stack.rpartition("/")[2]
        folder = self._folder()
        if folder is None:
            return self._asked(stack, ())
        path = _newest([os.path.join(folder, name + suffix) for suffix in _SUFFIXES])
        if not path:
            known = ", ".join(self.stacks()) or "none"
            raise ConfigurationError(f'project {self.name} has no stack "{name}" in {folder} (stacks: {known})')
        _LOG.debug("state file %s", path)
        if not path.endswith(".zst"):
            value = _state_output(path)
            if not (isinstance(value, dict) and value.get(_SECRET)):
                return value
        # Only Pulumi unpacks and decrypts; its answer holds as long as the state's file.
        return self._asked(name, _identity(path))

    def _asked(self, stack: str, state: tuple[str, ...]) -> Any:
        try:
            # Just the one output: the others may be secrets, which must not be kept.
            return self._ask("stack", "output", _OUTPUT, "--json", "--show-secrets", "--stack", stack, state=state)
        except UnreachableError as error:
            if "does not have output property" in str(error):
                return None
            raise

    def state_folder(self) -> str | None:
        """The folder with the states of the project's stacks; None for a backend that is not one of files."""
        return self._folder()

    def _url(self) -> str:
        """The backend's URL; empty for Pulumi's own cloud, never logged in to."""
        return self._backend or str(_object(os.path.join(self._credentials(), "credentials.json")).get("current") or "")

    def _folder(self) -> str | None:
        """The folder with the states of a file backend's project; None for any other backend."""
        url = self._url()
        if not url.startswith(_FILE_URL):
            return None
        # Pulumi drops query and fragment, and reads escapes.
        path = unquote(re.split("[?#]", url[len(_FILE_URL) :], maxsplit=1)[0])
        if path.startswith("~"):
            path = os.path.join(self._environ.get("HOME") or os.path.expanduser("~"), path[2:])
        stacks = os.path.join(os.path.abspath(path), ".pulumi", "stacks")
        scoped = os.path.join(stacks, self.name)
        # Before 3.61, and where told to stay so, states lay there without project.
        return (
            scoped if os.path.isdir(scoped) or not any(_STATE.fullmatch(name) for name in _listed(stacks)) else stacks
        )

    def _credentials(self) -> str:
        return self._environ.get("PULUMI_CREDENTIALS_PATH") or self._home()

    def _home(self) -> str:
        home = self._environ.get("HOME") or os.path.expanduser("~")
        return self._environ.get("PULUMI_HOME") or os.path.join(home, ".pulumi")

    def _ask(self, *arguments: str, state: tuple[str, ...] = ()) -> Any:
        """An answer of the Pulumi CLI, in JSON. Raises UnreachableError.

        An answer is kept: with `state` (what the answer was made from) until that changes, else for a short while.
        """
        kept = self._kept((*arguments, *state))
        with contextlib.suppress(OSError, ValueError):
            made = os.stat(kept).st_mtime
            if state or (time.time() - made < _CACHE_TTL and made > os.stat(self._path).st_mtime):
                answer = read_json(read_bounded(kept))
                _LOG.debug("pulumi %s: kept answer of %.0f s ago", " ".join(arguments), time.time() - made)
                return answer
        answer = self._run(arguments)
        # A cache that cannot be written is no reason to fail.
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
            handle = os.open(os.path.dirname(kept), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                replace_whole(handle, os.path.basename(kept), json.dumps(answer).encode(), 0o600)
            finally:
                os.close(handle)
        return answer

    def _last_answer(self, *question: str) -> Any:
        """An answer of the CLI that was kept, however old; None where there is none."""
        with contextlib.suppress(OSError, ValueError), open(self._kept(question), encoding="utf-8") as source:
            return read_json(source.read())
        return None

    def _kept(self, key: tuple[str, ...]) -> str:
        """The file of a kept answer."""
        home = self._environ.get("HOME") or os.path.expanduser("~")
        cache = self._environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
        name = hashlib.sha256("\0".join([self._path, self._url(), *key]).encode()).hexdigest()
        return os.path.join(cache, "buildkit-builders", "outputs", name)

    def _run(self, arguments: tuple[str, ...]) -> Any:
        from buildclient.base.helper import HelperError, run_helper

        command = f"pulumi {' '.join(arguments)}"
        try:
            answer = run_helper(
                ["pulumi", "--non-interactive", *arguments],
                environ=self._environ,
                timeout=_CLI_TIMEOUT,
                log=_LOG,
                called=command,
                folder=os.path.dirname(self._path),
            )
        except HelperError as error:
            if error.missing:
                raise ConfigurationError("the stack's backend needs the Pulumi CLI, which is not on PATH") from None
            raise UnreachableError(f"{command} {error}") from None
        if answer.status:
            raise UnreachableError(f"{command}: {answer.last_line or 'failed'}")
        try:
            return read_json(answer.stdout)
        except ValueError:
            raise UnreachableError(f"{command} printed no JSON") from None


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _newest(paths: Sequence[str]) -> str:
    """The path changed last of those that are there; empty if none is. (Pulumi leaves the old form beside the new.)"""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            found.append((os.stat(path).st_mtime_ns, path))
    return max(found)[1] if found else ""


def _identity(path: str) -> tuple[str, ...]:
    """What changes when the file does; empty for no path."""
    if not path:
        return ()
    facts = os.stat(path)
    return path, str(facts.st_mtime_ns), str(facts.st_size), str(facts.st_ino)


def _object(path: str) -> Mapping[str, Any]:
    """A file's JSON object; empty where there is none."""
    try:
        return _json(read_bounded(path).decode())
    except (OSError, UnicodeDecodeError):
        return {}


def _json(text: str) -> Mapping[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        value = read_json(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _state_output(path: str) -> Any:
    """Output `builder` of a state file; None when the stack has none. Raises UnreachableError."""
    import zlib

    try:
        data = read_bounded(path, _MAX_STATE)
        # gzip's header, whatever the name says; an empty state is a stack that was only made.
        if data[:2] == b"\x1f\x8b":
            data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, _MAX_STATE + 1)
        state = read_json(data or b"{}", size=_MAX_STATE)
        latest = (state.get("checkpoint") or {}).get("latest") or {}
        for resource in latest.get("resources") or ():
            if resource.get("type") == "pulumi:pulumi:Stack":
                return (resource.get("outputs") or {}).get(_OUTPUT)
    except (OSError, zlib.error, ValueError, AttributeError, TypeError):
        raise ConfigurationError(f"the state {path} cannot be read") from None
    return None
