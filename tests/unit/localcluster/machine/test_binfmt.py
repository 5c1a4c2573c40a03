"""Emulators that the kernel knows."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from localcluster.instance import Instance
from localcluster.machine import binfmt, preflight


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


def skip_unless_boxes_can_be_made(instance: Instance) -> None:
    """Skips, saying why, where preflight would stop the cluster: no root, or one that may not make namespaces."""
    if why := preflight._system(instance) or preflight._root(instance) or preflight._namespaces(instance):
        pytest.skip(why)


def test_emulators_of_ours_are_forgotten_and_others_kept(tmp_path: Path, instance: Instance) -> None:
    """Entries are known by where their interpreters lie; a folder whose name only begins alike is another."""
    skip_unless_boxes_can_be_made(instance)
    if not Path("/proc/sys/fs/binfmt_misc").is_dir():
        pytest.skip("this kernel has no binfmt_misc, or has not loaded it")
    for name in ("ours", "ours-not"):
        (tmp_path / name).mkdir()
        shutil.copy2("/bin/true", tmp_path / name / "emulator")
    table, names = "/proc/sys/fs/binfmt_misc", {f"lctest{os.getpid()}{letter}": letter for letter in "ab"}
    lines = [
        f":{name}:E::{name}::{tmp_path}/{folder}/emulator:"
        for name, folder in zip(names, ("ours", "ours-not"), strict=True)
    ]
    script = f"[ -e {table}/register ] || mount -t binfmt_misc x {table}; for l; do echo $l > {table}/register; done; "
    # It keeps the table mounted meanwhile: by itself a kernel might forget an unmounted one.
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script + "echo; read end", "sh", *lines],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            before = binfmt.entries()
            assert names.keys() <= before.keys()
            binfmt.forget(str(tmp_path / "ours"))
            after = binfmt.entries()
        finally:
            binfmt.forget(str(tmp_path / "ours"), str(tmp_path / "ours-not"))
            holder.communicate(b"\n")
    assert sorted(before.keys() - after.keys()) == sorted(name for name, letter in names.items() if letter == "a")
