"""SSH agents and keys that a build forwards: the texts of `--ssh`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_quoted
from buildclient.contract.patterns import pattern

__all__ = ["DEFAULT_SSH", "SshForward", "check_ssh", "is_git_ssh", "parse_ssh"]

DEFAULT_SSH = "default"
"""The id of `RUN --mount=type=ssh` without an id, and of Git over SSH."""
# BuildKit's util/sshutil/scpurl.go.
_SCP = pattern(r"[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:")


class SshForward(NamedTuple):
    """One `--ssh`: an id, and the agent's socket or the private keys that answer for it.

    SshForward("default")
    SshForward("deploy", ("keys/deploy", "keys/other"))
    """

    id: str = DEFAULT_SSH
    paths: tuple[str, ...] = ()
    """One socket of an agent, or files of private keys; if empty, the socket that SSH_AUTH_SOCK names."""


def parse_ssh(items: Iterable[str]) -> tuple[SshForward, ...]:
    """Parses `--ssh` texts such as `default` and `deploy=key.pem,other.pem`. Raises InvalidBuild for an id twice."""
    found = []
    for text in filter(None, items):
        name, equals, paths = text.partition("=")
        found.append(SshForward(name, tuple(paths.split(",")) if equals else ()))
    check_ssh(found)
    return tuple(found)


def check_ssh(forwards: Iterable[SshForward]) -> None:
    """Refuses an id that stands twice; an empty one is `default`. Raises InvalidBuild."""
    seen = set()
    for one in forwards:
        name = one.id or DEFAULT_SSH
        if name in seen:
            raise InvalidBuild(f"duplicate agent ID {go_quoted(name)}")
        seen.add(name)


def is_git_ssh(context: str) -> bool:
    """Returns whether a context is a Git repository over SSH, for which docker buildx forwards the default agent."""
    return context.lower().startswith("ssh://") or bool(_SCP.match(context))
