"""The image's program that registers emulators, beside tonistiigi/binfmt."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.conftest import ROOT

SCRIPT = ROOT / "localcluster" / "images" / "binfmt.sh"


def binfmt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installer's script on folders that stand for the kernel's and the image's."""
    registered, lines = folder / "registered", folder / "lines"
    text = SCRIPT.read_text().replace("/proc/sys/fs/binfmt_misc", str(registered)).replace("/etc/binfmt", str(lines))
    return subprocess.run(["sh", "-c", text, "binfmt", *arguments], capture_output=True, text=True, timeout=60)


def prepared(folder: Path) -> Path:
    """Two emulators in the image, one of them registered already."""
    for path in ("registered", "lines"):
        (folder / path).mkdir()
    for name in ("aarch64", "s390x"):
        (folder / "lines" / f"qemu-{name}").write_text(f":qemu-{name}:line")
    (folder / "registered" / "register").touch()
    (folder / "registered" / "status").write_text("enabled")
    (folder / "registered" / "qemu-aarch64").touch()
    return folder


def test_binfmt_registers_what_is_not_registered_and_prints_json(tmp_path: Path) -> None:
    """`--install all`: the new one's line goes to the kernel, the known one is left; the report is JSON."""
    folder = prepared(tmp_path)
    done = binfmt(folder, "--install", "all")
    assert done.returncode == 0
    assert (folder / "registered" / "register").read_text() == ":qemu-s390x:line"
    assert "aarch64 already registered" in done.stderr
    assert json.loads(done.stdout) == {"supported": ["linux/amd64", "linux/arm64"], "emulators": ["qemu-aarch64"]}


def test_binfmt_takes_names_of_both_kinds(tmp_path: Path) -> None:
    """`--install=arm64,qemu-s390x` and `--uninstall arm64` mean QEMU's aarch64 and s390x; an unknown one fails."""
    folder = prepared(tmp_path)
    assert binfmt(folder, "--install=arm64,qemu-s390x").returncode == 0
    assert (folder / "registered" / "register").read_text() == ":qemu-s390x:line"
    assert binfmt(folder, "--uninstall", "arm64").returncode == 0
    assert (folder / "registered" / "qemu-aarch64").read_text() == "-1\n"
    unknown = binfmt(folder, "--install", "vax")
    assert unknown.returncode != 0
    assert "vax" in unknown.stderr


def test_binfmt_removes_by_pattern(tmp_path: Path) -> None:
    """`--uninstall 'qemu-*'` takes out every one that is registered; what is not there is no error."""
    folder = prepared(tmp_path)
    (folder / "registered" / "qemu-s390x").touch()
    done = binfmt(folder, "--uninstall", "qemu-*")
    assert done.returncode == 0
    assert {(folder / "registered" / f"qemu-{name}").read_text() for name in ("aarch64", "s390x")} == {"-1\n"}
    again = binfmt(folder, "--uninstall", "riscv64")
    assert again.returncode == 0
    assert "riscv64 not found" in again.stderr


def test_binfmt_refuses_other_options(tmp_path: Path) -> None:
    """A wrong option is named, and nothing is registered."""
    folder = prepared(tmp_path)
    done = binfmt(folder, "--remove", "arm64")
    assert done.returncode == 1
    assert "--remove" in done.stderr
    assert os.stat(folder / "registered" / "register").st_size == 0
