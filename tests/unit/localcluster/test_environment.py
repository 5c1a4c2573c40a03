"""`env`: lines that a shell evaluates to the very values, and stand-ins only for what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcluster import environment
from localcluster.environment import (
    PLUGINS,
    STAND_INS,
    exports,
    joined_path,
    needs_stand_in,
    stand_ins_notice,
    write_stack_config,
)
from localcluster.errors import ClusterError
from localcluster.instance import Instance

ROOT = Path(__file__).resolve().parents[3]
VALUES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{3,8}", fullmatch=True).map(lambda name: f"T_{name}"), VALUES))
def test_a_shell_reads_back_every_value(variables: dict[str, str]) -> None:
    """Quotes, spaces, newlines and dollar signs survive `eval`."""
    shown = "".join(f'printf "%s\\0" "${name}"\n' for name in variables)
    done = subprocess.run(["sh", "-c", exports(variables) + shown], capture_output=True, timeout=60, check=True)
    assert done.stdout.decode().split("\0")[:-1] == list(variables.values())


FOLDERS = st.lists(st.sampled_from(["/a", "/b", "/c", "/d", "/e"]), max_size=6)


@given(FOLDERS, FOLDERS)
def test_a_search_path_joined_twice_is_the_same(first: list[str], rest: list[str]) -> None:
    """`eval` in a shell that did it before changes nothing; nothing of the old path is lost."""
    once = joined_path(first, os.pathsep.join(rest))
    assert joined_path(first, once) == once
    assert set(filter(None, once.split(os.pathsep))) == {*first, *rest}
    assert (
        once.split(os.pathsep)[: len(dict.fromkeys(first))]
        == (list(dict.fromkeys(first)) or [once.split(":")[0]])[: len(dict.fromkeys(first))]
    )


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without plugins."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


def executable(path: Path) -> None:
    """A file that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)


def test_stand_ins_serve_only_what_is_nowhere_else(bare: Path) -> None:
    """On PATH, or in Pulumi's plugin cache, a plugin needs none; our own folder on PATH does not count."""
    assert needs_stand_in(f"/nowhere{os.pathsep}{STAND_INS}") == list(PLUGINS)
    executable(bare / "bin" / "pulumi-language-python")
    assert needs_stand_in(str(bare / "bin")) == ["pulumi-resource-kubernetes"]
    executable(bare / ".pulumi" / "plugins" / "resource-kubernetes-v4.31.0" / "pulumi-resource-kubernetes")
    assert needs_stand_in(str(bare / "bin")) == []


