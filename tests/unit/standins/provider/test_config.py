"""The provider stand-in's configuration: what replaces it, what it refuses."""

from __future__ import annotations

from standins.provider.config import config_changes, config_problems
from standins.provider.values import UNKNOWN

KUBECONFIG = """
clusters: [{name: one, cluster: {server: "https://one:1/"}}, {name: two, cluster: {server: "https://two:1"}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: a, context: {cluster: one, user: u, namespace: n}}, {name: b, context: {cluster: two, user: u}}]
current-context: a
"""


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
