"""The provider's settings: a row each, from its configuration, else from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Settings", "read"]

_PREFIX = "kubernetes:config:"


@dataclass(frozen=True)
class Settings:
    """How the provider behaves. The names are the real provider's, in Python's spelling."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    server_side_apply: bool = True
    patch_force: bool = False
    upsert: bool = False
    mutable_config_maps: bool = False
    mutable_secrets: bool = False
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    render_folder: str = ""


_FLAGS = {
    "server_side_apply": ("enableServerSideApply", "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY", True),
    "patch_force": ("enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE", False),
    "upsert": ("upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS", False),
    "mutable_config_maps": ("enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE", False),
    "mutable_secrets": ("enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE", False),
    "delete_unreachable": ("deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE", False),
    "skip_update_unreachable": ("skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE", False),
}


def read(variables: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> Settings:
    """From Configure's variables (all texts); a setting that is given, even as false, beats the environment."""

    def flag(setting: str, variable: str, default: bool) -> bool:
        text = variables.get(_PREFIX + setting, environment.get(variable))
        return default if text is None else text == "true"

    def text(setting: str) -> str:
        return variables.get(_PREFIX + setting, "")

    return Settings(
        kubeconfig=text("kubeconfig"),
        context=text("context"),
        cluster=text("cluster"),
        namespace=text("namespace"),
        render_folder=text("renderYamlToDirectory"),
        **{name: flag(*row) for name, row in _FLAGS.items()},
    )
