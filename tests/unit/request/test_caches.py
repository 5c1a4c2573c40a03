"""`--cache-from` and `--cache-to`, held to what docker buildx 0.38.2 sent a daemon for the same line.

`data/buildx_caches.jsonl` was recorded through a proxy between docker buildx and a BuildKit daemon; the lines name the
files in `data/aws`, and the metadata service of EC2 was switched off.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from buildclient import CacheEntry, build_request
from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.registry.aws import aws_credentials
from buildclient.request.caches import with_s3_credentials
from buildclient.request.checks import check_request
from buildclient.request.values import BuildRequest

DATA = Path(__file__).parents[1] / "data"
RECORDED = [json.loads(line) for line in (DATA / "buildx_caches.jsonl").read_text().splitlines()]


def made(row: dict[str, Any], home: Path) -> BuildRequest:
    """The request that a recorded line becomes, as the client completes it."""
    fields: dict[str, list[str]] = {}
    for flag, value in zip(row["flags"][::2], row["flags"][1::2], strict=True):
        fields.setdefault(flag.removeprefix("--").replace("-", "_"), []).append(value)
    environ = {**row["environment"], "HOME": str(home)}
    request = build_request("ctx", environ=environ, **fields)  # type: ignore[arg-type]
    return with_s3_credentials(request, lambda: aws_credentials(environ))


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: " ".join([*row["environment"], *row["flags"]]))
def test_the_solve_has_docker_buildxs_caches(
    row: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same types and attributes, or the same error."""
    for path in (DATA / "aws").iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    if "error" in row:
        with pytest.raises(UsageError) as caught:
            made(row, tmp_path)
        begin = "failed to build: " if caught.value.of_build else ""
        assert f"ERROR: {begin}{caught.value}" == row["error"]
        return
    request = made(row, tmp_path)
    for entries, recorded in ((request.cache_from, row["imports"]), (request.cache_to, row["exports"])):
        assert [[entry.type, dict(entry.attrs)] for entry in entries] == recorded


def test_credentials_are_read_only_for_a_cache_in_s3() -> None:
    """No file is opened for any other build, nor for a cache that has its own."""

    def never() -> dict[str, str]:
        raise AssertionError

    request = build_request(cache_from=["type=registry,ref=a", "type=s3,access_key_id=,secret_access_key="])
    assert with_s3_credentials(request, never) is request


@pytest.mark.parametrize(("field", "role"), [("cache_to", "exporter"), ("cache_from", "importer")])
def test_a_registry_cache_needs_a_reference(field: str, role: str) -> None:
    """Refused before the build, also of a request that a program made."""
    with pytest.raises(InvalidBuild, match=f"^registry cache {role} requires ref$") as caught:
        check_request(BuildRequest(**{field: (CacheEntry("registry", {"ref": ""}),)}))  # type: ignore[arg-type]
    assert caught.value.flag == "--" + field.replace("_", "-")
