"""The cluster that a kubeconfig and a context name."""

from __future__ import annotations

from pathlib import Path

import pytest
from buildkit_builders.destination import Target
from buildkit_builders.kubeconfig import find_cluster
from buildkit_builders.options.problems import Problems

CONFIG = """\
apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: one, user: u}}
- {name: team, context: {cluster: two, user: u, namespace: team-a}}
clusters:
- {name: one, cluster: {server: "https://one:6443"}}
- {name: two, cluster: {server: "https://two:6443"}}
"""


def find(kubeconfig: str = "", context: str = "", **environ: str) -> tuple[Target, list[str]]:
    """The target and the problems on the way to it."""
    problems = Problems("builder:")
    target = find_cluster(kubeconfig, context, environ, problems)
    return target, [str(problem) for problem in problems.found]


def test_the_current_context_is_the_default() -> None:
    """Without a context the current one counts, with namespace `default`."""
    assert find(CONFIG) == (Target("here", "https://one:6443", "default"), [])


def test_a_named_context_brings_its_namespace() -> None:
    """A context's own namespace becomes the default."""
    assert find(CONFIG, "team") == (Target("team", "https://two:6443", "team-a"), [])


def test_kubeconfig_lists_files_and_the_first_wins(tmp_path: Path) -> None:
    """Of several files in KUBECONFIG, missing ones are passed over and the first to name a thing wins."""
    first = tmp_path / "first"
    first.write_text("contexts: [{name: here, context: {cluster: one, namespace: mine}}]\n")
    second = tmp_path / "second"
    second.write_text(CONFIG)
    listed = f"{tmp_path}/missing:{first}:{second}"
    assert find(KUBECONFIG=listed) == (Target("here", "https://one:6443", "mine"), [])


def test_a_pod_finds_its_own_cluster(tmp_path: Path) -> None:
    """Without any kubeconfig, a pod's environment names the server."""
    target, problems = find(HOME=str(tmp_path), KUBERNETES_SERVICE_HOST="10.0.0.1", KUBERNETES_SERVICE_PORT="443")
    assert (target.server, problems) == ("https://10.0.0.1:443", [])


@pytest.mark.parametrize(
    ("kubeconfig", "context", "key", "said"),
    [
        (CONFIG, "tem", "builder:context", 'did you mean "team"'),
        (CONFIG, "x", "builder:context", "known: here, team"),
        (CONFIG.replace("current-context: here\n", ""), "", "builder:context", "no current context"),
        ("contexts: []\nkind: Config\n", "", "builder:kubeconfig", "names no context"),
        ('{"a": 1}', "x", "builder:kubeconfig", "names no context"),
        ("/nowhere/at/all", "", "builder:kubeconfig", "no such file"),
        ("apiVersion: v1\n\t:::", "", "builder:kubeconfig", "not a kubeconfig"),
        ("", "team", "builder:context", "there is no kubeconfig"),
        ("", "", "builder:kubeconfig", "no cluster"),
    ],
)
def test_what_cannot_be_found_is_told(kubeconfig: str, context: str, key: str, said: str) -> None:
    """Each failure is one problem that names the config key."""
    _, problems = find(kubeconfig, context, HOME="/nowhere")
    assert len(problems) == 1, problems
    assert problems[0].startswith(key)
    assert said in problems[0]
