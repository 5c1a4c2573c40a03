"""Policies that docker buildx would evaluate: found, and not passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildclient.base.errors import UsageError
from buildclient.inputs.context import prepare
from buildclient.inputs.policy import remote_policy
from buildclient.request.make import build_request
from buildclient.request.values import BuildRequest


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A context with a Dockerfile and a policy beside it."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "Dockerfile.rego").write_text("package docker\n")
    return tmp_path


def refusal(request: BuildRequest) -> str:
    """Why the inputs are refused; empty if they are not."""
    try:
        with prepare(request):
            return ""
    except UsageError as error:
        return str(error)


def test_a_policy_beside_the_dockerfile(context: Path) -> None:
    """It is refused without any flag; the line names it and says how to go on."""
    said = refusal(build_request(str(context)))
    assert said.startswith(f"{context}/Dockerfile.rego is a source policy")
    assert "--policy disabled=true" in said


@pytest.mark.parametrize("flag", ["disabled=true", "reset=true"])
def test_a_policy_that_is_not_wanted(context: Path, flag: str) -> None:
    """Without it the build goes on."""
    assert refusal(build_request(str(context), policies=[flag])) == ""


def test_the_dockerfiles_own_policy(context: Path) -> None:
    """Its name follows the Dockerfile's, and its folder too."""
    other = context / "sub"
    other.mkdir()
    (other / "app.Dockerfile").write_text("FROM scratch\n")
    dockerfile = str(other / "app.Dockerfile")
    assert refusal(build_request(str(context), dockerfile=dockerfile)) == ""
    (other / "app.Dockerfile.rego").symlink_to(context / "Dockerfile.rego")
    assert refusal(build_request(str(context), dockerfile=dockerfile)).startswith(f"{dockerfile}.rego is a source")


def test_a_dangling_link_is_no_policy(context: Path) -> None:
    """As for docker buildx, which finds nothing to read."""
    (context / "Dockerfile.rego").unlink()
    (context / "Dockerfile.rego").symlink_to("nowhere")
    assert refusal(build_request(str(context))) == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_policy_that_cannot_be_looked_for(context: Path) -> None:
    """A folder that may not be searched ends the build."""
    context.chmod(0o600)
    try:
        assert "failed to read policy file" in refusal(build_request(str(context)))
    finally:
        context.chmod(0o700)


def test_a_named_policy(context: Path) -> None:
    """A file of a flag is refused too."""
    request = build_request(str(context), policies=["reset=true,filename=policy/own.rego"])
    assert refusal(request).startswith("policy/own.rego is a source policy")


@pytest.mark.parametrize(
    ("context", "dockerfile", "policies", "name"),
    [
        ("https://example.test/r.git", "", [], "Dockerfile.rego"),
        ("https://example.test/r.git#main:sub", "b/Dockerfile", [], "b/Dockerfile.rego"),
        ("git@example.test:r", "", [], "Dockerfile.rego"),
        ("ssh://git@example.test/r", "", [], "Dockerfile.rego"),
        ("github.com/a/b", "", [], "Dockerfile.rego"),
        ("https://example.test/r.git", "", ["disabled=true"], ""),
        ("https://example.test/r.git", "-", [], ""),
        ("https://example.test/r.git", "/a/Dockerfile", [], ""),
        ("https://example.test/r.tar.gz", "", [], "Dockerfile.rego"),
        ("-", "", [], ""),
    ],
)
def test_policies_in_remote_contexts(context: str, dockerfile: str, policies: list[str], name: str) -> None:
    """Only a context that holds the Dockerfile can hold a policy beside it."""
    request = build_request(context, dockerfile=dockerfile, policies=policies)
    assert remote_policy(request, dockerfile or "Dockerfile") == name
