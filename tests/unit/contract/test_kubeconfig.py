"""One table of kubeconfigs for all who read them: the builder's side, the client, and the stand-in for the provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from buildkit_builders.kubeconfig import find_cluster
from buildkit_builders.options.problems import Problems
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UnreachableError
from buildclient.contract.kubeconfig import Entries, KubeconfigError, merge, read_entries
from buildclient.kube.kubeconfig import load_kubeconfig
from standins.provider import kubeconfig as standin

SERVER = "https://one.example:6443"
GOOD: dict[str, Any] = {
    "contexts": [{"name": "x", "context": {"cluster": "c"}}],
    "clusters": [{"name": "c", "cluster": {"server": SERVER}}],
    "users": [{"name": "u", "user": {}}],
    "current-context": "x",
}

# (the kubeconfig, the server of its current context or else what is wrong)
CASES: list[tuple[dict[str, Any], str]] = [
    (GOOD, SERVER),
    ({**GOOD, "users": None}, SERVER),
    ({**GOOD, "users": [{"name": "u", "user": None}]}, SERVER),
    ({**GOOD, "contexts": [{"context": {"cluster": "gone"}}, *GOOD["contexts"]]}, SERVER),
    ({**GOOD, "contexts": [*GOOD["contexts"], {"name": "x", "context": {"cluster": "later"}}]}, SERVER),
    (
        {
            **GOOD,
            "contexts": [{"name": 7, "context": {"cluster": 8}}],
            "clusters": [{"name": 8, "cluster": {"server": SERVER}}],
            "current-context": 7,
        },
        SERVER,
    ),
    ({**GOOD, "contexts": {"name": "x"}}, "contexts must be a list"),
    ({**GOOD, "contexts": ["x"]}, "contexts[0] must be a mapping"),
    ({**GOOD, "contexts": [{"name": "x", "context": "c"}]}, "contexts[0].context must be a mapping"),
    ({**GOOD, "clusters": 5}, "clusters must be a list"),
    ({**GOOD, "clusters": [*GOOD["clusters"], None]}, "clusters[1] must be a mapping"),
    ({**GOOD, "clusters": [{"name": "c", "cluster": [SERVER]}]}, "clusters[0].cluster must be a mapping"),
    ({**GOOD, "users": "u"}, "users must be a list"),
    ({**GOOD, "users": [{"name": "u", "user": "me"}]}, "users[0].user must be a mapping"),
]


def _builders(path: Path) -> str:
    problems = Problems()
    found = find_cluster(str(path), "", {}, problems)
    return "\n".join(map(str, problems.found)) or found.server


def _client(path: Path) -> str:
    try:
        config = load_kubeconfig({}, str(path))
        return config.access(config.current).server
    except UnreachableError as error:
        return str(error)


def _standin(path: Path) -> str:
    try:
        return standin.resolve(standin.load(str(path))).server
    except standin.KubeconfigError as error:
        return str(error)


@pytest.mark.parametrize("reader", [_builders, _client, _standin])
@pytest.mark.parametrize(("document", "expected"), CASES)
def test_all_readers_agree(reader: Any, document: dict[str, Any], expected: str, tmp_path: Path) -> None:
    """Each finds the same server, or says in one line which field is wrong."""
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(document))
    said = reader(path)
    assert said == expected if expected == SERVER else said.endswith(expected)
    assert "\n" not in said


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["contexts", "clusters", "users", "name", "context", "cluster", "user", "current-context"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(_json, max_size=3))
def test_any_document_is_read_or_refused(documents: list[Any]) -> None:
    """Whatever a file holds, the result is entries by name or a KubeconfigError."""
    try:
        merged = merge([read_entries(document) for document in documents])
    except KubeconfigError:
        return
    for table in (merged.contexts, merged.clusters, merged.users):
        assert all(isinstance(entry, dict) for entry in table.values())
    assert isinstance(merged.server(merged.current), str)


def test_the_first_file_that_names_a_thing_wins() -> None:
    """Later files add what earlier ones lack."""
    first = Entries({"a": {"cluster": "1"}}, {}, {}, "")
    second = Entries({"a": {"cluster": "2"}, "b": {"cluster": "1"}}, {"1": {"server": "s"}}, {}, "b")
    merged = merge([first, second])
    assert (merged.contexts["a"], merged.current, merged.server("b")) == ({"cluster": "1"}, "b", "s")
