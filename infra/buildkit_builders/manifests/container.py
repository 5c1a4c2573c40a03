"""The containers of a builder pod: buildkitd, and the init container that installs emulators."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from buildkit_builders.manifests.buildkitd import buildkitd_args, config_mount
from buildkit_builders.manifests.endpoint import endpoint_mount
from buildkit_builders.options import Options
from buildkit_builders.spec import CONTAINER

__all__ = ["buildkit_container", "emulator_container", "state_path", "state_volume"]

_WORKERS = {"exec": {"command": ["buildctl", "debug", "workers"]}}
# Probe every second until BuildKit is up, rarely afterwards: each exec probe forks buildctl. docker buildx probes every
# 30 s from the start, which is why its builders start slowly.
_STARTUP = {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 300}
_READINESS = {"periodSeconds": 10, "timeoutSeconds": 20, "failureThreshold": 3}
_LIVENESS = {"periodSeconds": 30, "timeoutSeconds": 60, "failureThreshold": 3}
_PRIVILEGED = {"privileged": True}
# Runs before BuildKit gets its signal: from then on it would take no further call, also from the clients of builds that
# it finishes. A build that runs is a record that has STARTED. The last second is for what clients ask after a build.
_WAIT = "while buildctl debug histories | grep -q ^STARTED; do sleep 1; done; sleep 1"
# Rootless BuildKit needs system calls and mounts that the default profiles forbid (BuildKit, docs/rootless.md).
_UNCONFINED = "Unconfined"


def buildkit_container(options: Options) -> dict[str, Any]:
    """The container that runs buildkitd."""
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": options.image,
        "args": buildkitd_args(options),
        "securityContext": _rootless(options) if options.rootless else dict(_PRIVILEGED),
        "startupProbe": {**_WORKERS, **_STARTUP},
        "readinessProbe": {**_WORKERS, **_READINESS},
        "livenessProbe": {**_WORKERS, **_LIVENESS},
        "volumeMounts": [
            {"name": state_volume(options), "mountPath": state_path(options)},
            *config_mount(options),
            *endpoint_mount(options),
            *deepcopy(options.volumemounts),
        ],
    }
    if options.wait_for_builds:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", _WAIT]}}}
    if options.env:
        # The apiserver does not store an empty value; sent, it would be a change in each preview after a refresh.
        values = {name: {"value": value} if value else {} for name, value in sorted(options.env.items())}
        container["env"] = [{"name": name, **value} for name, value in values.items()]
    resources = {"requests": options.requests(), "limits": options.limits()}
    if given := {what: amounts for what, amounts in resources.items() if amounts}:
        container["resources"] = given
    return container


def _rootless(options: Options) -> dict[str, Any]:
    given = {"seccompProfile": options.seccomp, "appArmorProfile": options.apparmor}
    return {field: _profile(profile or _UNCONFINED) for field, profile in given.items()}


def _profile(text: str) -> dict[str, str]:
    kind, _, name = text.partition("/")
    return {"type": kind, "localhostProfile": name} if name else {"type": kind}


def emulator_container(options: Options) -> dict[str, Any]:
    """The init container that registers QEMU emulators with the kernel of the Kubernetes node (binfmt_misc)."""
    return {
        "name": "qemu",
        "image": options.qemu_image,
        "args": ["--install", "all"],
        "securityContext": dict(_PRIVILEGED),
    }


def state_path(options: Options) -> str:
    """The folder of BuildKit's state: layers, cache, history."""
    return "/home/user/.local/share/buildkit" if options.rootless else "/var/lib/buildkit"


def state_volume(options: Options) -> str:
    """The name of the volume that holds BuildKit's state.

    A claim is called `<volume>-<pod>`: with docker buildx's name for the volume, a StatefulSet takes over the claims of
    a builder that docker buildx made, and the other way round. Rootless BuildKit has claims of its own, since it cannot
    read the state that root has written.
    """
    if not options.is_persistent:
        return "state"
    return "buildkitd-rootless" if options.rootless else "buildkitd"
