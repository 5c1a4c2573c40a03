"""The solve that a command line becomes, held to what docker buildx 0.38.2 sent a daemon for the same line.

`data/buildx_command_lines.jsonl` was recorded through a proxy between docker buildx and a BuildKit daemon (remote
driver, linux/amd64): flags, environment, and either the solve or the last line of standard error.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from buildclient.cli.flags import request_of
from buildclient.cli.main import main, status_of
from buildclient.contract.platform import parse_platform
from buildclient.request.attrs import provenance_is_kept, solve_request
from buildclient.request.destinations import ToEngine, ToFile, ToFolder
from buildclient.request.flagtext import parse_tags
from buildclient.request.make import without_artifacts
from buildclient.request.solve import SolveRequest
from buildclient.request.values import BuildRequest, Output

DATA = Path(__file__).parents[1] / "data"
RECORDED = [json.loads(line) for line in (DATA / "buildx_command_lines.jsonl").read_text().splitlines()]
SOLVES = [row for row in RECORDED if "solve" in row]
REFUSED = [row for row in RECORDED if "error" in row]
# What buildx's last line says and ours does not, with the reason.
OTHERWISE = {
    "--network": "buildx points at an option of its own `create`",
}


def _id(row: dict[str, Any]) -> str:
    return " ".join([*(f"{key}={value}" for key, value in row["environment"].items()), *row["flags"]])


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that the recorded lines name."""
    (tmp_path / "work").mkdir()
    (tmp_path / "ctx").mkdir()
    (tmp_path / "ctx/Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(tmp_path / "work")
    for name in ("SOURCE_DATE_EPOCH", "DOCKER_DEFAULT_PLATFORM", "BUILDX_NO_DEFAULT_ATTESTATIONS", "BUILDX_BUILDER"):
        monkeypatch.delenv(name, raising=False)


def solve_of(flags: list[str], environment: dict[str, str]) -> SolveRequest:
    """The solve that our command line makes of flags."""
    command = main.get_command(None, "build")  # type: ignore[arg-type]
    assert command is not None
    with command.make_context("build", [*flags, "../ctx"], help_option_names=["-h", "--help"]) as context:
        request = request_of("../ctx", context.params, environment)
    return solve_request(request, request.platforms, ref="r", context_attrs=_context_attrs(request))


def _context_attrs(request: BuildRequest) -> dict[str, str]:
    """What `adapters.context` would add for these folders."""
    attrs = {"filename": "Dockerfile"}
    for name, path in request.build_contexts.items():
        attrs["frontend.caps"] = "moby.buildkit.frontend.contexts+forward"
        attrs[f"context:{name}"] = path if "://" in path else f"local:{name}"
    return attrs


@pytest.mark.parametrize("row", SOLVES, ids=_id)
def test_the_solve_is_docker_buildx_s(row: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Frontend, its attributes, exporters, caches and entitlements are equal to the letter."""
    if any("local" in str(entry.get("type")) for entry in row["solve"]["cache"].get("imports", [])):
        pytest.skip("a local cache is refused")
    monkeypatch.setattr("buildclient.cli.flags._machine", lambda: "linux/amd64")
    solve = solve_of(row["flags"], row["environment"])
    theirs = row["solve"]
    # Empty where the daemon refused the build before its frontend was asked for.
    assert solve.frontend == theirs["frontend"] or not theirs["frontend"]
    assert dict(solve.frontend_attrs) == theirs["attrs"]
    exporters = [{"type": one.type, "attrs": dict(one.attrs)} for one in solve.exporters]
    assert exporters == theirs["exporters"]
    caches = {
        kind: [{"type": one.type, **({"attrs": dict(one.attrs)} if one.attrs else {})} for one in entries]
        for kind, entries in (("exports", solve.cache_exports), ("imports", solve.cache_imports))
        if entries
    }
    assert caches == theirs["cache"]
    assert list(solve.entitlements) == theirs["entitlements"]


@pytest.mark.parametrize("row", REFUSED, ids=_id)
def test_a_refusal_ends_with_docker_buildx_s_last_line(
    row: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same words, but status 2, and a hint that names the flag above."""
    monkeypatch.setenv("BUILDCLIENT_BUILDER", json.dumps(_NOWHERE))
    for key, value in row["environment"].items():
        monkeypatch.setenv(key, value)
    status = status_of(["build", *row["flags"], "../ctx"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert status == 2
    if not any(text in _id(row) for text in OTHERWISE):
        assert last == row["error"]


def test_the_recording_is_worth_its_name() -> None:
    """Enough lines of both kinds, so that a recording cut short is noticed."""
    assert len(SOLVES) > 80
    assert len(REFUSED) > 40


def test_several_nodes_push_by_digest_without_tags() -> None:
    """Each node pushes its own index to the repository; the tags are for the merged one."""
    request = BuildRequest(
        tags=parse_tags(["a.example/b:1", "a.example/b:2", "a.example/c:1"]),
        platforms=(parse_platform("linux/arm64"),),
        outputs=(Output("image", {"push": "true", "unpack": "false"}),),
    )
    solve = solve_request(request, request.platforms, ref="r", context_attrs={}, several_nodes=True)
    assert solve.frontend_attrs["multi-platform"] == "true"
    assert dict(solve.exporters[0].attrs) == {
        "push": "true",
        "unpack": "false",
        "name": "a.example/b,a.example/c",
        "push-by-digest": "true",
    }


def test_only_the_node_of_the_engine_s_platform_makes_its_archive() -> None:
    """An engine that takes one image gets it from one node; the other outputs keep their numbers."""
    amd64, arm64 = parse_platform("linux/amd64"), parse_platform("linux/arm64")
    request = BuildRequest(
        platforms=(amd64, arm64),
        outputs=(Output("oci", {}, ToFile("x")), Output("oci", {}, ToEngine(platform=amd64))),
    )
    kinds = [
        [one.type for one in solve_request(request, [p], ref="r", context_attrs={}, several_nodes=True).exporters]
        for p in request.platforms
    ]
    assert kinds == [["oci", "oci"], ["oci"]]


_NOWHERE = {
    "version": 1,
    "name": "p",
    "namespace": "x",
    "loadbalance": "sticky",
    "defaultLoad": False,
    "kubernetes": {},
    "nodes": [{"name": "p0", "namespace": "x", "platforms": ["linux/amd64"], "address": "tcp://127.0.0.1:1"}],
}


def test_attestations_may_be_kept_from_being_artifacts() -> None:
    """BUILDX_NO_DEFAULT_OCI_ARTIFACT, for registries that refuse them; what an output itself says stays."""
    outputs = (
        Output("image", {"push": "true"}),
        Output("oci", {"oci-artifact": "true"}, ToFile("x")),
        Output("local", {}, ToFolder("y")),
    )
    assert without_artifacts(outputs, None) == outputs
    assert without_artifacts(outputs, "0") == outputs
    assert [output.attrs for output in without_artifacts(outputs, "1")] == [
        {"oci-artifact": "false", "push": "true"},
        {"oci-artifact": "true"},
        {},
    ]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, False),
        ({"outputs": (Output("image"),)}, True),
        ({"outputs": (Output("oci"),)}, True),
        ({"outputs": (Output("docker"), Output("local"), Output("tar"))}, False),
        ({"outputs": (Output("image"),), "attests": {"provenance": None}}, False),
        ({"outputs": (Output("local"),), "attests": {"provenance": "mode=max"}}, True),
        ({"outputs": (Output("image"),), "attests": {"sbom": ""}}, True),
        ({"metadata_provenance": "min", "attests": {"provenance": None}}, True),
    ],
)
def test_it_is_known_whether_a_provenance_gets_out(fields: dict[str, Any], kept: bool) -> None:
    """By default with images alone; asked for, with every output."""
    assert provenance_is_kept(BuildRequest(context=".", **fields)) is kept
