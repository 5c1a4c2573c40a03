"""The files for CI systems, held against the systems' own rules by actionlint and by the published schemas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / "examples" / "ci").glob("*.yaml"))
GITLAB = [*sorted((ROOT / "examples" / "ci").glob("*.yml")), ROOT / "ci" / "gitlab.yml"]


def schema_check(name: str, *files: Path) -> subprocess.CompletedProcess[str]:
    """The answer of check-jsonschema for one of the schemas that come with it."""
    command = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", f"vendor.{name}"]
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("schema", "files"),
    [("github-workflows", WORKFLOWS), ("gitlab-ci", GITLAB), ("github-actions", [ROOT / "action.yml"])],
)
def test_every_file_follows_the_published_schema(schema: str, files: list[Path]) -> None:
    """Such as: no job of GitLab is called `image`, which is a keyword there."""
    assert files
    done = schema_check(schema, *files)
    assert done.returncode == 0, done.stdout


def test_the_schemas_notice_a_wrong_file(tmp_path: Path) -> None:
    """A job whose name is a keyword."""
    file = tmp_path / "ci.yml"
    file.write_text("image:\n  script: [make]\n")
    assert schema_check("gitlab-ci", file).returncode == 1


@pytest.mark.slow
def test_actionlint_finds_nothing_in_the_workflows(tmp_path: Path) -> None:
    """Expressions, contexts, permissions and keys; and it does notice an expression of nothing."""
    made = subprocess.run(
        [sys.executable, "-m", "localcluster", "tools", "actionlint"],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    command = [made.stdout.strip(), "-no-color", "-shellcheck=", "-pyflakes="]
    done = subprocess.run([*command, *map(str, WORKFLOWS)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("github.event_name", "github.event_nmae"))
    noticed = subprocess.run([*command, str(wrong)], capture_output=True, text=True, timeout=60, check=False)
    assert "event_nmae" in noticed.stdout
