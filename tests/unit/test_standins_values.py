"""The provider stand-in's values, names, states and settings."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standins.provider import kubeconfig
from standins.provider.checkpoint import annotate_secrets, checkpoint, manifest, normalized, parse
from standins.provider.config import config_changes, config_problems
from standins.provider.kubeconfig import KubeconfigError
from standins.provider.names import NamingOff, adopt_old_name, autoname, field_manager
from standins.provider.settings import Settings, read
from standins.provider.values import UNKNOWN, Secret, decode, encode, has_secret, has_unknown, plain

LEAVES = (
    st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text(max_size=8)
    | st.just(UNKNOWN)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3) | st.builds(Secret, inner)
    ),
    max_leaves=10,
)
PROPERTIES = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


@given(PROPERTIES)
def test_properties_survive_the_wire(properties: dict[str, Any]) -> None:
    """What is encoded is decoded to the same: secrets, unknowns, empty collections, whole numbers."""
    assert decode(encode(properties)) == properties


@given(PROPERTIES)
def test_plain_values_hold_no_secret(properties: dict[str, Any]) -> None:
    """Without marks nothing is marked, and what is unknown stays unknown."""
    assert not has_secret(plain(properties))
    assert has_unknown(plain(properties)) == has_unknown(properties)


def test_nulls_in_mappings_are_not_set() -> None:
    """A null means that the program did not set the key."""
    assert decode(encode({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}


# Names


def test_autoname_is_the_resource_and_eight_digits() -> None:
    """The same seed gives the same name; the object is marked as named automatically."""
    first: dict[str, Any] = {"metadata": {}}
    second: dict[str, Any] = {}
    autoname(first, "config", b"seed")
    autoname(second, "config", b"seed")
    assert first == second
    assert re.fullmatch(r"config-[0-9a-f]{8}", first["metadata"]["name"])
    assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}


@pytest.mark.parametrize("metadata", [{"name": "own"}, {"name": UNKNOWN}, {"generateName": "own-"}])
def test_named_objects_are_not_renamed(metadata: dict[str, Any]) -> None:
    """A name, even one not known yet, stays."""
    target = {"metadata": dict(metadata)}
    autoname(target, "config", b"seed")
    assert target == {"metadata": metadata}


def test_the_engine_may_propose_or_forbid_names() -> None:
    """A proposed name is taken; with naming off an unnamed object is an error."""
    target: dict[str, Any] = {"metadata": {}}
    autoname(target, "config", b"", proposed="chosen")
    assert target["metadata"]["name"] == "chosen"
    with pytest.raises(NamingOff, match=r"\.metadata\.name"):
        autoname({"metadata": {}}, "config", b"", disabled=True)


def test_automatic_names_stick() -> None:
    """An update takes over the old name only if that was automatic and none is given."""
    old = {"metadata": {"name": "config-1", "annotations": {"pulumi.com/autonamed": "true"}}}
    new: dict[str, Any] = {"metadata": {}}
    adopt_old_name(new, old)
    assert new == old
    named: dict[str, Any] = {"metadata": {"name": "own"}}
    adopt_old_name(named, old)
    assert named == {"metadata": {"name": "own"}}
    unnamed: dict[str, Any] = {"metadata": {}}
    adopt_old_name(unnamed, {"metadata": {"name": "own"}})
    assert unnamed == {"metadata": {}}


def test_field_manager_comes_from_annotation_state_or_chance() -> None:
    """In this order; client-side apply has one name for all."""
    assert re.fullmatch(r"pulumi-kubernetes-[0-9a-f]{8}", field_manager({}, {}))
    assert field_manager({"__fieldManager": "kept"}, {}) == "kept"
    annotated = {"metadata": {"annotations": {"pulumi.com/patchFieldManager": "own"}}}
    assert field_manager({"__fieldManager": "kept"}, annotated) == "own"
    assert field_manager({"__fieldManager": "kept"}, annotated, server_side=False) == "pulumi-kubernetes"


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


# Settings


def test_settings_come_from_configuration_then_environment() -> None:
    """A setting that is given, even as false, beats the environment; texts other than true are false."""
    assert read({}, {}) == Settings()
    assert read({}, {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}).delete_unreachable
    given_off = {"kubernetes:config:deleteUnreachable": "false"}
    assert not read(given_off, {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}).delete_unreachable
    assert not read({"kubernetes:config:enableServerSideApply": "no"}, {}).server_side_apply
    assert read({"kubernetes:config:namespace": "n"}, {}).namespace == "n"


KUBECONFIG = """
clusters: [{name: one, cluster: {server: "https://one:1/"}}, {name: two, cluster: {server: "https://two:1"}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: a, context: {cluster: one, user: u, namespace: n}}, {name: b, context: {cluster: two, user: u}}]
current-context: a
"""


def test_kubeconfig_contents_path_and_environment(tmp_path: Path) -> None:
    """Contents, a path, and KUBECONFIG give the same; several files are merged, the first to name something wins."""
    file, other = tmp_path / "config", tmp_path / "other"
    file.write_text(KUBECONFIG)
    other.write_text("current-context: z\nclusters: [{name: three, cluster: {server: 'https://three'}}]")
    wanted = kubeconfig.load(KUBECONFIG)
    assert kubeconfig.load(str(file)) == wanted
    assert kubeconfig.load("", {"KUBECONFIG": str(file)}) == wanted
    merged = kubeconfig.load("", {"KUBECONFIG": f"{other}:{file}:{tmp_path / 'none'}"})
    assert [entry["name"] for entry in merged["clusters"]] == ["three", "one", "two"]
    assert merged["current-context"] == "z"


def test_context_and_cluster_choose_the_access() -> None:
    """The named context, else the current one; a cluster of its own overrides the context's."""
    config = kubeconfig.load(KUBECONFIG)
    access = kubeconfig.resolve(config)
    assert (access.server, access.namespace, access.token) == ("https://one:1", "n", "secret")
    assert kubeconfig.resolve(config, "b").server == "https://two:1"
    assert kubeconfig.resolve(config, "b", "one").server == "https://one:1"


