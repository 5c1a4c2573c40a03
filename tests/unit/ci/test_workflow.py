"""What a step tells the runner, and the job summary."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from buildclient.base.errors import UsageError
from buildclient.ci.__main__ import main
from buildclient.ci.summary import MAX_BLOCK, markdown
from buildclient.ci.workflow import annotation, append, error_line, output_text, print_apart, warning_annotations
from buildclient.progress.events import SourceRange, Warned
from buildclient.progress.excerpt import excerpt
from buildclient.progress.summary import BuildSummary, NodeSummary, PlatformTime, StepTime
from tests.conftest import ROOT

DONE = BuildSummary(
    5.2, 4, 3, "", 12_000_000, ("r.example/app:1@sha256:ab",), 1,
    (NodeSummary("builder-amd64", "pod-1", "ref", ("linux/amd64",), 4, 3),),
    (PlatformTime("linux/amd64", 4.1, "builder-amd64"),),
    (StepTime("[2/2] RUN make | tee `log` <b>", 2.3),),
)  # fmt: skip


def test_an_output_of_several_lines_sets_no_other() -> None:
    """The end of each value is a word that nobody can guess."""
    text = output_text({"digest": "sha256:ab", "metadata": "{\n}\nend\nimageid=evil"})
    found = dict(re.findall(r"^(\w+)<<(\w+)\n", text, re.MULTILINE))
    assert list(found) == ["digest", "metadata"]
    assert len(set(found.values())) == 2
    assert text.endswith(f"imageid=evil\n{found['metadata']}\n")


def test_annotations_are_one_line_each() -> None:
    """Text and properties are escaped as the runner wants them."""
    line = annotation("error", "100 %\nof it", file="a,b:c", line=3, title="x")
    assert line == "::error file=a%2Cb%3Ac,line=3,title=x::100 %25%0Aof it"
    assert annotation("error", "no file", line=3) == "::error::no file"
    warned = Warned("v", 1, "Rule: text", url="https://u", ranges=(SourceRange(2, 3),))
    assert list(warning_annotations([warned, warned._replace(node="b")], "Dockerfile")) == [
        "::warning file=Dockerfile,line=2,title=Rule::text%0AMore info: https://u"
    ]
    assert len(list(warning_annotations([warned._replace(short=str(n)) for n in range(99)], ""))) == 10


def test_the_line_of_an_error_is_in_its_excerpt() -> None:
    """As the client makes them; other texts tell none."""
    assert error_line((excerpt("web.Dockerfile", b"FROM a\nRUN b\n", [SourceRange(2, 2)]),)) == 2
    assert error_line(()) == error_line(("no: 1 heading",)) == 0


def test_text_of_others_is_no_command() -> None:
    """Between the marks of a word that only this print knows."""
    out = io.StringIO()
    print_apart("::add-mask::x", out)
    begin, _, end, _ = out.getvalue().split("\n")
    assert begin.removeprefix("::stop-commands::") == end.strip(":")


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """With its name; without a file nothing is written."""
    append("", "x")
    with pytest.raises(UsageError, match="cannot write"):
        append(str(tmp_path), "x")


def test_a_summary_of_a_build() -> None:
    """Counts, images, platforms with pods, slow steps; what others wrote means nothing in Markdown."""
    text = markdown("Build of r.example/app_1", DONE, digest="sha256:cd")
    assert text.startswith("### ✅ Build of r.example/app\\_1\n")
    assert "| 5.2 s | 4 | 3 (75 %) | 12.00MB | 1 |" in text
    assert "- pushed <code>r.example/app:1@sha256:ab</code>" in text
    assert "- digest <code>sha256:cd</code>" in text
    assert "| builder-amd64 | linux/amd64 | 4.1 s | 4 | 3 | pod-1 |" in text
    assert "| <code>[2/2] RUN make &#124; tee &#96;log&#96; &lt;b&gt;</code> | 2.3 s |" in text


def test_a_summary_of_a_failure_says_why() -> None:
    """Excerpt, error, output and the command that shows more; long text is cut, and every block ends."""
    failed = DONE._replace(failed="[2/2] RUN make", pushed=())
    text = markdown(
        "x", failed, error="exit code: 2", sources=["D:2\n```\n"], log=["y" * (2 * MAX_BLOCK)], closer="buildclient …"
    )
    assert text.startswith("### ❌ x\n")
    assert "**Failed step:** <code>[2/2] RUN make</code>" in text
    assert "\n````\nD:2\n```\nERROR: exit code: 2\n````\n" in text
    assert "y…\n" not in text
    assert len(text) < MAX_BLOCK + 2000
    assert text.endswith("</details>\n\n<code>buildclient …</code>\n")


def test_a_wrong_input_fails_the_step_with_a_summary(tmp_path: Path) -> None:
    """Status 2, an annotation, a summary that says why; without one where the workflow wants none; no secret."""
    for more, written in (({}, True), ({"DOCKER_BUILD_SUMMARY": "false"}, False)):
        summary = tmp_path / f"summary{written}"
        environ = {"GITHUB_STEP_SUMMARY": str(summary), "INPUT_SECRETS": "a=hunter2", "INPUT_PUSH": "maybe", **more}
        environ |= {"INPUT_CONTEXT": ".", "INPUT_BUILDER": "buildkit/kube"}
        out = io.StringIO()
        assert main(environ, out) == 2
        assert not [name for name in environ if name.startswith("INPUT_")]
        assert "::error::input push: expected true or false, got 'maybe'\n" in out.getvalue()
        assert summary.exists() == written
        assert "hunter2" not in out.getvalue()
    assert "### ❌" in (tmp_path / "summaryTrue").read_text()


@pytest.mark.parametrize(
    "wrong", [{"INPUT_TAGS": "x" * (1 << 21)}, {"INPUT_BUILDER": ""}, {"INPUT_FILE": "y" * (1 << 21)}]
)
def test_whatever_input_is_wrong_the_summary_says_so(wrong: dict[str, str], tmp_path: Path) -> None:
    """Those that the summary itself needs, too."""
    environ = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "INPUT_CONTEXT": ".", "INPUT_BUILDER": "a/b", **wrong}
    assert main(environ, io.StringIO()) == 2
    assert "ERROR: input " in (tmp_path / "summary").read_text()


def test_the_script_runs_the_client_that_is_there(tmp_path: Path) -> None:
    """`install` then has nothing to do; a folder of the client's name in the repository is not taken for it."""
    (tmp_path / "buildclient").mkdir()
    (tmp_path / "buildclient" / "__init__.py").write_text("raise SystemExit(99)\n")
    environment = {"PATH": os.environ["PATH"], "RUNNER_TEMP": str(tmp_path), "BUILDCLIENT_PYTHON": sys.executable}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "action" / "run.sh"), *arguments],
            cwd=tmp_path, env={**environment, **more}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert run("install").returncode == 0
    assert not [path for path in tmp_path.iterdir() if path.name != "buildclient"]
    built = run("build", INPUT_CONTEXT=".")
    assert (built.returncode, "input builder is missing" in built.stdout) == (2, True)
    assert run("other").returncode == 2
