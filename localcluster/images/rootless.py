"""The rootless BuildKit image: the daemon as user 1000, root only inside a user namespace that rootlesskit makes."""

from __future__ import annotations

from localcluster import tools
from localcluster.images import oci
from localcluster.images.base import GROUP, PASSWD, add_busybox
from localcluster.images.buildkit import add_certificates, daemon_config, daemon_layer
from localcluster.images.layers import cached_layer
from localcluster.images.libraries import add_program
from localcluster.images.tree import Tree

__all__ = ["rootless_image"]

_UID = 1000
_NAME = "user"
_HOME = f"/home/{_NAME}"
_RUNTIME = f"/run/user/{_UID}"
_STATE = f"{_HOME}/.local/share/buildkit"
_MAPPERS = {"newuidmap": 7, "newgidmap": 6}
"""The programs that map subordinate ids, with CAP_SETUID and CAP_SETGID. Not set-user-ID: only the namespace's
owner may write its maps, or one with CAP_SYS_ADMIN, which a pod has not (user_namespaces(7))."""
_SUBORDINATE = f"{_NAME}:100000:65536\n"


def rootless_image(registry: str, architecture: str) -> oci.Image:
    """BuildKit for a pod without privileges; seccomp and AppArmor of the pod must be Unconfined."""
    configured = Tree()
    for folder in (f"home/{_NAME}", f"home/{_NAME}/.config", f"home/{_NAME}/.config/buildkit"):
        configured.folder(folder, owner=_UID)
    config = daemon_config(registry, architecture).encode()
    configured.file(f"home/{_NAME}/.config/buildkit/buildkitd.toml", config, owner=_UID)
    layers = [cached_layer(_system(), compress=False), daemon_layer(), oci.layer(configured.archive(), compress=False)]
    settings = oci.Settings(
        entrypoint=("rootlesskit", "buildkitd"),
        env={
            "HOME": _HOME,
            "USER": _NAME,
            "XDG_RUNTIME_DIR": _RUNTIME,
            "TMPDIR": f"{_HOME}/.local/tmp",
            "BUILDKIT_HOST": f"unix://{_RUNTIME}/buildkit/buildkitd.sock",
        },
        user=f"{_UID}:{_UID}",
        volumes=(_STATE,),
    )
    return oci.image(oci.Platform(architecture), layers, settings)


def _system() -> Tree:
    tree = Tree()
    add_busybox(
        tree,
        tools.ensure("busybox"),
        passwd=f"{PASSWD}{_NAME}:x:{_UID}:{_UID}:{_NAME}:{_HOME}:/bin/sh\n",
        group=f"{GROUP}{_NAME}:x:{_UID}:\n",
    )
    add_certificates(tree)
    add_program(tree, "usr/bin/buildkit-runc", tools.ensure("runc"))
    add_program(tree, "usr/bin/rootlesskit", tools.ensure("rootlesskit"))
    for name, capability in _MAPPERS.items():
        add_program(tree, f"usr/bin/{name}", tools.ensure(name), capability)
    for file in ("etc/subuid", "etc/subgid"):
        tree.file(file, _SUBORDINATE.encode())
    tree.folder("run/user")
    tree.folder(_RUNTIME.lstrip("/"), 0o700, owner=_UID)
    path = ""
    for name in (f"home/{_NAME}", ".local", "share", "buildkit"):
        path = f"{path}/{name}".lstrip("/")
        tree.folder(path, owner=_UID)
    tree.folder(f"home/{_NAME}/.local/tmp", owner=_UID)
    return tree
