"""What an engine is given of a request."""

from __future__ import annotations

import pytest

from buildclient.contract.platform import Platform, parse_platforms
from buildclient.engine.address import parse_address
from buildclient.engine.docker import DockerEngine
from buildclient.engine.errors import EngineError
from buildclient.engine.messages import EngineInfo
from buildclient.request.destinations import ToEngine, ToFile
from buildclient.request.values import BuildRequest, Output
from buildclient.results.loads import LoadTarget, fit

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
LOAD = Output("docker", {}, ToEngine())
FILE = Output("oci", {}, ToFile("x"))


def _fit(
    outputs: tuple[Output, ...],
    platforms: str = "",
    *,
    index: bool = False,
    attests: dict[str, str | None] | None = None,
    runs: Platform | None = AMD64,
) -> tuple[BuildRequest, list[str]]:
    engine = DockerEngine(parse_address("unix:///x"), {})
    targets = {("docker", "", ""): LoadTarget(engine, EngineInfo(runs, index))}
    request = BuildRequest(outputs=outputs, platforms=parse_platforms([platforms]), attests=attests or {})
    return fit(request, targets)


@pytest.mark.parametrize("attests", [{}, {"provenance": "mode=max"}])
@pytest.mark.parametrize("platforms", ["", "linux/amd64,linux/arm64"])
def test_an_engine_with_the_containerd_store_takes_all(platforms: str, attests: dict[str, str | None]) -> None:
    """As an OCI layout, with docker buildx's attribute."""
    request, notes = _fit((LOAD, FILE), platforms, index=True, attests=attests)
    assert request.outputs == (Output("oci", {"prefer-image-digest": "true"}, ToEngine()), FILE)
    assert request.platforms == parse_platforms([platforms])
    assert notes == []


def test_one_platform_is_loaded_whatever_it_is() -> None:
    """As docker buildx does; attestations that are switched off are none."""
    request, notes = _fit((LOAD,), "linux/s390x", attests={"provenance": None})
    assert (request.outputs, notes) == ((LOAD,), [])


@pytest.mark.parametrize(
    ("runs", "asked", "picked"),
    [
        (AMD64, "linux/arm64,linux/amd64", "linux/amd64"),
        (AMD64, "linux/arm64,linux/386", "linux/386"),
        (ARM64, "linux/arm/v6,linux/arm/v7,linux/amd64", "linux/arm/v7"),
    ],
)
def test_of_several_the_best_that_runs_is_built_alone(runs: Platform, asked: str, picked: str) -> None:
    """Nothing else comes out of the build; a line says so."""
    request, notes = _fit((LOAD, Output("cacheonly")), asked, runs=runs)
    assert request.platforms == parse_platforms([picked])
    assert [output.type for output in request.outputs] == ["cacheonly", "docker"]
    assert notes == [f"loading {picked} only: the engine at unix:///x takes no image index"]


def test_beside_other_outputs_everything_is_built() -> None:
    """The load comes last, so that a node which has nothing for it can leave it out."""
    request, notes = _fit((LOAD, FILE), "linux/arm64,linux/amd64")
    assert request.platforms == (ARM64, AMD64)
    assert request.outputs == (FILE, Output("oci", {}, ToEngine(platform=AMD64)))
    assert len(notes) == 1


def test_attestations_are_left_out_of_what_is_loaded() -> None:
    """An index is built for the other outputs, and the image picked out of it."""
    request, notes = _fit((LOAD,), attests={"sbom": ""})
    assert request.outputs == (Output("oci", {}, ToEngine()),)
    assert notes == ["loading the image without attestations: the engine at unix:///x takes no image index"]


@pytest.mark.parametrize("runs", [AMD64, None])
def test_an_engine_that_runs_none_of_them_is_refused(runs: Platform | None) -> None:
    """In docker buildx's words, before anything is built."""
    with pytest.raises(EngineError, match=r"^docker exporter does not currently support exporting manifest lists"):
        _fit((LOAD,), "linux/arm64,linux/s390x", runs=runs)
