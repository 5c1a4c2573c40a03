"""The action's inputs, which are those of docker/build-push-action, as a request.

An input is a variable `INPUT_NAME`. Lists are lines, or CSV; a value with a comma, a quote or a line break stands in
double quotes, as `getInputList` of docker/actions-toolkit reads it.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

from buildclient.base.errors import UsageError
from buildclient.discovery.where import Where
from buildclient.request.callmethod import CallMethod, parse_call
from buildclient.request.make import build_request
from buildclient.request.secrets import SecretEnv, SecretLike
from buildclient.request.values import BuildRequest

__all__ = ["MAX_INPUT", "PREFIX", "Inputs", "default_context"]

PREFIX = "INPUT_"
MAX_INPUT = 1 << 20
"""Characters of an input at most."""
_DEFAULT = "{{defaultContext}}"
_YES, _NO = ("true", "True", "TRUE"), ("", "false", "False", "FALSE")
_TOKEN = "GIT_AUTH_TOKEN"
"""The secret with which BuildKit clones (its source/git)."""


class Inputs:
    """Reads the inputs from the environment of a step. Every method raises UsageError, which names the input."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str:
        """Returns an input without spaces around it; empty where it is not given."""
        value = self._environ.get(PREFIX + name.upper().replace("-", "_"), "").strip()
        if len(value) > MAX_INPUT:
            raise UsageError(f"input {name}: more than {MAX_INPUT} characters")
        return value

    def switch(self, name: str) -> bool:
        """Returns a boolean of YAML 1.2."""
        value = self.text(name)
        if value not in _YES + _NO:
            raise UsageError(f"input {name}: expected true or false, got {value!r}")
        return value in _YES

    def items(self, name: str, *, commas: bool = True, quotes: bool = True) -> tuple[str, ...]:
        """Returns a list: its lines, with `commas` also the fields of a line, without `quotes` as they are."""
        text = self.text(name)
        if not quotes:
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        found: list[str] = []
        try:
            for record in csv.reader(io.StringIO(text, newline="")):
                found += [part for field in record for part in field.split(",")] if commas else [",".join(record)]
        except csv.Error as error:
            raise UsageError(f"input {name}: {error}") from None
        return tuple(item.strip() for item in found if item.strip())

    def where(self) -> Where:
        """Returns which builder is meant: `NAMESPACE/NAME`, or the address of a BuildKit."""
        builder = self.text("builder")
        if not builder:
            raise UsageError("input builder is missing", hint="name the builder's ConfigMap, as NAMESPACE/NAME")
        return Where(addr=(builder,)) if "://" in builder else Where(from_cluster=builder)

    def context(self) -> str:
        """Returns the build context: by default the commit of the workflow, as a Git URL."""
        context = self.text("context") or _DEFAULT
        return context.replace(_DEFAULT, default_context(self._environ)) if _DEFAULT in context else context

    def call(self) -> CallMethod | None:
        """Returns what the frontend is asked for instead of a build."""
        return parse_call(self.text("call"))

    def dockerfile(self) -> str:
        """Returns the Dockerfile's path in the repository, for annotations; empty where it is elsewhere."""
        given, context = self.text("file"), self.text("context") or _DEFAULT
        if context.startswith(_DEFAULT):
            folder = context.removeprefix(_DEFAULT).removeprefix(":")
        elif "://" in context or context == "-":
            return ""
        else:
            folder = "." if given else context
        path = os.path.normpath(os.path.join(folder, given or "Dockerfile"))
        if os.path.isabs(path):
            path = os.path.relpath(path, self._environ.get("GITHUB_WORKSPACE") or os.getcwd())
        return "" if path.startswith("..") or "://" in given else path

    def request(self) -> BuildRequest:
        """Returns the build."""
        from buildclient.daemon.provenance import metadata_mode

        environ = {name: value for name, value in self._environ.items() if not name.startswith(PREFIX)}
        request = build_request(
            self.context(),
            dockerfile=self.text("file"),
            target=self.text("target"),
            tags=self.items("tags"),
            platforms=self.items("platforms"),
            outputs=self.items("outputs", quotes=False),
            push=self.switch("push"),
            load=self.switch("load"),
            build_args=self.items("build-args", commas=False),
            labels=self.items("labels", commas=False),
            annotations=self.items("annotations", commas=False),
            build_contexts=self.items("build-contexts", commas=False),
            no_cache=self.switch("no-cache"),
            no_cache_filter=self.items("no-cache-filters"),
            pull=self.switch("pull"),
            attests=self.items("attests", commas=False),
            provenance=self.text("provenance"),
            sbom=self.text("sbom"),
            allow=self.items("allow"),
            add_hosts=self.items("add-hosts"),
            network=self.text("network"),
            shm_size=self.text("shm-size") or None,
            ulimits=self.items("ulimit", commas=False),
            cgroup_parent=self.text("cgroup-parent"),
            cache_from=self.items("cache-from", commas=False),
            cache_to=self.items("cache-to", commas=False),
            secrets=self._secrets(),
            ssh=self.items("ssh"),
            metadata_provenance=metadata_mode(environ.get("BUILDX_METADATA_PROVENANCE", "")),
            environ=environ,
        )
        call = self.call()
        return request._replace(call=call.name) if call else request

    def _secrets(self) -> dict[str, SecretLike]:
        found: dict[str, SecretLike] = {}
        for name, commas in (("secrets", False), ("secret-envs", True), ("secret-files", False)):
            for number, item in enumerate(self.items(name, commas=commas), 1):
                key, equals, value = item.partition("=")
                if not (key and equals and value):
                    # The item may be a secret.
                    raise UsageError(f"input {name}: item {number} is no ID=VALUE")
                found[key.strip()] = _secret(name, value)
        token = self.text("github-token")
        if token and not any(key.startswith(_TOKEN) for key in found) and self._is_own_commit():
            found[_TOKEN] = token.encode()
        return found

    def _is_own_commit(self) -> bool:
        return self.context().startswith(default_context(self._environ).partition("#")[0] + "#")


def _secret(name: str, value: str) -> SecretLike:
    if name == "secrets":
        return value.encode(errors="surrogateescape")
    return SecretEnv(value) if name == "secret-envs" else Path(value)


def default_context(environ: Mapping[str, str]) -> str:
    """Returns the Git URL of the workflow's commit; of a pull request its merge. Raises UsageError elsewhere."""
    repository, ref = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_REF", "")
    commit = environ.get("GITHUB_SHA", "")
    if not repository or not (ref or commit):
        raise UsageError("input context is missing, and GITHUB_REPOSITORY and GITHUB_SHA name no commit")
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    return f"{server}/{repository}.git#{ref if ref.startswith('refs/pull/') or not commit else commit}"
