"""The kernel's table of emulators (binfmt_misc), which belongs to the whole machine and not to a namespace.

Standard library only. On a machine that has it mounted, as every one with systemd, and on kernels before 6.7
anyway, an entry outlives the box in which it was made: what clusters registered is taken out with the last of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.instance import Instance, cache_folder
from localcluster.machine.command import run, succeeds

__all__ = ["INSTALLED", "available", "entries", "forget", "forget_ours", "load", "remember"]

INSTALLED = "/usr/libexec/buildkit-builders"
"""Where the interpreters lie in the installer's image: by this its entries are known."""
_TABLE = Path("/proc/sys/fs/binfmt_misc")
_MODULE = "binfmt_misc"
# In a mount namespace of its own, so that looking changes nothing. Arguments: prefixes of interpreters to remove.
_SCRIPT = f"""
[ -e {_TABLE}/register ] || mount -t binfmt_misc binfmt_misc {_TABLE} || exit 1
for entry in {_TABLE}/*; do
  interpreter=$(sed -n 's/^interpreter //p' "$entry" 2> /dev/null)
  [ -n "$interpreter" ] || continue
  for prefix; do
    case $interpreter in "$prefix"/*) echo -1 > "$entry"; continue 2 ;; esac
  done
  printf '%s %s\\n' "${{entry##*/}}" "$interpreter"
done
"""


def available() -> bool:
    """Whether the kernel has the table, or a module that `load` would load."""
    return _TABLE.is_dir() or bool(_modprobe() and succeeds(_modprobe(), "--dry-run", _MODULE))


def load() -> None:
    """Loads the module where the kernel has the table in one (Debian's does). Raises ClusterError."""
    if not _TABLE.is_dir():
        run(_modprobe() or "modprobe", _MODULE)


def entries() -> dict[str, str]:
    """Name -> interpreter of what is registered; nothing where one may not look."""
    with contextlib.suppress(ClusterError):
        return _table()
    return {}


def forget(*folders: str) -> None:
    """Removes the entries whose interpreters are inside of those folders. Raises ClusterError."""
    if _TABLE.is_dir():
        _table(*folders)


def remember(instance: Instance) -> None:
    """Notes where the emulators of this `up` lie: the `down` that forgets them may be told of another cache."""
    file, folder = _note(instance), str(cache_folder())
    file.parent.mkdir(parents=True, exist_ok=True)
    # Added to, not written anew: it is every instance's, and each has a lock of its own.
    with file.open("a+") as notes:
        notes.seek(0)
        if folder not in notes.read().splitlines():
            notes.write(f"{folder}\n")


def forget_ours(instance: Instance) -> None:
    """Removes what clusters of this machine registered, from whichever cache. Raises ClusterError."""
    noted = _note(instance).read_text().splitlines() if _note(instance).exists() else []
    forget(*dict.fromkeys([str(cache_folder()), *noted, INSTALLED]))
    _note(instance).unlink(missing_ok=True)


def _note(instance: Instance) -> Path:
    return instance.run.parent / "emulators"


def _table(*remove: str) -> dict[str, str]:
    lines = run("unshare", "--mount", "sh", "-c", _SCRIPT, "sh", *remove).splitlines()
    return {name: interpreter for name, _, interpreter in (line.partition(" ") for line in lines)}


def _modprobe() -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which("modprobe", path=path) or ""
