"""QEMU's user-mode emulators and the lines that register them with the kernel, as Debian ships both."""

from __future__ import annotations

from pathlib import Path

from localcluster.tools import debian
from localcluster.tools.report import to_stderr

__all__ = ["EMULATED", "emulator_file", "registration", "registration_in", "with_interpreter"]

EMULATED = ("aarch64", "arm", "ppc64le", "riscv64", "s390x")
"""QEMU's names of the architectures that can be emulated here."""

_PACKAGE = "qemu-user-static"
_KEEP = tuple(
    pattern
    for name in EMULATED
    for pattern in (
        f"usr/bin/qemu-{name}-static",
        f"usr/libexec/qemu-binfmt/{name}-binfmt-P",
        f"usr/lib/binfmt.d/qemu-{name}.conf",
    )
)


def registration(name: str) -> str:
    """The line for `binfmt_misc/register`, with the path where the interpreter is on this machine."""
    return registration_in(name, str(_root() / f"usr/libexec/qemu-binfmt/{name}-binfmt-P"))


def registration_in(name: str, interpreter: str) -> str:
    """Debian's own line with an interpreter of that path."""
    return with_interpreter((_root() / f"usr/lib/binfmt.d/qemu-{name}.conf").read_text(), interpreter)


def with_interpreter(line: str, interpreter: str) -> str:
    """A line `:name:type:offset:magic:mask:interpreter:flags` with another interpreter (binfmt-misc.rst).

    Debian's flags are POF, and the interpreter's name ends in `-binfmt-P`: together they keep argv[0], without
    which a multi-call program such as busybox does not know which of its programs it should be.
    """
    before, _, flags = line.strip().rpartition(":")
    return f"{before.rpartition(':')[0]}:{interpreter}:{flags}"


def emulator_file(name: str) -> Path:
    """The emulator's static program."""
    return _root() / f"usr/bin/qemu-{name}-static"


def _root() -> Path:
    if all(Path("/", file).exists() for file in _KEEP):
        return Path("/")
    return debian.kept(_PACKAGE, (_PACKAGE,), _KEEP, to_stderr)
