"""`env`: what a shell needs for work by hand with the local cluster."""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from localcluster import tools
from localcluster.errors import ClusterError
from localcluster.images import BASE_IMAGE
from localcluster.instance import Instance
from localcluster.machine.files import write_text
from localcluster.machine.rootless import refusal

__all__ = [
    "ANNOUNCED",
    "environment",
    "exports",
    "needs_stand_in",
    "passphrase_file",
    "stand_ins_folder",
    "stand_ins_notice",
    "write_stack_config",
]

STAND_INS = Path(__file__).resolve().parent.parent / "standins" / "bin"
PLUGINS = ("pulumi-resource-kubernetes", "pulumi-language-python")
ANNOUNCED = "STANDINS_ANNOUNCED"
"""The variable that names the stand-ins that a user was told of; they then say nothing themselves."""
_STACK_CONFIG = Path(__file__).resolve().parent / "Pulumi.local.yaml"
_STACKS = Path(__file__).resolve().parent.parent / "stacks"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def environment(instance: Instance) -> dict[str, str]:
    """The variables: PATH, KUBECONFIG, Pulumi's backend, home and passphrase file, REGISTRY, BASE_IMAGE.

    ROOTLESS is 1 where rootless BuildKit can run on this machine, else 0 (`status` says which check said no).
    Where a proxy is set, NO_PROXY exempts the cluster, which no proxy could reach.
    Raises ClusterError when the cluster was never started.
    """
    if not instance.kubeconfig.exists():
        raise ClusterError("the local cluster is not there yet: python -m localcluster up")
    home = instance.state / "pulumi-home"
    backend = instance.state / "pulumi"
    passphrase = passphrase_file()
    home.mkdir(parents=True, exist_ok=True)
    backend.mkdir(parents=True, exist_ok=True)
    _share_plugins(home)
    if not passphrase.exists():
        write_text(passphrase, secrets.token_hex(16) + "\n", 0o600)
    path = [str(Path(sys.executable).parent), str(tools.ensure("pulumi").parent)]
    announced = {}
    if missing := needs_stand_in(os.environ.get("PATH", ""), home):
        path.append(str(stand_ins_folder(instance.state / "stand-ins", missing)))
        announced[ANNOUNCED] = ",".join(missing)
    return {
        **_around_proxies(instance, os.environ),
        **announced,
        "PATH": joined_path(path, os.environ.get("PATH", "")),
        "KUBECONFIG": str(instance.kubeconfig),
        "PULUMI_BACKEND_URL": backend.as_uri(),
        "PULUMI_HOME": str(home),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "REGISTRY": instance.registry,
        "BUILDCLIENT_INSECURE_REGISTRIES": instance.registry,
        "BASE_IMAGE": f"{instance.registry}/{BASE_IMAGE}",
        "ROOTLESS": "0" if refusal() else "1",
    }


def _around_proxies(instance: Instance, outside: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY in both spellings: the subnet for Go's programs, the address for those that know no subnets."""
    if not any(outside.get(name) or outside.get(name.upper()) for name in _PROXIES):
        return {}
    before = outside.get("no_proxy") or outside.get("NO_PROXY") or ""
    parts = dict.fromkeys(filter(None, [*before.split(","), instance.control_address, instance.subnet]))
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(parts))


def passphrase_file() -> Path:
    """The user's passphrase for local stacks; it outlives a cluster, since a stack's settings file refers to it."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "buildkit-builders" / "passphrase"


def stand_ins_notice(variables: Mapping[str, str], told: Mapping[str, str]) -> str:
    """One line on the stand-ins in `variables`; empty if there are none, or if `told` names the same ones."""
    names = variables.get(ANNOUNCED, "")
    if not names or names == told.get(ANNOUNCED):
        return ""
    return f"using this project's stand-ins for {names.replace(',', ', ')}: the real ones are not here"


def write_stack_config(folder: Path = _STACKS) -> Path:
    """Copies the config of stack `local` to `folder` if there is none; returns its path.

    The copy is ignored by git, because Pulumi writes the passphrase's salt into it.
    """
    path = folder / _STACK_CONFIG.name
    if not path.exists():
        write_text(path, _STACK_CONFIG.read_text())
    return path


def stand_ins_folder(folder: Path, missing: list[str]) -> Path:
    """A folder for PATH with just the stand-ins that are missing, so that none hides a real plugin."""
    if len(missing) == len(PLUGINS):
        return STAND_INS
    chosen = folder / hashlib.sha256(repr((str(STAND_INS), missing)).encode()).hexdigest()[:12]
    chosen.mkdir(parents=True, exist_ok=True)
    for name in missing:
        if not (chosen / name).is_symlink():
            (chosen / name).symlink_to(STAND_INS / name)
    return chosen


def _share_plugins(home: Path) -> None:
    """Lets Pulumi find the plugins that the user has already, although its home is the cluster's."""
    folder, users = home / "plugins", _pulumi_home()
    if users == home or (folder.exists() and not folder.is_symlink()):
        return
    own = (users / "plugins").absolute()
    if own.is_dir() and not (folder.is_symlink() and folder.readlink() == own):
        folder.unlink(missing_ok=True)
        folder.symlink_to(own)


def _pulumi_home() -> Path:
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")


def exports(variables: dict[str, str]) -> str:
    """The variables as lines for a shell's `eval`."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def joined_path(first: Iterable[str], rest: str) -> str:
    """A search path that begins with `first`; what it already held of them is moved, not repeated."""
    wanted = list(dict.fromkeys(first))
    return os.pathsep.join([*wanted, *(part for part in rest.split(os.pathsep) if part and part not in wanted)])


def needs_stand_in(path: str, home: Path | None = None) -> list[str]:
    """The plugins that are neither on a search path nor in Pulumi's plugin cache, so that a stand-in serves.

    `home` is Pulumi's home, by default the one that PULUMI_HOME names.
    """
    cache = (home or _pulumi_home()) / "plugins"
    ours = f"{os.sep}stand-ins{os.sep}"
    elsewhere = os.pathsep.join(part for part in path.split(os.pathsep) if part != str(STAND_INS) and ours not in part)
    return [name for name in PLUGINS if not shutil.which(name, path=elsewhere) and not _cached(cache, name)]


def _cached(cache: Path, name: str) -> bool:
    kind = name.removeprefix("pulumi-")
    return any(cache.glob(f"{kind}-v*/{name}"))
