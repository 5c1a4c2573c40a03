"""Whether this machine lets a plain user make user namespaces, which rootless BuildKit lives in."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["refusal"]

_NOBODY = 65534
_TIMEOUT = 10

# setting -> (value that forbids, what it means)
_SETTINGS = {
    "user/max_user_namespaces": ("0", "no user namespaces at all"),
    "kernel/unprivileged_userns_clone": ("0", "user namespaces for root only"),
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "user namespaces for AppArmor profiles that allow them only"),
}


def refusal(settings: Path = Path("/proc/sys")) -> str:
    """Which check says no, in one line; empty when rootless BuildKit can run here.

    First the kernel's settings, since they name the reason; then a try as user nobody, which proves it.
    """
    for name, (forbidding, meaning) in _SETTINGS.items():
        path = settings / name
        if path.exists() and (value := path.read_text().strip()) == forbidding:
            return f"{name.replace('/', '.')} is {value}: {meaning}"
    try:
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "true"],
            user=_NOBODY, group=_NOBODY, extra_groups=[], cwd="/",
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return f"a user namespace could not be tried: {error}"
    if done.returncode:
        return f"a plain user's try at a user namespace failed: {done.stderr.strip() or f'status {done.returncode}'}"
    return ""
