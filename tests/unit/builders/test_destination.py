"""Whether a builder's destination is the cluster that it is recorded in."""

from __future__ import annotations

from pathlib import Path

import pytest
from buildkit_builders.destination import Destination, Target, WrongCluster, decide
from buildkit_builders.guard import check_clusters
from buildkit_builders.recorded import (
    BUILDER_TYPE,
    NODE_TYPE,
    PROVIDER_TYPE,
    Recorded,
    Resource,
    recorded_in,
    short_names_in,
)
from buildkit_builders.results import StackError

from buildclient.contract.cluster import Cluster

A = Cluster("", "https://a.example", uid="ua", ca="sha256:a")
HERE = Target("here", "https://a.example", "default", "sha256:a")
THERE = Target("there", "https://b.example", "default", "sha256:b")


def never() -> str:
    raise AssertionError("the cluster was asked")


def test_a_new_builder_is_bound_to_the_context_and_told_by_its_uid() -> None:
    """What is recorded is the cluster's own uid; the provider gets the context's name."""
    found = decide(None, HERE, named="", same_context=lambda _: True, uid=lambda: "ua")
    assert found == Destination(A, "ua", "here")


def test_the_same_cluster_is_known_without_asking_it() -> None:
    """Server and authority as recorded: no request, and identifier and context stay."""
    recorded = Recorded(A, "old-identifier", "other-name")
    found = decide(recorded, HERE, named="", same_context=lambda name: name == "other-name", uid=never)
    assert found == Destination(A, "old-identifier", "other-name")


def test_a_context_that_is_not_here_is_replaced_by_the_one_at_hand() -> None:
    """Contexts have other names on other machines."""
    recorded = Recorded(A, "old-identifier", "other-name")
    found = decide(recorded, HERE, named="", same_context=lambda _: False, uid=never)
    assert (found.identifier, found.context) == ("old-identifier", "here")


def test_another_address_of_the_recorded_cluster_changes_nothing() -> None:
    """The uid decides where neither server nor authority tells; the recorded address stays."""
    recorded = Recorded(A, "ua", "here")
    found = decide(recorded, THERE, named="", same_context=lambda _: False, uid=lambda: "ua")
    assert found == Destination(A, "ua", "there")


@pytest.mark.parametrize("uid", ["ub", ""])
def test_another_cluster_or_an_unknown_one_is_refused_naming_both(uid: str) -> None:
    """Nothing goes where the stack is not, even if it cannot be told for sure."""
    with pytest.raises(WrongCluster) as caught:
        decide(Recorded(A, "ua", "here"), THERE, named="", same_context=lambda _: False, uid=lambda: uid)
    for text in ("https://a.example", '"here"', "https://b.example", '"there"', "builders move"):
        assert text in str(caught.value)


def test_one_address_that_leads_to_another_cluster_is_refused() -> None:
    """A cluster made anew on the same port has another uid."""
    again = HERE._replace(ca="sha256:b")
    with pytest.raises(WrongCluster):
        decide(Recorded(A, "ua", "here"), again, named="", same_context=lambda _: True, uid=lambda: "ub")


@pytest.mark.parametrize(("named", "moving"), [("there", False), ("", True)])
def test_a_builder_moves_when_config_or_command_says_so(named: str, moving: bool) -> None:
    """Another identifier replaces every object: made here, deleted by the recorded context."""
    found = decide(
        Recorded(A, "ua", "here"), THERE, named=named, same_context=lambda _: False, uid=lambda: "ub", moving=moving
    )
    assert (found.identifier, found.context, found.cluster.uid) == ("ub", "there", "ub")
    assert found.moving


def test_nothing_moves_away_from_a_provider_that_follows_the_current_context() -> None:
    """Its deletes would go to the new cluster."""
    with pytest.raises(WrongCluster, match="does not say by which context"):
        decide(Recorded(A, "ua", ""), THERE, named="", same_context=lambda _: False, uid=lambda: "ub", moving=True)


