"""The stand-ins do what the real provider was recorded to do, command by command."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.standins_replay import (
    RECORDED,
    RECORDED_STATE,
    STEPS,
    Replay,
    diagnostics_of,
    last_lines,
    masked,
    messages,
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
    assert len(last_lines(RECORDED["55-conflict-up"]["log"])) == 11
    said = messages(RECORDED["60-badimage-up"]["log"])
    assert said["pulumi:pulumi:Stack (recording-dev)"] == "error: update failed"
    assert said["kubernetes:apps/v1:Deployment (builder)"].splitlines()[:3] == [
        "error: 3 errors occurred:",
        '* the Kubernetes API server reported that "recording/builder" failed to fully initialize or become live: '
        "'builder' timed out waiting to be Ready",
        "* Minimum number of Pods to consider the application live was not attained",
    ]
    assert section(RECORDED["21-template-up"]["log"], "Resources") == [
        "    +-1 replaced",
        "    2 changes. 10 unchanged",
        "    ~ 1 updated",
    ]
    assert section(RECORDED["11-update-up"]["log"], "Outputs") == [
        '    config  : "config-XXXXXXXX"',
        "  ~ replicas: 1 => 2",
    ]
    assert {text.splitlines()[0] for text in diagnostics_of(RECORDED["54-conflict-preview"])} == {
        "error: Preview failed: 1 error occurred:",
        "error: preview failed",
    }


def _replaced(log: list[str], old: str, new: str) -> None:
    assert any(old in line for line in log)
    log[:] = [line.replace(old, new) for line in log]


Altered = Callable[[dict[str, Any]], object]
Read = Callable[[dict[str, Any]], object]

DEVIATIONS: dict[str, tuple[str, Altered, Read]] = {
    "a step less": ("10-update-preview", lambda found: found["steps"].pop(), steps_of),
    "another operation": ("10-update-preview", lambda found: found["steps"][0].update(op="replace"), steps_of),
    "a changed field less": (
        "10-update-preview",
        lambda found: found["steps"][0]["detailedDiff"].pop("spec.replicas"),
        steps_of,
    ),
    "another kind of change": (
        "20-template-preview",
        lambda found: found["steps"][0]["detailedDiff"]['data["buildkitd.toml"]'].update(kind="update"),
        steps_of,
    ),
    "a reason to replace less": (
        "20-template-preview",
        lambda found: found["steps"][0].update(replaceReasons=[]),
        steps_of,
    ),
    "no drift": ("50-drift-refresh-preview", lambda found: found["steps"][6].update(op="refresh"), steps_of),
    "another manager in the way": (
        "54-conflict-preview",
        lambda found: found["diagnostics"].append(found["diagnostics"].pop(0).replace('"scale"', '"status"')),
        diagnostics_of,
    ),
    "a replacement in the wrong order": (
        "31-selector-up",
        lambda found: _replaced(found["log"], "created replacement", "deleted original"),
        lambda found: last_lines(found["log"]),
    ),
    "a resource not refreshed": (
        "55-conflict-up",
        lambda found: _replaced(found["log"], "Secret token", "Secret other"),
        lambda found: last_lines(found["log"]),
    ),
    "another random name kept": (
        "21-template-up",
        lambda found: _replaced(found["log"], ' => "config-d082b093"', ""),
        lambda found: section(found["log"], "Outputs"),
    ),
    "one update less": (
        "53-drift-up",
        lambda found: _replaced(found["log"], "    ~ 1 updated", ""),
        lambda found: section(found["log"], "Resources"),
    ),
    "another reason of failure": (
        "60-badimage-up",
        lambda found: _replaced(found["log"], "timed out waiting to be Ready", "was cancelled"),
        lambda found: messages(found["log"]),
    ),
    "no advice": (
        "71-conflict-up",
        lambda found: _replaced(found["log"], "use `pulumi import`", ""),
        lambda found: messages(found["log"]),
    ),
}


@pytest.mark.parametrize(("key", "alter", "read"), DEVIATIONS.values(), ids=DEVIATIONS)
def test_the_comparison_notices_deviations(key: str, alter: Altered, read: Read) -> None:
    """An answer that differs from the recording in one point does not compare as equal to it."""
    found = copy.deepcopy(RECORDED[key])
    assert read(found) == read(RECORDED[key])
    alter(found)
    assert read(found) != read(RECORDED[key])


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
    """Errors and warnings are equal."""
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
    """Errors and warnings of each resource are equal; runs recorded without any have none."""
    assert messages(answers[key]["log"]) == messages(RECORDED[key]["log"])


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


def test_nothing_is_left_behind(answers: dict[str, Any], cluster: dict[str, str]) -> None:
    """The destroy at the end took the namespace with it."""
    done = subprocess.run(
        ["kubectl", "get", "namespace", "recording"], env=cluster, capture_output=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert b"NotFound" in done.stderr
