"""`env`: what a shell needs for work by hand with the local cluster."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from localcluster import tools
from localcluster.images import BASE_IMAGE
from localcluster.instance import Instance
from localcluster.machine.files import write_text

__all__ = ["environment", "exports", "needs_stand_in"]

STAND_INS = Path(__file__).resolve().parent.parent / "standins" / "bin"
PLUGINS = ("pulumi-resource-kubernetes", "pulumi-language-python")


def environment(instance: Instance) -> dict[str, str]:
    """The variables: PATH, KUBECONFIG, Pulumi's backend, home and passphrase file, REGISTRY, BASE_IMAGE."""
    home = instance.state / "pulumi-home"
    backend = instance.state / "pulumi"
    passphrase = instance.state / "passphrase"
    home.mkdir(parents=True, exist_ok=True)
    backend.mkdir(parents=True, exist_ok=True)
    if not passphrase.exists():
        write_text(passphrase, secrets.token_hex(16) + "\n", 0o600)
    path = [str(Path(sys.executable).parent), str(tools.ensure("pulumi").parent)]
    if needs_stand_in(os.environ.get("PATH", "")):
        path.append(str(STAND_INS))
    return {
        "PATH": joined_path(path, os.environ.get("PATH", "")),
        "KUBECONFIG": str(instance.kubeconfig),
        "PULUMI_BACKEND_URL": backend.as_uri(),
        "PULUMI_HOME": str(home),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "REGISTRY": instance.registry,
        "BASE_IMAGE": f"{instance.registry}/{BASE_IMAGE}",
    }


def exports(variables: dict[str, str]) -> str:
    """The variables as lines for a shell's `eval`."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def joined_path(first: Iterable[str], rest: str) -> str:
    """A search path that begins with `first`; what it already held of them is moved, not repeated."""
    wanted = list(dict.fromkeys(first))
    return os.pathsep.join([*wanted, *(part for part in rest.split(os.pathsep) if part and part not in wanted)])


def needs_stand_in(path: str) -> list[str]:
    """The plugins that are neither on a search path nor in Pulumi's plugin cache, so that a stand-in serves."""
    cache = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    elsewhere = os.pathsep.join(part for part in path.split(os.pathsep) if part != str(STAND_INS))
    return [name for name in PLUGINS if not shutil.which(name, path=elsewhere) and not _cached(cache, name)]


def _cached(cache: Path, name: str) -> bool:
    kind = name.removeprefix("pulumi-")
    return any(cache.glob(f"{kind}-v*/{name}"))
