"""`-D` and BUILDERS_DEBUG: the story of a stack that went elsewhere than was meant, without a secret in it."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import pulumi
import pytest
from buildkit_builders import debug
from buildkit_builders.automation import Project
from buildkit_builders.builder import Builder
from buildkit_builders.cli.main import run as run_command

from tests.preview.mocked import run as run_program

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (automation|command|kube|kubeconfig|provider): \S.*")
PLANTED = "PLANTED"
KUBECONFIG = f"""\
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: u, namespace: team}}}}]
clusters: [{{name: c, cluster: {{server: "https://me:{PLANTED}@192.0.2.1:6443"}}}}]
users: [{{name: u, user: {{token: {PLANTED}}}}}]
"""
PULUMI = f"""\
#!{sys.executable} -IS
import os, sys
from pathlib import Path
if "version" in sys.argv:
    sys.exit(print("v3.999.0"))
with open(Path(__file__).parent / "asked", "a") as target:
    print(os.environ.get("BUILDERS_DEBUG"), *sys.argv[1:], file=target)
print("dev")
"""


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The lines of the log, each in its form, with no secret in them."""
    text = capsys.readouterr().err
    assert PLANTED not in text
    for line in text.splitlines():
        assert LINE.fullmatch(line), line
    return text


def test_a_program_tells_where_it_goes_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kubeconfig, context, server and provider, each with its reason."""
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{path}")
    monkeypatch.setenv(debug.VARIABLE, "1")
    run_program(lambda: Builder("kube", {}))
    text = told(capsys)
    for expected in (
        f"kubeconfig: {tmp_path}/missing is not there",
        f"kubeconfig: {path} (where kubectl looks)",
        "context here (the current one), server https://192.0.2.1:6443, namespace team",
        "kube-kubernetes made, context here",
    ):
        assert expected in text
    debug.disable()
    monkeypatch.delenv(debug.VARIABLE)
    run_program(lambda: Builder("kube", {}))
    assert told(capsys) == ""


def test_contents_of_a_kubeconfig_are_named_not_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contents and a provider of the caller's are two more reasons."""
    monkeypatch.setenv(debug.VARIABLE, "1")
    run_program(lambda: Builder("kube", {"kubeconfig": KUBECONFIG, "context": "here"}))
    text = told(capsys)
    assert "kubeconfig: the contents given" in text
    assert "context here (named by args or config)" in text

    def given() -> None:
        mine = pulumi.ProviderResource("kubernetes", "mine", {})
        Builder("kube", {}, pulumi.ResourceOptions(provider=mine))

    run_program(given)
    assert "wherever the given provider goes" in told(capsys)


@pytest.fixture
def fake_pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and a Pulumi that says yes to everything; the file to which it writes what it was asked."""
    program = tmp_path / "pulumi"
    program.write_text(PULUMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"s3://me:{PLANTED}@bucket")
    monkeypatch.delenv(debug.VARIABLE, raising=False)
    (tmp_path / "Pulumi.yaml").write_text("name: builder\nruntime: python\n")
    return tmp_path / "asked"


def test_a_command_tells_project_stack_and_what_it_runs(fake_pulumi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of Pulumi stands with its status and time, and is told to log as well."""
    debug.enable()
    Project(fake_pulumi.parent).stack("dev")
    text = told(capsys)
    for expected in (
        f"automation: project: {fake_pulumi.parent}",
        "automation: backend: s3://bucket (PULUMI_BACKEND_URL)",
        f"command: pulumi stack --stack dev --show-name --non-interactive, in {fake_pulumi.parent}",
        "automation: stack: dev, there already",
    ):
        assert expected in text
    assert re.search(r"command: pulumi stack: status 0 in \d+\.\d s", text)
    assert fake_pulumi.read_text().startswith("1 --non-interactive stack")


def test_without_being_asked_nothing_is_logged(fake_pulumi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Off, the log has no handler, Pulumi is told nothing, and standard error stays empty."""
    Project(fake_pulumi.parent).stack("dev")
    assert capsys.readouterr().err == ""
    assert fake_pulumi.read_text().startswith("None --non-interactive stack")
    assert not logging.getLogger("buildkit_builders").handlers


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["config", "set", "--secret", "key", PLANTED], "pulumi config …"),
        (["login", f"https://me:{PLANTED}@state"], "pulumi login …"),
        (["up", "--yes", "--stack", "dev"], "pulumi up --yes --stack dev"),
        ([], "pulumi"),
    ],
)
def test_arguments_that_may_be_secret_are_left_out(arguments: list[str], text: str) -> None:
    """Values of config and URLs of backends are not logged."""
    assert debug.named(arguments) == text


def test_the_flag_switches_the_log_on(
    fake_pulumi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """-D works before and after the command's name; an error has its traceback and its line."""
    with pytest.raises(SystemExit) as ended:
        run_command(["ls", "-C", "/nowhere", "-D"])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "Traceback" in said
    assert said.splitlines()[-1].startswith("ERROR: there is no Pulumi.yaml in /nowhere")


def test_the_log_costs_no_import_when_off() -> None:
    """`logging` itself comes with the command's own modules only once it is asked for."""
    script = "import sys, buildkit_builders.debug, buildkit_builders.cli.main; print('logging' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
