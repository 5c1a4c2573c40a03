"""The local cluster's tools: which versions will do, where they come from, and a cache that is whole or absent."""

from __future__ import annotations

import os
import stat
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.errors import ClusterError
from localcluster.tools import ALL, FOR_CLUSTER, debian, ensure
from localcluster.tools.cache import made_once
from localcluster.tools.elf import is_dynamic
from localcluster.tools.emulators import with_interpreter
from localcluster.tools.find import on_path, unfit
from localcluster.tools.gobuild import cache_name
from localcluster.tools.table import TOOLS, GoModule, Program, Tool, tool_of
from localcluster.tools.version import parse_version, write_version

PRINTED = {
    "Kubernetes v1.36.3": (1, 36, 3),
    "etcd Version: 3.6.8\nGit SHA: 6a1a4f1": (3, 6, 8),
    "buildkitd github.com/moby/buildkit v0.34.2 ": (0, 34, 2),
    "github.com/docker/buildx v0.38.2 abc": (0, 38, 2),
    "v3.259.0": (3, 259, 0),
    "v3.260.0-alpha.1": (3, 260, 0),
    "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3": (1, 6, 20),
    "runc version 1.1.5+ds1\ncommit: 1.1": (1, 1, 5),
    "docker-registry github.com/docker/distribution 2.8.2+ds1": (2, 8, 2),
    "BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) multi-call binary.": (1, 35, 0),
    "rootlesskit version 1.1.0": (1, 1, 0),
    "dev build": None,
    "": None,
}


@pytest.mark.parametrize(("text", "version"), PRINTED.items(), ids=[text[:20] or "empty" for text in PRINTED])
def test_a_version_is_read_from_what_each_program_prints(text: str, version: tuple[int, ...] | None) -> None:
    """The first version in the text counts, without what Debian or a pre-release adds."""
    assert parse_version(text) == version


@given(st.lists(st.integers(0, 999), min_size=2, max_size=4))
def test_a_written_version_is_read_back(numbers: list[int]) -> None:
    """Writing and reading are inverse."""
    assert parse_version(write_version(tuple(numbers))) == tuple(numbers)


def test_every_program_has_one_tool() -> None:
    """No program is in two rows, and both the tool's and the program's name find the row."""
    names = [program.name for tool in TOOLS for program in tool.programs]
    assert len(names) == len(set(names))
    for tool in TOOLS:
        for program in tool.programs:
            assert tool_of(program.name) is tool
        assert tool_of(tool.name).name == tool.name
    assert set(FOR_CLUSTER) < set(ALL)


def test_an_unknown_tool_is_refused_with_the_known_ones() -> None:
    """The error lists what there is."""
    with pytest.raises(ClusterError, match=r'no tool "helm"; there are .*buildkit'):
        ensure("helm")


def program(folder: Path, name: str, text: str) -> Path:
    """A script that prints a text."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return path


@pytest.mark.parametrize(
    ("prints", "verdict"),
    [("v1.4.0", ""), ("v1.3.9", "it is version 1.3.9"), ("v2.0.0", "it is version 2.0.0"), ("x", "it does not tell")],
)
def test_a_found_program_is_judged_by_its_version(tmp_path: Path, prints: str, verdict: str) -> None:
    """Too old, too new or silent will not do."""
    found = unfit(Program("tool", least=(1, 4), below=(2,)), program(tmp_path, "tool", prints))
    assert found.startswith(verdict)
    assert bool(found) == bool(verdict)


def test_a_tool_is_taken_from_path_only_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two programs missing or too old: none is taken. Both fit: both. In our own cache: not PATH's."""
    monkeypatch.setattr("localcluster.tools.find._ALSO", ())
    monkeypatch.setenv("PATH", f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'two'}")
    source = tool_of("kubernetes").source
    tool = Tool("pair", (Program("first", least=(1, 0)), Program("second", least=(1, 0))), source)
    program(tmp_path / "one", "first", "v1.2")
    assert on_path(tool) is None
    old = program(tmp_path / "two", "second", "v0.9")
    assert on_path(tool) is None
    old.write_text("#!/bin/sh\necho v1.0\n")
    assert on_path(tool) == {"first": tmp_path / "one" / "first", "second": old}
    assert on_path(tool, without=tmp_path / "two") is None


