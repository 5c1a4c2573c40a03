"""What is told of the Git repository around a context, from repositories laid down file by file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from buildclient.base.errors import Cancelled
from buildclient.inputs.checkout import find_checkout
from buildclient.inputs.vcs import vcs_attrs
from tests.load import busy

HASH = "ce04baa3b0bfe58eb01259fa0fef50d256be5884"
OTHER = "0123456789012345678901234567890123456789"


def repository(root: Path, config: str = "", **files: str) -> Path:
    """A work tree with a branch `main`; further files of `.git` by name."""
    git = root / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text(config)
    for name, text in files.items():
        (git / name.replace("__", "/")).write_text(text)
    (root / "sub").mkdir()
    return root


def test_revision_remote_and_folders_are_told(tmp_path: Path) -> None:
    """The folders relative to the work tree; those outside of it are not."""
    root = repository(tmp_path, '[remote "origin"]\n\turl = git@h:a/b.git\n', refs__heads__main=HASH)
    folders = {"context": str(root / "sub"), "dockerfile": str(root), "other": "/"}
    assert vcs_attrs(str(root / "sub"), "", folders, {}) == {
        "vcs:revision": HASH,
        "vcs:source": "git@h:a/b.git",
        "vcs:localdir:context": "sub",
        "vcs:localdir:dockerfile": ".",
    }


def test_labels_come_when_asked_for(tmp_path: Path) -> None:
    """And what is in provenance may be left out."""
    root = repository(tmp_path, refs__heads__main=HASH)
    environ = {"BUILDX_GIT_LABELS": "1", "BUILDX_GIT_INFO": "0"}
    assert vcs_attrs(str(root / "sub"), "", {"context": str(root)}, environ) == {
        "label:org.opencontainers.image.revision": HASH,
        "label:com.docker.image.source.entrypoint": "sub/Dockerfile",
    }
    assert vcs_attrs(str(root), "", {}, {"BUILDX_GIT_INFO": "false"}) == {}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:secret@h/a.git", "https://xxxxx:xxxxx@h/a.git"),
        ("https://token@h/a.git", "https://xxxxx@h/a.git"),
        ("ssh://git@h/a", "ssh://xxxxx@h/a"),
        ("https://h/a.git", "https://h/a.git"),
    ],
)
def test_no_credentials_are_told(tmp_path: Path, url: str, told: str) -> None:
    """Neither to BuildKit nor in the routing key."""
    root = repository(tmp_path, f'[remote "origin"]\n\turl = {url}\n', refs__heads__main=HASH)
    assert vcs_attrs(str(root), "", {}, {})["vcs:source"] == told
    checkout = find_checkout(str(root))
    assert checkout is not None
    assert "@" not in checkout.remote


def test_the_branch_s_own_remote_goes_first(tmp_path: Path) -> None:
    """Then `origin`, then `upstream`; any other is not told."""
    config = (
        '[remote "origin"]\nurl = https://h/origin\n[remote "fork"]\nurl = https://h/fork\n'
        '[branch "main"]\n\tremote = fork\n\tmerge = refs/heads/main\n'
    )
    root = repository(tmp_path, config, refs__heads__main=HASH)
    assert vcs_attrs(str(root), "", {}, {})["vcs:source"] == "https://h/fork"


def test_packed_refs_and_detached_heads_are_read(tmp_path: Path) -> None:
    """A branch may be packed; a CI runner's HEAD is a commit itself."""
    packed = f"# pack-refs with: peeled\n{OTHER} refs/heads/other\n{HASH} refs/heads/main\n"
    assert vcs_attrs(str(repository(tmp_path / "a", **{"packed-refs": packed})), "", {}, {})["vcs:revision"] == HASH
    root = repository(tmp_path / "b", HEAD=f"{OTHER}\n")
    assert vcs_attrs(str(root), "", {}, {})["vcs:revision"] == OTHER


def test_a_linked_work_tree_has_its_own_head(tmp_path: Path) -> None:
    """Its `.git` is a file; config and refs are the main repository's."""
    main = repository(tmp_path / "main", '[remote "origin"]\nurl = https://h/a\n', refs__heads__main=HASH)
    linked = main / ".git/worktrees/wt"
    linked.mkdir(parents=True)
    (linked / "HEAD").write_text("ref: refs/heads/other\n")
    (linked / "commondir").write_text("../..\n")
    (main / ".git/refs/heads/other").write_text(OTHER)
    tree = tmp_path / "wt"
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {linked}\n")
    assert vcs_attrs(str(tree), "", {}, {}) == {"vcs:revision": OTHER, "vcs:source": "https://h/a"}


def test_outside_of_a_repository_nothing_is_told(tmp_path: Path) -> None:
    """Nor before the first commit of one without a remote."""
    assert vcs_attrs("/", "", {"context": "/"}, {}) == {}
    assert vcs_attrs(str(repository(tmp_path)), "", {}, {}) == {}


def _git(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a script in Git's place."""
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "told"), [("echo ' M f'", f"{HASH}-dirty"), (":", HASH), ("exit 128", f"{HASH}-dirty")]
)
def test_a_changed_work_tree_is_told_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    """One that Git cannot look at counts as changed."""
    _git(tmp_path / "bin", monkeypatch, script)
    root = repository(tmp_path / "a", refs__heads__main=HASH)
    assert vcs_attrs(str(root), "", {}, {"BUILDX_GIT_CHECK_DIRTY": "1"})["vcs:revision"] == told
    assert vcs_attrs(str(root), "", {}, {})["vcs:revision"] == HASH


def test_git_is_not_waited_for_once_the_build_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may look for long at a large work tree; it is ended."""
    _git(tmp_path / "bin", monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 20")
    root = repository(tmp_path / "a", refs__heads__main=HASH)
    pid = tmp_path / "pid"
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        vcs_attrs(str(root), "", {}, {"BUILDX_GIT_CHECK_DIRTY": "1"}, lambda: pid.exists() and bool(pid.read_text()))
    assert time.monotonic() - begun < busy(10)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