def test_a_real_plugin_is_not_hidden_by_the_others_stand_in(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two is real: PATH gets the other's stand-in alone, and after a second `env` too."""
    instance = Instance("test", 200, bare / "state", bare / "run")
    instance.pki.mkdir(parents=True)
    instance.kubeconfig.touch()
    monkeypatch.setattr(environment.tools, "ensure", lambda name: bare / "tools" / name)
    executable(bare / "bin" / "pulumi-language-python")
    monkeypatch.setenv("PATH", f"{bare / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    first = environment.environment(instance)
    added = [Path(folder) for folder in first["PATH"].split(os.pathsep) if "stand-ins" in folder]
    assert [sorted(os.listdir(folder)) for folder in added] == [["pulumi-resource-kubernetes"]]
    monkeypatch.setenv("PATH", first["PATH"])
    assert environment.environment(instance) == first
    assert "pulumi-resource-kubernetes: the real ones" in stand_ins_notice(first, os.environ)
    assert stand_ins_notice(first, first) == ""


def test_plugins_of_the_user_stay_usable(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi's home is the cluster's own, and its plugin folder is the user's."""
    plugin = Path("plugins") / "resource-kubernetes-v4.31.0" / "pulumi-resource-kubernetes"
    executable(bare / ".pulumi" / plugin)
    instance = Instance("test", 200, bare / "state", bare / "run")
    instance.pki.mkdir(parents=True)
    instance.kubeconfig.touch()
    monkeypatch.setattr(environment.tools, "ensure", lambda name: bare / "tools" / name)
    found = environment.environment(instance)
    assert (Path(found["PULUMI_HOME"]) / plugin).exists()
    assert Path(found["PULUMI_CONFIG_PASSPHRASE_FILE"]).stat().st_mode & 0o777 == 0o600
    assert not found["PULUMI_HOME"].startswith(str(bare / ".pulumi"))


def test_plugins_of_a_pulumi_home_of_ones_own_count(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PULUMI_HOME holds a real plugin it is used, after a second `env` and in a new shell too."""
    plugin = Path("plugins") / "resource-kubernetes-v4.31.0" / "pulumi-resource-kubernetes"
    executable(bare / "own" / plugin)
    instance = Instance("test", 200, bare / "state", bare / "run")
    instance.pki.mkdir(parents=True)
    instance.kubeconfig.touch()
    monkeypatch.setattr(environment.tools, "ensure", lambda name: bare / "tools" / name)
    monkeypatch.setenv("PATH", "/nowhere")
    for home in (str(bare / "own"), str(instance.state / "pulumi-home"), ""):
        monkeypatch.setenv("PULUMI_HOME", home)
        found = environment.environment(instance)
        assert (Path(found["PULUMI_HOME"]) / plugin).exists()
        added = [Path(folder) for folder in found["PATH"].split(os.pathsep) if "stand-ins" in folder]
        assert [sorted(os.listdir(folder)) for folder in added] == [["pulumi-language-python"]]


def test_the_passphrase_outlives_a_cluster(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack's settings file, which stays in the clone, is still readable with the next cluster."""
    monkeypatch.setattr(environment.tools, "ensure", lambda name: bare / "tools" / name)
    seen = []
    for _ in range(2):
        instance = Instance("test", 200, bare / "state", bare / "run")
        instance.pki.mkdir(parents=True)
        instance.kubeconfig.touch()
        seen.append(Path(environment.environment(instance)["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text())
        shutil.rmtree(instance.state)
    assert seen[0] == seen[1]


def test_the_config_of_stack_local_is_a_copy_that_git_ignores(tmp_path: Path) -> None:
    """What Pulumi and the user write into it stays, and no commit has it."""
    path = write_stack_config(tmp_path)
    assert path.read_bytes() == (ROOT / "localcluster" / "Pulumi.local.yaml").read_bytes()
    path.write_text("config: {}\nencryptionsalt: v1:x\n")
    assert write_stack_config(tmp_path).read_text() == "config: {}\nencryptionsalt: v1:x\n"
    ignored = ["git", "check-ignore", "--no-index", f"stacks/{path.name}", "stacks/Pulumi.current.yaml"]
    assert subprocess.run(ignored, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=60).returncode == 0
    tracked = subprocess.run(
        ["git", "ls-files", "stacks"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert f"stacks/{path.name}" not in tracked.stdout.split()


def test_without_a_cluster_there_is_no_environment(bare: Path) -> None:
    """The message says which command starts it, and nothing is made."""
    instance = Instance("test", 200, bare / "state", bare / "run")
    with pytest.raises(ClusterError, match="python -m localcluster up"):
        environment.environment(instance)
    assert not instance.state.exists()


@pytest.mark.parametrize("name", ["https_proxy", "HTTP_PROXY"])
def test_the_cluster_is_exempt_from_a_proxy(bare: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Where one is set, NO_PROXY in both spellings holds the old exceptions and the cluster's; else none is made."""
    for variable in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    instance = Instance("test", 200, bare / "state", bare / "run")
    instance.pki.mkdir(parents=True)
    instance.kubeconfig.touch()
    monkeypatch.setattr(environment.tools, "ensure", lambda name: bare / "tools" / name)
    assert "NO_PROXY" not in environment.environment(instance)
    monkeypatch.setenv(name, "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "localhost,.example")
    found = environment.environment(instance)
    assert found["NO_PROXY"] == found["no_proxy"] == "localhost,.example,10.200.0.1,10.200.0.0/16"
