"""Finds the Rego policies that docker buildx would evaluate for a build, and refuses them: here is no evaluator.

A file beside the Dockerfile, `Dockerfile.rego`, is one of them without any flag. Reference: loadInputs and
configureSourcePolicy in build/opt.go of buildx 0.38.
"""

from __future__ import annotations

import os

from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.base.oserrors import reason
from buildclient.inputs.giturl import is_remote
from buildclient.request.policy import combined
from buildclient.request.values import BuildRequest

__all__ = ["check_policies", "refused_policy", "remote_policy"]

_SUFFIX = ".rego"


def check_policies(request: BuildRequest, filename: str, folder: str) -> None:
    """Refuses a build with policies on this machine.

    `filename` is the Dockerfile's, `folder` where it is; empty if it is nowhere on this machine. Raises UsageError.
    """
    default = ""
    if folder and os.path.isdir(request.context):
        path = os.path.join(folder, filename + _SUFFIX)
        try:
            os.stat(path)
            default = path
        except FileNotFoundError:
            pass
        except OSError as error:
            raise InvalidBuild(f"failed to read policy file {path}: open {path}: {reason(error)}") from None
    policies = combined(request.policies, default)
    if policies:
        raise refused_policy(policies[0].files[0])


def remote_policy(request: BuildRequest, filename: str) -> str:
    """Returns the name of the policy that a remote context may have beside its Dockerfile.

    Empty if the context is not remote, the Dockerfile is not from there, or no policy is wanted.
    """
    if os.path.isdir(request.context) or not is_remote(request.context):
        return ""
    if request.dockerfile == "-" or os.path.isabs(request.dockerfile) or "://" in request.dockerfile:
        return ""
    name = filename + _SUFFIX
    return name if combined(request.policies, name) else ""


def refused_policy(path: str) -> UsageError:
    """Returns the error for a policy that docker buildx would evaluate."""
    return UsageError(
        f"{path} is a source policy, which docker buildx evaluates and buildclient cannot",
        hint="build with docker buildx, or without a policy: --policy disabled=true",
    )