def test_a_stack_of_an_older_version_keeps_its_identifier_and_gains_a_uid() -> None:
    """Only the server was recorded then."""
    recorded = Recorded(Cluster("", "https://a.example"), "https://a.example", "")
    found = decide(recorded, HERE, named="", same_context=lambda _: True, uid=lambda: "ua")
    assert found == Destination(A, "https://a.example", "here")


URN = "urn:pulumi:dev::builder::"


def _resources(**provider: str) -> list[tuple[str, str, dict[str, object]]]:
    output = {
        "version": 1,
        "name": "kube",
        "nodes": [{"name": "n", "address": "tcp://n:1"}],
        "kubernetes": {"server": "https://192.0.2.1:6443", "uid": "ua"},
    }
    return [
        (f"{URN}builder:index:Builder::kube", "builder:index:Builder", {"output": output}),
        (f"{URN}builder:index:Builder${PROVIDER_TYPE}::kube-kubernetes", PROVIDER_TYPE, dict(provider)),
    ]


def test_a_state_tells_cluster_identifier_and_context() -> None:
    """A kubeconfig's contents, which are secret, are not told."""
    resources = _resources(context="here", clusterIdentifier="ua", kubeconfig="apiVersion: v1\nkind: Config")
    found = dict(recorded_in(resources))
    assert found["kube"] == Recorded(Cluster("", "https://192.0.2.1:6443", "ua"), "ua", "here", "", True)


def test_a_destroy_by_a_context_of_the_same_name_that_leads_elsewhere_stops(tmp_path: Path) -> None:
    """The state alone would lead Pulumi to a stranger's cluster."""
    config = tmp_path / "config"
    config.write_text(
        '{"contexts": [{"name": "here", "context": {"cluster": "c"}}], '
        '"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]}'
    )
    state = {"resources": [{"urn": urn, "type": kind, "outputs": o} for urn, kind, o in _resources(context="here")]}
    with pytest.raises(StackError, match=r"is in cluster https://192\.0\.2\.1:6443"):
        check_clusters("dev", state, {"KUBECONFIG": str(config)})


def _node(name: str, parents: str = f"{BUILDER_TYPE}$") -> list[Resource]:
    kind = "kubernetes:apps/v1:Deployment"
    return [
        (f"{URN}{parents}{NODE_TYPE}::{name}", NODE_TYPE, {}),
        (f"{URN}{parents}{NODE_TYPE}${kind}::{name}-deployment", kind, {}),
    ]


def _kept(name: str, *nodes: str) -> Resource:
    output = {"nodes": [{"name": node} for node in nodes]} if nodes else "unreadable"
    return f"{URN}{BUILDER_TYPE}::{name}", BUILDER_TYPE, {"output": output}


SHORT: dict[str, tuple[list[Resource], set[str], set[str]]] = {
    "a new stack": ([], set(), set()),
    "recorded before": ([_kept("a", "n"), *_node("n")], {"n"}, set()),
    "recorded since": ([_kept("a", "n"), *_node("a-n")], set(), set()),
    "both since": ([_kept("a", "n"), _kept("b", "n"), *_node("a-n"), *_node("b-n")], set(), set()),
    "one before, one since": ([_kept("a", "n"), _kept("b", "m"), *_node("a-n"), *_node("m")], set(), {"m"}),
    "no output left": ([_kept("a"), _kept("b", "m"), *_node("n"), *_node("m")], {"n"}, {"m"}),
    "an update that ended between": ([_kept("a", "n"), _node("a-n")[0], _node("n")[1]], {"n"}, set()),
    "a node alone": ([_kept("a", "n"), *_node("n", "")], set(), set()),
    "like both": ([_kept("a", "n"), _kept("b", "a-n"), *_node("a-n"), *_node("b-a-n")], set(), set()),
}
"""A state, and the short names that builders a and b have in it."""


@pytest.mark.parametrize("case", SHORT)
def test_a_short_name_in_a_state_is_one_builders(case: str) -> None:
    """Pulumi ends where two resources claim one old name, so an alias goes to the builder that has it, and no other."""
    resources, *wanted = SHORT[case]
    assert [short_names_in(resources, name, ["n", "m", "a-n"]) for name in ("a", "b")] == wanted
