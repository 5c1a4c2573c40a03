"""What the provider stand-in keeps in the state."""

from __future__ import annotations

import base64
from typing import Any

from standins.provider.checkpoint import annotate_secrets, checkpoint, manifest, normalized, parse
from standins.provider.values import UNKNOWN, Secret

# Inputs and state


def test_normalized_inputs_have_no_fields_of_the_server() -> None:
    """Read-only metadata goes; the argument is left alone."""
    given_inputs = {"metadata": {"name": "a", "uid": "1", "resourceVersion": "2", "managedFields": []}}
    assert normalized(given_inputs) == {"metadata": {"name": "a"}}
    assert "uid" in given_inputs["metadata"]


def test_string_data_of_a_secret_becomes_data() -> None:
    """It wins over data of the same key, as on the server; unknown texts are left for later."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": "b2xk", "b": "b3RoZXI="},
        "stringData": {"a": "new"},
        "metadata": {},
    }
    assert normalized(secret)["data"] == {"a": base64.b64encode(b"new").decode(), "b": "b3RoZXI="}
    assert "stringData" not in normalized(secret)
    later = {**secret, "stringData": {"a": UNKNOWN}}
    assert normalized(later)["stringData"] == {"a": UNKNOWN}


def test_secret_data_is_secret_whoever_marked_it() -> None:
    """Data of a Secret is always secret; elsewhere the marks of the inputs are copied, lists as a whole."""
    outputs = {"kind": "Secret", "data": {"a": "b"}}
    annotate_secrets(outputs, {})
    assert outputs["data"] == Secret({"a": "b"})
    other: dict[str, Any] = {"kind": "ConfigMap", "data": {"a": "b", "c": "d"}, "list": [1, 2]}
    annotate_secrets(other, {"data": {"a": Secret("b")}, "list": [Secret(1)], "gone": Secret(1)})
    assert other == {"kind": "ConfigMap", "data": {"a": Secret("b"), "c": "d"}, "list": Secret([1, 2])}


def test_state_is_the_live_object_and_three_keys() -> None:
    """What is kept can be taken apart again."""
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    live = {**inputs, "metadata": {"name": "a", "uid": "1"}}
    state = checkpoint(inputs, live, {"data": {"k": Secret("v")}}, "v1", "manager")
    assert state["data"] == {"k": Secret("v")}
    assert state["__inputs"]["data"] == {"k": Secret("v")}
    assert (state["__initialApiVersion"], state["__fieldManager"]) == ("v1", "manager")
    found_inputs, found_live = parse(state)
    assert found_inputs == inputs
    assert {key: found_live[key] for key in live} == live


def test_schema_extensions_change_their_spelling() -> None:
    """Programs write `x_kubernetes_…`, Kubernetes `x-kubernetes-…`; only known ones are renamed."""
    assert manifest({"x_kubernetes_list_type": "set", "x_own": 1}) == {"x-kubernetes-list-type": "set", "x_own": 1}
