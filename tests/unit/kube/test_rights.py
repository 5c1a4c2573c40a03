"""The missing right in what an API server says."""

from __future__ import annotations

import pytest

from buildclient.kube.api import api_failure
from buildclient.kube.rights import missing_right

_SAID = 'pods "p" is forbidden: User "ci" cannot create resource "pods/exec" in API group "" in the namespace "n"'


@pytest.mark.parametrize(
    ("said", "right", "hint"),
    [
        (_SAID, "ci may not create pods/exec in namespace n", "clients of a claim, gives the rights of a build"),
        (
            'User "u" cannot patch resource "deployments/scale" in API group "apps" in the namespace "n": RBAC: gone',
            "u may not patch deployments.apps/scale in namespace n", "client with scale: true",
        ),
        (
            'User "u" cannot list resource "events" in API group "" in the namespace "n"',
            "u may not list events in namespace n", "client with events: true",
        ),
        (
            'User "u" cannot get resource "nodes" in API group "" at the cluster scope',
            "u may not get nodes in the whole cluster", "builder:clients",
        ),
    ],
)  # fmt: skip
def test_the_right_is_read(said: str, right: str, hint: str) -> None:
    """User, verb, resource with group and subresource, namespace; and who gives the right."""
    found = missing_right(said)
    assert str(found) == right
    assert found is not None
    assert found.hint.endswith(hint) or hint in found.hint


def test_another_refusal_keeps_its_words() -> None:
    """An admission policy's reason is not taken for a missing right, nor is an exec refused with a reason."""
    for said in ('pods "p" is forbidden: violates PodSecurity "restricted"', "no", ""):
        assert missing_right(said, "n") is None
    error = api_failure(403, b'{"message": "no"}', "cannot x", "here")
    assert (str(error), error.right) == ("cannot x (here): forbidden (RBAC): no", None)


def test_an_exec_without_a_reason_lacks_create() -> None:
    """The exec handler asks for that verb itself, and its refusal says nothing."""
    error = api_failure(403, b'{"message": "pods \\"p\\" is forbidden: "}', "cannot exec", "here", "n")
    assert str(error.right) == "the user may not create pods/exec in namespace n"
    assert str(error).endswith(
        "may not create pods/exec in namespace n; builder:clients, or clients of a claim, gives the rights of a build"
    )
