"""The demo of claims, as far as it shows without a cluster: its files, and commands that are to fail."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from buildkit_builders.claims import read_claims

from localcluster.demo.claims import steps
from localcluster.demo.steps import DemoError, Shell
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "claims"


def test_the_example_has_two_claims_that_do_and_one_that_is_over_the_limit(tmp_path: Path) -> None:
    """As the demo shows it: search is refused at the line of its size, and allowed once that is small."""
    found = read_claims(EXAMPLE / "platform.yaml", EXAMPLE / "claims")
    assert [claim.stack for claim in found.claims] == ["payments-main", "web-main"]
    refused = [problem for problem in found.problems if problem.severity == "error"]
    assert len(refused) == 1
    assert re.search(
        r"search\.yaml:4: search/main: size: .* team search would have 80m, and may have 60m", str(refused[0])
    )
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "claims" / "search.yaml"
    file.write_text(file.read_text().replace("size: medium", "size: small"))
    mended = read_claims(tmp_path / "platform.yaml", tmp_path / "claims")
    assert [claim.stack for claim in mended.claims] == ["payments-main", "search-main", "web-main"]


def test_it_works_on_a_copy_of_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are shown, Pulumi's state is beside them, and every later command runs there."""
    monkeypatch.setattr("localcluster.demo.claims.FOLDER", tmp_path / "copy")
    shell = Shell({"PATH": ""})
    next(step for step in steps(shell) if step.title.startswith("What the platform team writes")).act()
    assert (tmp_path / "copy" / "claims" / "search.yaml").read_text() in capsys.readouterr().out.replace("    ", "")
    assert (tmp_path / "copy" / "hello" / "Dockerfile").is_file()
    assert shell.environment["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/copy/state"
    assert shell.read(sys.executable, "-c", "import os; print(os.getcwd())") == f"{tmp_path}/copy\n"


@pytest.mark.parametrize(
    ("ends", "meets"), [("print('too much'); exit(1)", True), ("print('too much')", False), ("exit('no')", False)]
)
def test_a_command_that_should_be_refused_must_fail_and_say_why(
    ends: str, meets: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it says is shown; without a failure, or with another one, the demo ends."""
    command = (sys.executable, "-c", ends)
    if meets:
        Shell().refused(*command, timeout=20, saying="too much")
        assert "too much\n" in capsys.readouterr().out
    else:
        with pytest.raises(DemoError, match="should have said: too much"):
            Shell().refused(*command, timeout=20, saying="too much")
