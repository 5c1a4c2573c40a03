"""The state that Pulumi keeps of an object, and the inputs before it gets there. Pure.

State is the live object with three keys more: `__inputs`, `__initialApiVersion`, `__fieldManager`.
"""

from __future__ import annotations

import base64
import binascii
import copy
from typing import Any, Final

from standins.provider.objects import Object, dig, kind_key, labels_of
from standins.provider.values import Secret, has_secret, has_unknown, plain, rename_keys

__all__ = ["annotate_secrets", "checkpoint", "initial_api_version", "manifest", "normalized", "parse", "set_managed_by"]

_UNDERSCORED: Final = {
    f"x_kubernetes_{name}": f"x-kubernetes-{name.replace('_', '-')}"
    for name in (
        "embedded_resource",
        "int_or_string",
        "list_map_keys",
        "list_type",
        "map_type",
        "preserve_unknown_fields",
        "validations",
    )
}
_DASHED: Final = {dashed: underscored for underscored, dashed in _UNDERSCORED.items()}

_READ_ONLY: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)

_MANAGED_BY: Final = "app.kubernetes.io/managed-by"


def manifest(properties: dict[str, Any]) -> Object:
    """The Kubernetes object in a property map: no secret marks, the schema's own key spelling."""
    return dict(rename_keys(plain(properties), _UNDERSCORED))


def parse(state: dict[str, Any]) -> tuple[Object, Object]:
    """The old inputs and the live object in a state."""
    live = manifest(state)
    inputs = live.pop("__inputs", {})
    return inputs, live


def initial_api_version(state: dict[str, Any], inputs: Object) -> str:
    """The apiVersion that the object was made with."""
    return str(plain(state.get("__initialApiVersion")) or inputs.get("apiVersion", ""))


def normalized(inputs: Object) -> Object:
    """Inputs in the form in which the server gives them back, without fields only the server sets. A copy.

    A Secret's `stringData` becomes `data`. Quantities stay as written (the real provider makes those of known kinds
    canonical): a program should write them canonically.
    """
    result = copy.deepcopy(inputs)
    if kind_key(result) == "v1/Secret" and not has_unknown(result):
        _normalize_secret(result)
    metadata = result.get("metadata")
    if isinstance(metadata, dict):
        for field in _READ_ONLY:
            metadata.pop(field, None)
    return result


def _normalize_secret(secret: Object) -> None:
    texts = secret.get("stringData")
    if isinstance(texts, dict) and texts:
        data = secret.setdefault("data", {})
        data.update({key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()})
        del secret["stringData"]
        return
    data = secret.get("data")
    if isinstance(data, dict):
        for key, text in data.items():
            try:
                data[key] = base64.b64encode(base64.b64decode(text, validate=False)).decode()
            except (TypeError, ValueError, binascii.Error):
                continue  # the server says what is wrong with it


def set_managed_by(target: Object) -> None:
    """The label for objects made by client-side apply, in place. Server-side apply has managers for that."""
    metadata = target.setdefault("metadata", {})
    if isinstance(metadata, dict):
        held = metadata.setdefault("labels", {})
        if isinstance(held, dict):
            held[_MANAGED_BY] = "pulumi"


def has_managed_by(target: Object) -> bool:
    """Whether the label is there."""
    return labels_of(target).get(_MANAGED_BY) == "pulumi"


def annotate_secrets(outputs: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Marks in `outputs`, in place, what is secret in `inputs`; mappings one by one, anything else as a whole.

    `data` and `stringData` of a Secret are secret whatever the inputs say.
    """
    if outputs.get("kind") == "Secret":
        for key in ("data", "stringData"):
            if key in outputs and not isinstance(outputs[key], Secret):
                outputs[key] = Secret(outputs[key])
        return
    for key, given in inputs.items():
        held = outputs.get(key)
        if key not in outputs or isinstance(held, Secret):
            continue
        if isinstance(held, dict) and isinstance(given, dict):
            annotate_secrets(held, given)
        elif has_secret(given):
            outputs[key] = Secret(held)


def checkpoint(inputs: Object, live: Object, given: dict[str, Any], api_version: str, manager: str) -> dict[str, Any]:
    """The property map to keep for an object.

    `given` are the inputs as they came, with their secret marks; `inputs` and `live` have none.
    """
    state: dict[str, Any] = rename_keys(copy.deepcopy(live), _DASHED)
    kept: dict[str, Any] = rename_keys(copy.deepcopy(inputs), _DASHED)
    annotate_secrets(state, given)
    annotate_secrets(kept, given)
    state["__inputs"] = kept
    state["__initialApiVersion"] = api_version
    state["__fieldManager"] = manager
    return state


def live_status_removed(live: Object) -> Object:
    """A dry run's object without its status, which says nothing true."""
    return {key: value for key, value in live.items() if key != "status"} if dig(live, "status") is not None else live
