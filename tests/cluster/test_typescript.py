"""The components in TypeScript: the SDK made from the schema, the example's types, and a run with the real engine."""

from __future__ import annotations

import shutil
import uuid

import pytest

from tests.cluster.typescript_project import EXAMPLE, TypescriptProject, typescript_project

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js and npm"),
]


@pytest.fixture(scope="module")
def project(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> TypescriptProject:
    """The example, compiled: its types are right."""
    return typescript_project(tmp_path_factory.mktemp("typescript") / "project", cluster)


def test_the_compiler_knows_options_enums_and_numbers(project: TypescriptProject) -> None:
    """A misspelled option, a value that no enum has, a text for a number: each an error at its place."""
    source = (EXAMPLE / "index.ts").read_text()
    mistakes = (
        ("requestsMemory", "requestMemory", "'requestMemory' does not exist"),
        ('"sticky"', '"stiky"', "Did you mean '\"sticky\"'"),
        ("replicas: 2", 'replicas: "two"', "Type 'string' is not assignable"),
    )
    for right, wrong, _ in mistakes:
        assert right in source
        source = source.replace(right, wrong)
    said = project.check(source)
    assert said.count("error TS") == len(mistakes)
    for _, _, error in mistakes:
        assert error in said


def test_the_example_runs_with_the_real_engine(project: TypescriptProject) -> None:
    """Up, with the output that build clients read; destroy."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    try:
        up = project.run("up", namespace)
        assert up["changes"]["create"] >= 11
        builder = up["outputs"]["builder"]["value"]
        assert builder["namespace"] == namespace
        assert [node["platforms"] for node in builder["nodes"]] == [["linux/amd64"], ["linux/arm64"]]
    finally:
        project.run("destroy", namespace)
