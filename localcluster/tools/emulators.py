"""QEMU's user-mode emulators and the lines that register them with the kernel, as Debian ships both."""

from __future__ import annotations

from pathlib import Path

from localcluster.instance import cache_folder
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
    """The line for `binfmt_misc/register`, with a path of the interpreter inside of the cache.

    Also where the package is installed: by the path `down` tells our entry from the machine's own.
    """
    interpreter = _root() / f"usr/libexec/qemu-binfmt/{name}-binfmt-P"
    if not interpreter.is_relative_to(cache_folder()):
        link = cache_folder() / "emulators" / interpreter.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(interpreter)
        interpreter = link
    return registration_in(name, str(interpreter))


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
