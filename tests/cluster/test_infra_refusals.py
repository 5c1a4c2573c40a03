"""Bad config through the real Pulumi CLI: a failed preview, every problem listed, no traceback, nothing made."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cluster.infra_project import PulumiProject
from tests.unit.builders.malformed_infra import CONFIGS, MAPPINGS, TEXTS

pytestmark = pytest.mark.cluster


def _is_json(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


_NAMED = [
    (config, name) for config, name in CONFIGS if config.get("name") and "context" not in config and _is_json(config)
]


@pytest.fixture(scope="module")
def project(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> PulumiProject:
    """A project with an empty stack."""
    made = PulumiProject(tmp_path_factory.mktemp("project"), cluster)
    assert made.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    return made


def _refused(project: PulumiProject, *names: str) -> None:
    for arguments in (["preview"], ["up", "--yes", "--skip-preview"]):
        done = project.pulumi(*arguments)
        assert done.status != 0, done.output
        for name in names:
            assert name in done.output, done.output
        assert "Traceback" not in done.output
        assert 'File "' not in done.output
        assert "problem" in done.output
        assert not any(kind in done.output for kind in ("Deployment", "ConfigMap", "BuilderNode")), done.output
    left = project.run("pulumi", "stack", "export", "--stack", "test", "--non-interactive").output
    assert "kubernetes:" not in left


@pytest.mark.parametrize(("config", "name"), _NAMED[1::9])
def test_bad_config_fails_in_preview_by_name(project: PulumiProject, config: dict[str, Any], name: str) -> None:
    """A wrong config ends the preview with a message that names the key, and an update changes nothing."""
    project.configure(**config)
    _refused(project, name)


def test_bad_options_of_several_nodes_are_all_listed(project: PulumiProject) -> None:
    """One preview tells of every node's problems, from text and structured options alike."""
    text, text_name = TEXTS[0]
    structured, structured_name = MAPPINGS[0]
    nodes = [{"driver-opts": text}, {"driver-opts": structured}, {"driver-opts": "timeout=120"}]
    project.configure(name="kube", namespace="default", nodes=nodes)
    _refused(project, text_name, structured_name, "builder:nodes[2].driver-opts.timeout", "120s")


def test_hundreds_of_malformed_options_are_told_in_one_preview(project: PulumiProject) -> None:
    """More than 200 wrong texts and structured options, a node each: every one has a line that names its option."""
    wrong: list[tuple[Any, str]] = [*TEXTS, *(case for case in MAPPINGS if _is_json(case[0]))]
    project.configure(name="kube", namespace="default", nodes=[{"driver-opts": options} for options, _ in wrong])
    assert len(wrong) > 200
    done = project.pulumi("preview")
    assert done.status != 0
    assert "Traceback" not in done.output
    told: dict[int, str] = {}
    for line in done.output.splitlines():
        if found := re.match(r"\s+builder:nodes\[(\d+)\]", line):
            told[int(found[1])] = told.get(int(found[1]), "") + line
    silent = [options for index, (options, name) in enumerate(wrong) if name not in told.get(index, "")]
    assert not silent
    left = project.run("pulumi", "stack", "export", "--stack", "test", "--non-interactive").output
    assert "kubernetes:" not in left


def test_an_unknown_context_is_told_with_the_known_ones(project: PulumiProject) -> None:
    """A context that is not in the kubeconfig fails like any other config."""
    project.configure(name="kube", context="nowhere", nodes=[{"driver-opts": "replicas=x"}])
    _refused(project, "builder:context", "known: ", "replicas")
