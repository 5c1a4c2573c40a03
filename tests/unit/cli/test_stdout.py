"""A result that cannot be written is never lost in silence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from buildclient.base.errors import ClientError
from buildclient.cli.build import _print_id

COMMAND = f"{sys.executable} -c 'from buildclient.cli.main import run; run()'"
NODE = {"name": "one", "platforms": ["linux/amd64"], "address": "tcp://127.0.0.1:1"}


def shell(folder: Path, line: str) -> tuple[int, list[str]]:
    """Status and last lines of a command line, which a builder that cannot be reached would end with 125."""
    builder = json.dumps({"version": 1, "name": "kube", "namespace": "n", "nodes": [NODE]})
    (folder / "Dockerfile").write_text("FROM scratch\n")
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} {line}"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "BUILDCLIENT_BUILDER": builder},
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ("-q", "the image ID"),
        ("--progress quiet", "the image ID"),
        ("-o type=tar,dest=-", "the result"),
        ("-o -", "the result"),
    ],
)
def test_a_closed_standard_output_is_told_before_the_build(tmp_path: Path, arguments: str, what: str) -> None:
    """docker buildx ends with 0, and the result is lost."""
    status, said = shell(tmp_path, f"build {arguments} . >&-")
    assert (status, said[-1]) == (2, f"ERROR: standard output is closed, and {what} goes there")


def test_a_build_without_a_result_there_may_have_it_closed(tmp_path: Path) -> None:
    """It goes on to the builder, which is not there."""
    status, said = shell(tmp_path, "build -o out . >&-")
    assert status == 125, said


@pytest.mark.parametrize(
    ("where", "words"), [(">&-", "it is closed"), (">/dev/full", "no space left on device")], ids=["closed", "full"]
)
def test_what_other_commands_print_is_not_lost_in_silence(tmp_path: Path, where: str, words: str) -> None:
    """One line, and a status."""
    status, said = shell(tmp_path, f"completion bash {where}")
    assert (status, said) == (1, [f"ERROR: cannot write to standard output: {words}"])


def test_an_image_id_that_nobody_reads_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-q | true`: whoever reads has gone."""

    class Gone:
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

        def flush(self) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(ClientError, match="cannot write the image ID to standard output: broken pipe"):
        _print_id("sha256:abc")
