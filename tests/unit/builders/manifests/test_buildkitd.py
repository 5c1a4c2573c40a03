"""BuildKit's configuration in the manifests, and what is refused."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from buildkit_builders.manifests.node import node_objects
from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import check_builder, check_node
from hypothesis import given
from hypothesis import strategies as st

_PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
_LEAVES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | _TEXTS
_TOML = st.dictionaries(
    st.sampled_from(["labels", "platforms", "a.b", "x y"]),
    st.recursive(_LEAVES, lambda one: st.lists(one, max_size=3) | st.dictionaries(_TEXTS, one, max_size=3)),
    max_size=4,
)


def _objects(opts: dict[str, Any]) -> list[dict[str, Any]]:
    problems = Problems()
    node = check_node("n", {"driver-opts": opts}, problems)  # type: ignore[typeddict-item]
    assert not problems.found, problems.found
    return [dict(child.manifest) for child in node_objects(node)]


def _settings(opts: dict[str, Any]) -> dict[str, Any]:
    return tomllib.loads(_objects(opts)[0]["data"]["buildkitd.toml"])


def _container(opts: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = _objects(opts)[-1]["spec"]["template"]["spec"]["containers"][0]
    return container


@pytest.mark.parametrize(
    ("opts", "settings"),
    [
        ({"buildkitd.max-parallelism": "4"}, {"worker": {"oci": {"max-parallelism": 4}}}),
        ({"buildkitd.gc.enabled": False}, {"worker": {"oci": {"gc": False}}}),
        (
            {"buildkitd.gc.max-used-space": "10G", "buildkitd.gc.min-free-space": "10%"},
            {"worker": {"oci": {"maxUsedSpace": "10000000000", "minFreeSpace": "10%"}}},
        ),
        (
            {"buildkitd.gc.policies": [{"keepDuration": "2m", "maxUsedSpace": "1Gi", "filters": ["a"]}]},
            {"worker": {"oci": {"gcpolicy": [
                {"keepDuration": "120s", "maxUsedSpace": "1073741824", "filters": ["a"]},
            ]}}},
        ),
        ({"buildkitd.dns": {"options": ["edns0"]}}, {"dns": {"options": ["edns0"]}}),
        ({"buildkitd.entitlements": "none"}, {"insecure-entitlements": []}),
        ({"buildkitd.entitlements": ["security.insecure"]}, {"insecure-entitlements": ["security.insecure"]}),
        ({"buildkitd.log-format": "json", "buildkitd.log-level": "warn"}, {"log": {"format": "json", "level": "warn"}}),
        (
            {"buildkitd.history.max-age": "48h", "buildkitd.history.max-entries": 0},
            {"history": {"maxAge": "172800s", "maxEntries": 0}},
        ),
        ({"buildkitd.otel-socket-path": "/run/otel.sock"}, {"otel": {"socketPath": "/run/otel.sock"}}),
        (
            {"buildkitd.registry.docker.io": '{"mirrors":["mirror.example"]}'},
            {"registry": {"docker.io": {"mirrors": ["mirror.example"]}}},
        ),
        (
            {"buildkitd.registry": {"r.example:5000": {"http": True, "insecure": "true"}}},
            {"registry": {"r.example:5000": {"http": True, "insecure": True}}},
        ),
    ],
)  # fmt: skip
def test_each_option_is_a_setting(opts: dict[str, Any], settings: dict[str, Any]) -> None:
    """The ConfigMap's TOML says what the option says, and nothing else."""
    assert _settings(opts) == settings


@given(_TOML)
def test_the_users_own_settings_are_written_as_they_are(oci: dict[str, Any]) -> None:
    """Any TOML, as text or mapping, is read back alike."""
    assert _settings({"buildkitd.config": {"worker": {"oci": oci}}, "buildkitd.log-format": "json"}) == {
        "worker": {"oci": oci},
        "log": {"format": "json"},
    }


def test_options_override_the_users_own_file() -> None:
    """Setting by setting: what no option says stays."""
    toml = '[worker.oci]\nsnapshotter = "native"\nmax-parallelism = 1\n'
    found = _settings({"buildkitd.config": toml, "buildkitd.max-parallelism": 2})
    assert found == {"worker": {"oci": {"snapshotter": "native", "max-parallelism": 2}}}


def test_certificates_come_from_where_they_are() -> None:
    """A PEM text is in the ConfigMap, one of a Secret is projected beside it, and a path stays a path."""
    ca = [_PEM, {"secret": "own"}, {"configmap": "roots", "key": "a.pem"}, "/certs/a.crt"]
    objects = _objects({"buildkitd.registry": {"r.example:5000": {"ca": ca, "keypair": "login"}}})
    written = tomllib.loads(objects[0]["data"]["buildkitd.toml"])["registry"]["r.example:5000"]
    assert written["ca"] == [*(f"/etc/buildkit/ca-r.example_5000-{n}.crt" for n in range(3)), "/certs/a.crt"]
    pair = {what: f"/etc/buildkit/r.example_5000-0-client.{end}" for what, end in (("cert", "crt"), ("key", "key"))}
    assert written["keypair"] == [pair]
    assert objects[0]["data"]["ca-r.example_5000-0.crt"] == _PEM
    (volume,) = [one for one in objects[1]["spec"]["template"]["spec"]["volumes"] if one["name"] == "buildkitd-config"]
    assert volume["projected"]["sources"] == [
        {"configMap": {"name": objects[0]["metadata"]["name"]}},
        {"secret": {"name": "own", "items": [{"key": "ca.crt", "path": "ca-r.example_5000-1.crt"}]}},
        {"configMap": {"name": "roots", "items": [{"key": "a.pem", "path": "ca-r.example_5000-2.crt"}]}},
        {"secret": {"name": "login", "items": [
            {"key": "tls.crt", "path": "r.example_5000-0-client.crt"},
            {"key": "tls.key", "path": "r.example_5000-0-client.key"},
        ]}},
    ]  # fmt: skip