def test_a_program_has_one_path_whatever_link_led_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another order of PATH must not look like another program; a link with another name may mean another act."""
    monkeypatch.setattr("localcluster.tools.find._ALSO", ())
    real = program(tmp_path / "sbin", "first", "v1.2")
    many = program(tmp_path / "sbin", "many", "v1.2")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "first").symlink_to(real)
    (tmp_path / "bin" / "second").symlink_to(many)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    tool = Tool("pair", (Program("first", least=(1, 0)), Program("second", least=(1, 0))), tool_of("runc").source)
    assert on_path(tool) == {"first": real, "second": tmp_path / "bin" / "second"}


def elf(kinds: list[int]) -> bytes:
    """A 64-bit ELF header and a program header table of these types."""
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(kinds), 0, 0, 0
    )
    return header + b"".join(struct.pack("<IIQQQQQQ", kind, 0, 0, 0, 0, 0, 0, 0) for kind in kinds)


@pytest.mark.parametrize(
    ("content", "dynamic"),
    [(elf([6, 3, 1]), True), (elf([1, 2]), False), (elf([]), False), (b"#!/bin/sh\n", False), (b"", False)],
)
def test_a_program_with_an_interpreter_needs_shared_libraries(tmp_path: Path, content: bytes, dynamic: bool) -> None:
    """Only an ELF file that names a loader is dynamic."""
    (tmp_path / "file").write_bytes(content)
    assert is_dynamic(tmp_path / "file") is dynamic


def test_the_cache_is_keyed_by_the_pins(tmp_path: Path) -> None:
    """Another go.sum or another flag is another folder; the same is the same."""
    (tmp_path / "go.mod").write_text("module x")
    (tmp_path / "go.sum").write_text("a")
    module = GoModule(tmp_path, "v1.0.0", ("x",), "-X a=b")
    tool = Tool("x", (Program("x"),), module)
    first = cache_name(tool, module)
    assert first == cache_name(tool, module)
    assert first.startswith("x-v1.0.0-")
    (tmp_path / "go.sum").write_text("b")
    second = cache_name(tool, module)
    assert second != first
    assert cache_name(tool, GoModule(tmp_path, "v1.0.0", ("x",), "-X a=c")) != second


def test_a_failed_making_leaves_nothing(tmp_path: Path) -> None:
    """The folder is there whole or not at all, and the next try begins afresh."""
    target = tmp_path / "tool"

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ClusterError("no")

    with pytest.raises(ClusterError):
        made_once(target, fail)
    assert [path.name for path in tmp_path.iterdir()] == [".tool.lock"]
    made_once(target, lambda folder: (folder / "whole").touch())
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_what_a_killed_making_left_is_removed(tmp_path: Path) -> None:
    """A folder beside from a killed run does not pile up."""
    left = tmp_path / ".tool.new-abc"
    left.mkdir()
    made_once(tmp_path / "tool", lambda folder: None)
    assert not left.exists()


def test_a_package_without_a_wanted_file_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another release may have moved a file: that is said, and no half a folder stays in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def download(*command: str, cwd: Path) -> str:
        (cwd / "thing_1.0_amd64.deb").touch()
        return ""

    def unpack(command: list[str]) -> str:
        Path(command[-1], "usr").mkdir(parents=True, exist_ok=True)
        Path(command[-1], "usr", "one").touch()
        return ""

    monkeypatch.setattr(debian, "_apt", download)
    monkeypatch.setattr(debian, "_run", unpack)
    with pytest.raises(ClusterError, match="thing for amd64 has no usr/two"):
        debian.kept("thing", ("thing",), ("usr/one", "usr/two"), lambda _: None)
    assert debian.in_cache("thing") is None
    kept = debian.kept("thing", ("thing",), ("usr/*",), lambda _: None)
    assert [path.name for path in (kept / "usr").iterdir()] == ["one"]


def test_lists_of_packages_that_did_not_help_are_not_trusted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed download the next try fetches the lists anew, whatever their age."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked: list[str] = []

    def run(command: list[str], *_: object) -> str:
        asked.append(command[1])
        if command[1] == "download" and len(asked) < 3:
            raise ClusterError("404")
        return ""

    monkeypatch.setattr(debian, "_run", run)
    with pytest.raises(ClusterError):
        debian._apt("apt-get", "download", "x")
    debian._apt("apt-get", "download", "x")
    debian._apt("apt-get", "download", "x")
    assert asked == ["update", "download", "update", "download", "download"]


def test_two_makers_at_once_make_once(tmp_path: Path) -> None:
    """The second waits and takes what the first made."""
    made: list[int] = []
    threads = [
        threading.Thread(target=made_once, args=(tmp_path / "tool", lambda folder: made.append(1))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_the_binfmt_line_keeps_magic_and_flags_and_names_our_interpreter() -> None:
    """Debian's own line, with just the path of the interpreter exchanged."""
    debian = r":qemu-aarch64:M::\x7f\x45\xb7\x00:\xff\xff\xfe\xff:/usr/libexec/qemu-binfmt/aarch64-binfmt-P:OPF"
    line = with_interpreter(debian + "\n", "/opt/some/aarch64-binfmt-P")
    fields = line.split(":")
    assert fields[1] == "qemu-aarch64"
    assert fields[-2] == "/opt/some/aarch64-binfmt-P"
    assert set(fields[-1]) == set("POF")
    assert line.replace("/opt/some", "/usr/libexec/qemu-binfmt") == debian