def test_file_names_in_a_kubeconfig_are_relative_to_it(tmp_path: Path) -> None:
    """As kubectl reads them."""
    (tmp_path / "ca.pem").write_text("PEM")
    file = tmp_path / "config"
    file.write_text(
        KUBECONFIG.replace('{server: "https://one:1/"}', '{server: "https://one", certificate-authority: ca.pem}')
    )
    assert kubeconfig.resolve(kubeconfig.load(str(file))).authority == b"PEM"


@pytest.mark.parametrize(
    ("text", "context", "said"),
    [
        ("{", "", "not YAML"),
        ("[]", "", "no such file"),
        ("a: 1\nb: 2", "", "no configuration has been provided"),
        (KUBECONFIG, "nope", 'context "nope" does not exist'),
        (KUBECONFIG.replace("cluster: one, user", "cluster: gone, user"), "", 'cluster "gone" does not exist'),
        ("/no/such/file", "", "open /no/such/file: no such file or directory"),
    ],
)
def test_a_bad_kubeconfig_is_one_message(text: str, context: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is wrong."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubeconfigError, match=re.escape(said)):
        kubeconfig.resolve(kubeconfig.load(text), context)


def test_provider_is_replaced_when_its_cluster_changes() -> None:
    """By the active cluster's entry; with `clusterIdentifier` only by that."""
    moved = KUBECONFIG.replace("https://one:1/", "https://elsewhere")
    other_user = KUBECONFIG.replace("token: secret", "token: other")
    assert config_changes({"kubeconfig": KUBECONFIG}, {"kubeconfig": KUBECONFIG}) == ([], [])
    assert config_changes({"kubeconfig": KUBECONFIG}, {"kubeconfig": other_user}) == (["kubeconfig"], [])
    assert config_changes({"kubeconfig": KUBECONFIG}, {"kubeconfig": moved}) == (["kubeconfig"], ["kubeconfig"])
    changed = config_changes({"kubeconfig": KUBECONFIG}, {"kubeconfig": KUBECONFIG, "context": "b"})
    assert changed == (["context"], ["context"])
    named = {"clusterIdentifier": "x"}
    assert config_changes({"kubeconfig": KUBECONFIG, **named}, {"kubeconfig": moved, **named}) == (["kubeconfig"], [])
    assert config_changes(named, {"clusterIdentifier": "y"}) == (["clusterIdentifier"], ["clusterIdentifier"])
    assert config_changes({"kubeconfig": KUBECONFIG}, {"kubeconfig": UNKNOWN}) == (["kubeconfig"], ["kubeconfig"])


def test_settings_that_need_the_real_provider_are_refused() -> None:
    """Rendering YAML is not done in silence."""
    assert config_problems({"renderYamlToDirectory": "out"})[0][0] == "renderYamlToDirectory"
    assert config_problems({"namespace": "n"}) == []
