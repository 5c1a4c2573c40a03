"""Completion of both programs' lines by a real bash, from what lies on disk."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_SHELL = """
eval "$SCRIPT"
read -r -a COMP_WORDS <<< "$SPLIT"
[[ $LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMP_LINE=$LINE COMP_POINT=${#LINE}
compopt() { echo "compopt $1 $2"; }
"_${PROGRAM##*/}_completion" "$PROGRAM"
printf '%s\\n' "${COMPREPLY[@]}"
"""
_CONTEXTS = ("arn:aws:eks:eu-1:1:cluster/a", "arn:aws:eks:eu-1:1:cluster/b", "admin@kubernetes", "plain")


def builder(name: str, *platforms: str) -> dict[str, Any]:
    """A state whose stack has a builder."""
    node = {"name": "n", "address": "tcp://127.0.0.1:1", "platforms": list(platforms)}
    output = {"version": 1, "name": name, "namespace": "n", "nodes": [node]}
    resource = {"type": "pulumi:pulumi:Stack", "outputs": {"builder": output}}
    return {"version": 3, "checkpoint": {"latest": {"resources": [resource]}}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two stacks in a file backend and one that has a config file alone, and no Pulumi CLI."""
    project, states = tmp_path / "project", tmp_path / "state" / ".pulumi" / "stacks" / "demo"
    (project / "stacks").mkdir(parents=True)
    states.mkdir(parents=True)
    (project / "Pulumi.yaml").write_text("name: demo\nruntime: python\nstackConfigDir: stacks\n")
    (project / "stacks" / "Pulumi.new.yaml").write_text("config: {}\n")
    (states / "dev.json").write_text(json.dumps(builder("kube", "linux/riscv64")))
    (states / "prod.json").write_text(json.dumps(builder("farm", "linux/arm64")))
    (states / "broken.json").write_text("{")
    (project / "Dockerfile").write_text("FROM a AS first\nfrom --platform=$BUILDPLATFORM b as second\nFROM c\n")
    contexts = [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in _CONTEXTS]
    kubeconfig = {"contexts": contexts, "clusters": [{"name": "c", "cluster": {"server": "https://h"}}]}
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.chdir(project)
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "BUILDERS_", "BUILDCLIENT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/state")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return project


@functools.cache
def script(program: str, shell: str) -> str:
    """What a program prints for a shell."""
    line = [str(Path(sys.executable).parent / program), "completion", shell]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout


def completed(line: str, split: str = "") -> list[str]:
    """What bash offers at the end of a line; `split` is the line in the words that bash makes of it."""
    name = line.split()[0]
    program = str(Path(sys.executable).parent / name)
    environ = {**os.environ, "SCRIPT": script(name, "bash"), "PROGRAM": program, "LINE": line, "SPLIT": split or line}
    done = subprocess.run(
        ["bash", "--norc", "-c", _SHELL], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return [found for found in done.stdout.splitlines() if found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("buildclient build --stack ", ["broken", "dev", "new", "prod"]),
        ("buildclient build -s d", ["dev"]),
        ("buildclient build --builder ", ["farm", "kube"]),
        ("buildclient inspect k", ["kube"]),
        ("buildclient inspect -o ", ["text", "json"]),
        ("buildclient ls --format j", ["json"]),
        ("buildclient build --platform linux/ri", ["linux/riscv64"]),
        ("buildclient build --platform linux/arm64,linux/amd", ["linux/arm64,linux/amd64"]),
        ("buildclient build --progress r", ["rawjson"]),
        ("buildclient build --target ", ["first", "second"]),
        ("buildclient build --builder-file ", ["compopt -o default"]),
        ("buildclient build ", ["compopt -o dirnames"]),
        ("buildclient build --context p", ["plain"]),
        ("buildclient ins", ["inspect"]),
        ("buildclient nosuch --v", ["--version"]),
        ("buildclient build --project nosuch --builder ", []),
        ("builders up --stack ", ["broken", "dev", "new", "prod"]),
        ("builders up --st", ["--stack"]),
        ("builders drift --stack p", ["prod"]),
        ("builders ls -o ", ["text", "json"]),
        ("builders completion f", ["fish"]),
        ("builders up --project ", ["compopt -o dirnames"]),
    ],
)
def test_bash_completes_flags_and_values(here: Path, line: str, expected: list[str]) -> None:
    """Both programs' lines, with no Pulumi CLI on PATH and a state that cannot be read among the others."""
    if "nosuch" in line:
        os.chdir(here.parent)
    assert completed(line) == expected


@pytest.mark.parametrize(
    ("word", "split", "expected"),
    [
        ("--context arn:aws:e", "--context arn : aws : e", ["eks:eu-1:1:cluster/a", "eks:eu-1:1:cluster/b"]),
        ("--context arn:", "--context arn :", ["aws:eks:eu-1:1:cluster/a", "aws:eks:eu-1:1:cluster/b"]),
        ("--context admin@k", "--context admin @ k", ["kubernetes"]),
        ("--stack=de", "--stack = de", ["dev"]),
        ("--stack=", "--stack =", ["broken", "dev", "new", "prod"]),
        ("--context=arn:aws:", "--context = arn : aws :", ["eks:eu-1:1:cluster/a", "eks:eu-1:1:cluster/b"]),
    ],
)
def test_bash_completes_names_that_it_splits(here: Path, word: str, split: str, expected: list[str]) -> None:
    """Contexts of EKS and of kubeadm hold what bash takes for the end of a word; it replaces the last part alone."""
    assert completed(f"buildclient build {word}", f"buildclient build {split}") == expected


@pytest.mark.parametrize("program", ["buildclient", "builders"])
@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_each_shell_gets_a_script(here: Path, program: str, shell: str) -> None:
    """The script names the program and the variable by which it is asked."""
    assert f"_{program.upper()}_COMPLETE={shell}_complete" in script(program, shell)
