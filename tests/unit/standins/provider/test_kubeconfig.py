"""The kubeconfig that the provider stand-in is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from standins.provider import kubeconfig
from standins.provider.kubeconfig import KubeconfigError

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