def test_a_changed_setting_is_another_config_map() -> None:
    """Its name follows from its contents, not from the order of the settings; the pods are rolled by the name."""
    one, other = {"buildkitd.log-format": "json"}, {"buildkitd.log-format": "text"}
    names = [_objects(opts)[0]["metadata"]["name"] for opts in (one, other, one)]
    assert names[0] == names[2] != names[1]
    hosts = [("a", {"http": True}), ("b", {"http": True})]
    given_order, reverse = ({"buildkitd.registry": dict(order)} for order in (hosts, hosts[::-1]))
    assert _objects(given_order) == _objects(reverse)


def test_flags_are_those_of_buildkitd() -> None:
    """docker buildx's default stays unless entitlements are given, by flag or by setting."""
    allow = "--allow-insecure-entitlement=network.host"
    assert _container({})["args"] == [allow]
    assert _container({"buildkitd.flags": "--debug '--oci-worker-net=host'"})["args"] == [
        "--debug", "--oci-worker-net=host", allow,
    ]  # fmt: skip
    insecure = "--allow-insecure-entitlement=security.insecure"
    assert _container({"buildkitd.flags": [insecure]})["args"] == [insecure]
    config = "--config=/etc/buildkit/buildkitd.toml"
    assert _container({"buildkitd.entitlements": "none"})["args"] == [config]
    assert _container({"buildkitd.config": {"insecure-entitlements": []}})["args"] == [config]
    rootless = _container({"rootless": True, "buildkitd.max-parallelism": 1})["args"]
    assert rootless == [allow, "--oci-worker-no-process-sandbox", config]


def test_a_nodes_registry_is_added_to_the_builders() -> None:
    """Each host is an option of its own; a node overrides it or adds another."""
    problems = Problems()
    raw: Any = {
        "name": "kube",
        "driver-opts": {"buildkitd.registry": {"a": {"http": True}, "b": {"http": True}}},
        "nodes": [{"driver-opts": {"buildkitd.registry.b": {"http": False}}}],
    }
    spec = check_builder(raw, "default", problems)
    assert not problems.found
    assert spec.nodes[0].options.buildkitd_registry == {"a": {"http": True}, "b": {"http": False}}


@pytest.mark.parametrize(
    ("opts", "said"),
    [
        ({"buildkitd.flags": "--addr=tcp://0.0.0.0:1"}, "the pod sets this flag itself"),
        ({"buildkitd.flags": "debug"}, "give flags of buildkitd"),
        ({"buildkitd.flags": "'--debug"}, "the quote is never closed"),
        ({"buildkitd.config": "a ="}, "give the contents of a buildkitd.toml"),
        ({"buildkitd.config": {"workers": {}}}, 'buildkitd.toml has no such setting (did you mean "worker"?)'),
        ({"buildkitd.config": {"root": "/a"}}, '"root" is refused: the pod sets this itself'),
        ({"buildkitd.config": {"log": {"level": None}}}, "give log.level a value"),
        ({"buildkitd.registry.https://a": {}}, "give a registry's host"),
        ({"buildkitd.registry": {"a": {"mirror": []}}}, 'there is no such field (did you mean "mirrors"?)'),
        ({"buildkitd.registry": {"a": {"mirrors": ["https://m"]}}}, "give a registry's host"),
        ({"buildkitd.registry": {"a": {"ca": "own"}}}, "give a PEM certificate, a path in the container"),
        ({"buildkitd.registry": {"a": {"ca": {"key": "a"}}}}, "ca needs either secret or configmap"),
        ({"buildkitd.gc.max-used-space": "101%"}, "give 1% to 100%"),
        ({"buildkitd.gc.max-used-space": "10GB"}, "or a percentage of the disk"),
        ({"buildkitd.gc.policies": [{"maxBytes": 1}]}, "[0] has no such field"),
        ({"buildkitd.max-parallelism": 0}, "give a whole number from 1"),
        ({"buildkitd.entitlements": "network"}, "give a list of network.host, security.insecure, device"),
        ({"buildkitd.otel-socket-path": "otel.sock"}, "give an absolute path"),
        ({"buildkitd.gc.reserved-space": "2G", "buildkitd.gc.max-used-space": "1G"}, "it is at most buildkitd.gc.max-"),
        (
            {"buildkit-root-volume-memory": "6G", "buildkitd.gc.max-used-space": "6G"},
            "buildkitd.gc.max-used-space: \"6000000000\" is refused: it must be less than what there is",
        ),
        (
            {"limits.ephemeral-storage": "1G", "buildkitd.gc.policies": [{"maxUsedSpace": "2G"}]},
            "buildkitd.gc.policies[0].maxUsedSpace",
        ),
        (
            {"buildkitd.flags": "--allow-insecure-entitlement=device", "buildkitd.entitlements": "device"},
            "buildkitd.flags have --allow-insecure-entitlement, which overrides it",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(opts: dict[str, Any], said: str) -> None:
    """One problem, with the option's name and what is allowed."""
    problems = Problems()
    check_node("n", {"driver-opts": opts}, problems)  # type: ignore[typeddict-item]
    assert len(problems.found) == 1, problems.found
    assert said in str(problems.found[0])
    assert "buildkitd." in str(problems.found[0])
