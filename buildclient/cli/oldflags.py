"""Flags of docker build from before BuildKit: those that do nothing, and those that are `--resource` by older names.

docker buildx 0.38 hides them all. It warns of three that do nothing, in the words that stand here, and says nothing of
the others.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["IGNORED", "LIMITS", "SWITCHES", "limits", "warnings"]

_IGNORED = "is ignored:"
IGNORED: Mapping[str, str] = {
    "--compress": f"--compress {_IGNORED} only what changed of a context is sent.",
    "--force-rm": f"--force-rm {_IGNORED} BuildKit leaves no intermediate container.",
    "--isolation": "isolation flag is deprecated with BuildKit.",
    "--rm": f"--rm {_IGNORED} BuildKit leaves no intermediate container.",
    "--security-opt": 'security-opt flag is deprecated. "RUN --security=insecure" should be used with BuildKit.',
    "--squash": "experimental flag squash is removed with BuildKit. "
    "You should squash inside build using a multi-stage Dockerfile for efficiency.",
}
"""Flags that do nothing, and what is said of each when it is given."""
SWITCHES = frozenset(("--compress", "--force-rm", "--rm", "--squash"))
"""Those of them that take no value."""
LIMITS: Mapping[str, tuple[str, ...]] = {
    "--memory": ("-m",),
    "--memory-swap": (),
    "--cpu-shares": ("-c",),
    "--cpu-period": (),
    "--cpu-quota": (),
    "--cpuset-cpus": (),
    "--cpuset-mems": (),
}
"""Flags that set what `--resource NAME=VALUE` sets, with their short forms."""


def warnings(flags: Mapping[str, object]) -> list[str]:
    """What is to be said of those that were given; `flags` are by the names that click knows them by."""
    return [text for name, text in IGNORED.items() if flags.get(_key(name))]


def limits(flags: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The limits that were given, as texts `NAME=VALUE`."""
    return [f"{name[2:]}={value}" for name in LIMITS for value in flags[_key(name)]]


def _key(name: str) -> str:
    return name[2:].replace("-", "_")
