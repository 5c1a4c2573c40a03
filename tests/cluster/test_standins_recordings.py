"""The stand-ins do what the real provider was recorded to do, command by command."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from standins_replay import (
    RECORDED,
    RECORDED_STATE,
    STEPS,
    Replay,
    diagnostics_of,
    errors,
    last_lines,
    masked,
    section,
    steps_of,
    type_and_name,
)

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(600)]

PREVIEWS = [step.key for step in STEPS if "--json" in step.arguments]
RUNS = [step.key for step in STEPS if "--json" not in step.arguments]
SUMMARIES = [key for key in PREVIEWS if key != "54-conflict-preview"]


@pytest.fixture(scope="module")
def answers(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every command's answer, from one replay."""
    _clear(cluster)
    try:
        return Replay(tmp_path_factory.mktemp("replay"), cluster).all()
    finally:
        _clear(cluster)


def _clear(cluster: dict[str, str]) -> None:
    """The program's namespace has a fixed name; an interrupted replay may have left it."""
    subprocess.run(
        ["kubectl", "delete", "namespace", "recording", "--ignore-not-found"],
        env=cluster,
        capture_output=True,
        timeout=120,
        check=True,
    )


def test_every_recorded_command_is_replayed() -> None:
    """No key of the recording is left out."""
    assert [step.key for step in STEPS] == list(RECORDED)


def test_the_comparison_sees_what_was_recorded() -> None:
    """Reading the recording finds steps, status lines, errors and outputs: an empty comparison would prove nothing."""
    assert len(steps_of(RECORDED["00-create-preview"])) == 11
    assert len(last_lines(RECORDED["01-create-up"]["log"])) == 11
    assert last_lines(RECORDED["21-template-up"]["log"])["kubernetes:core/v1:ConfigMap", "config"] == (
        "--",
        "deleted original (TIME) [diff: ~data];",
    )
    assert errors(RECORDED["60-badimage-up"]["log"]) == {"error: 3 errors occurred:", "error: update failed"}
    assert section(RECORDED["21-template-up"]["log"], "Resources") == [
        "    +-1 replaced",
        "    2 changes. 10 unchanged",
        "    ~ 1 updated",
    ]
    assert section(RECORDED["11-update-up"]["log"], "Outputs") == [
        '    config  : "config-XXXXXXXX"',
        "  ~ replicas: 1 => 2",
    ]
    assert diagnostics_of(RECORDED["54-conflict-preview"]) == {
        "error: Preview failed: 1 error occurred:",
        "error: preview failed",
    }


@pytest.mark.parametrize("key", PREVIEWS)
def test_previews_have_the_recorded_steps(answers: dict[str, Any], key: str) -> None:
    """Operations, detailed diffs and replace reasons are equal."""
    assert steps_of(answers[key]) == steps_of(RECORDED[key])


@pytest.mark.parametrize("key", SUMMARIES)
def test_previews_have_the_recorded_summary(answers: dict[str, Any], key: str) -> None:
    """The counts of changes are equal."""
    assert answers[key]["changeSummary"] == RECORDED[key]["changeSummary"]


@pytest.mark.parametrize("key", PREVIEWS)
def test_previews_have_the_recorded_diagnostics(answers: dict[str, Any], key: str) -> None:
    """The first lines of errors and warnings are equal."""
    assert diagnostics_of(answers[key]) == diagnostics_of(RECORDED[key])


@pytest.mark.parametrize("key", RUNS)
def test_runs_end_with_the_recorded_status_lines(answers: dict[str, Any], key: str) -> None:
    """The last status line of each resource is equal."""
    assert last_lines(answers[key]["log"]) == last_lines(RECORDED[key]["log"])


@pytest.mark.parametrize("key", RUNS)
@pytest.mark.parametrize("title", ["Outputs", "Resources"])
def test_runs_end_with_the_recorded_sections(answers: dict[str, Any], key: str, title: str) -> None:
    """Outputs and counts of resources are equal."""
    assert section(answers[key]["log"], title) == section(RECORDED[key]["log"], title)


@pytest.mark.parametrize("key", RUNS)
def test_runs_fail_with_the_recorded_errors(answers: dict[str, Any], key: str) -> None:
    """The first line of each error is equal; runs recorded without error have none."""
    assert errors(answers[key]["log"]) == errors(RECORDED[key]["log"])


def _shape(value: Any) -> Any:
    """Keys and types, without values; encrypted values are one type."""
    if isinstance(value, dict):
        return "secret" if "ciphertext" in value else {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_shape(item) for item in value), key=str)
    return type(value).__name__


def _comparable(resource: dict[str, Any]) -> dict[str, Any]:
    outputs = {
        key: value
        for key, value in resource["outputs"].items()
        # Which status fields there are depends on the moment.
        if key != "status"
    }
    metadata = dict(outputs["metadata"])
    # The controllers' name for themselves is that of their binary.
    managers = {
        (masked(entry["manager"]), entry["operation"], entry.get("subresource", ""))
        for entry in metadata.pop("managedFields", [])
        if not entry["manager"].endswith("controller-manager")
    }
    return {
        "id": masked(resource["id"]),
        "outputs": _shape({**outputs, "metadata": metadata}),
        "managers": sorted(managers),
        "secret": sorted(resource.get("additionalSecretOutputs", [])),
        "dependencies": resource["propertyDependencies"],
        "timeouts": resource.get("customTimeouts"),
    }


def _inputs(resource: dict[str, Any]) -> str:
    """The inputs as text, without random names, the image and encrypted values."""
    text = masked(str(_without_secrets(resource["inputs"])))
    return text.replace("localhost:5000/buildkit:local", "IMAGE").replace("moby/buildkit:buildx-stable-1", "IMAGE")


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return "secret" if "ciphertext" in value else {key: _without_secrets(value[key]) for key in sorted(value)}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("recorded", RECORDED_STATE, ids=lambda found: "-".join(type_and_name(found["urn"])))
def test_state_has_the_recorded_shape(answers: dict[str, Any], recorded: dict[str, Any]) -> None:
    """Inputs are equal, outputs have the same keys, the same managers own fields, the same values are secret."""
    found = next(one for one in answers["state"] if one["urn"] == recorded["urn"])
    assert _inputs(found) == _inputs(recorded)
    assert _comparable(found) == _comparable(recorded)


def test_nothing_is_left_behind(answers: dict[str, Any], cluster: dict[str, str], tmp_path: Path) -> None:
    """The destroy at the end took the namespace with it."""
    done = subprocess.run(
        ["kubectl", "get", "namespace", "recording"], env=cluster, capture_output=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert b"NotFound" in done.stderr
