"""What is remembered of the pods that builds used."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from buildclient.kube.kubeconfig import Access
from buildclient.kube.lastpods import LastPod, LastPods, read_last_pods, read_versions

_ACCESS = Access("https://cluster.example", "test")
_ONE = LastPod("builds", (("app", "builder"),), "buildkitd", "builder-0")
_TWO = _ONE._replace(pod="builder-1")
_CONTAINER = f"containerd://{'0a' * 32}"
_RESTARTED = f"containerd://{'0b' * 32}"


def _of(home: Path, access: Access = _ACCESS, name: str = "kube") -> LastPods:
    return LastPods.of({"HOME": str(home)}, access, "builds", name)


def _noted(home: Path, **keys: LastPod) -> None:
    for key, one in keys.items():
        last = _of(home)
        last.note(key, one)
        last.save()


def test_a_builds_pod_is_remembered(tmp_path: Path) -> None:
    """By its routing key; for a key that is new, the pod that was used last."""
    _noted(tmp_path, a=_ONE, b=_TWO)
    assert _of(tmp_path).recall("a") == [_ONE]
    assert _of(tmp_path).recall("b") == [_TWO]
    assert _of(tmp_path).recall("new") == [_TWO]


def test_another_builder_and_another_cluster_have_files_of_their_own(tmp_path: Path) -> None:
    """Also the same server as somebody else."""
    _noted(tmp_path, a=_ONE)
    assert _of(tmp_path, name="other").recall("a") == []
    assert _of(tmp_path, _ACCESS._replace(server="https://other.example")).recall("a") == []
    assert _of(tmp_path, _ACCESS._replace(context="other")).recall("a") == []


def test_only_the_user_reads_it(tmp_path: Path) -> None:
    """Names of pods and namespaces are nobody else's business."""
    _noted(tmp_path, a=_ONE)
    folder = tmp_path / ".cache/buildclient/pods"
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "key" not in file.read_text()


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    """Most builds use the pod that they used before."""
    _noted(tmp_path, a=_ONE)
    (file,) = (tmp_path / ".cache/buildclient/pods").iterdir()
    before = file.stat().st_ino
    _noted(tmp_path, a=_ONE)
    assert file.stat().st_ino == before
    _noted(tmp_path, a=_TWO)
    assert _of(tmp_path).recall("a") == [_TWO]


def test_the_oldest_is_forgotten(tmp_path: Path) -> None:
    """A file does not grow for ever."""
    _noted(tmp_path, **{f"key-{number}": _ONE._replace(pod=f"builder-{number}") for number in range(70)})
    assert _of(tmp_path).recall("key-0") == [_ONE._replace(pod="builder-69")]
    assert _of(tmp_path).recall("key-69") == [_ONE._replace(pod="builder-69")]
    assert _of(tmp_path).recall("key-10") == [_ONE._replace(pod="builder-10")]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"version": 2}', b'{"version": 1, "builds": 7}', b"\xff" * 9])
def test_a_damaged_file_tells_nothing(tmp_path: Path, text: bytes) -> None:
    """And is written anew."""
    _noted(tmp_path, a=_ONE)
    (file,) = (tmp_path / ".cache/buildclient/pods").iterdir()
    file.write_bytes(text)
    assert _of(tmp_path).recall("a") == []
    _noted(tmp_path, a=_TWO)
    assert _of(tmp_path).recall("a") == [_TWO]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("namespace", "a/../../secrets"),
        ("namespace", ""),
        ("pod", "x?command=sh"),
        ("pod", 7),
        ("container", "../x"),
        ("selector", {"a": "b,c=d"}),
        ("selector", {"a b": "c"}),
        ("selector", {"a": None}),
    ],
)
def test_what_cannot_stand_in_a_request_is_left_out(field: str, value: object) -> None:
    """Whoever wrote the file."""
    entry = {"namespace": "builds", "selector": {"app": "x"}, "container": "", "pod": "p", field: value}
    text = json.dumps(
        {"version": 1, "builds": {"k": [entry], "l": [{**entry, field: "x" if field != "selector" else {}}]}}
    )
    found = read_last_pods(text.encode())
    assert "k" not in found
    assert "l" in found


def test_without_a_home_nothing_is_kept(tmp_path: Path) -> None:
    """Nor where the folder cannot be made."""
    (tmp_path / ".cache").write_text("")
    _noted(tmp_path, a=_ONE)
    assert _of(tmp_path).recall("a") == []
    assert os.listdir(tmp_path) == [".cache"]


def _told(home: Path, *containers: str, version: str = "v0.34.2") -> None:
    last = _of(home)
    for container in containers:
        last.note_version(container, version)
    last.save()


def test_a_version_is_remembered_of_the_very_container(tmp_path: Path) -> None:
    """After a restart there is another container, of which nothing is known."""
    assert _of(tmp_path).version(_CONTAINER) is None
    _told(tmp_path, _CONTAINER)
    _noted(tmp_path, a=_ONE)
    assert _of(tmp_path).version(_CONTAINER) == "v0.34.2"
    assert _of(tmp_path).version(_RESTARTED) is None
    assert _of(tmp_path).version("") is None
    assert _of(tmp_path, name="other").version(_CONTAINER) is None
    assert _of(tmp_path).recall("a") == [_ONE]


def test_a_daemon_without_a_version_is_remembered_too(tmp_path: Path) -> None:
    """It is older than those that have one, and need not be asked again."""
    _told(tmp_path, _CONTAINER, version="")
    assert _of(tmp_path).version(_CONTAINER) == ""


def test_a_known_version_writes_nothing(tmp_path: Path) -> None:
    """As most builds find it."""
    _told(tmp_path, _CONTAINER)
    (file,) = (tmp_path / ".cache/buildclient/pods").iterdir()
    before = file.stat().st_ino
    _told(tmp_path, _CONTAINER)
    assert file.stat().st_ino == before
    _told(tmp_path, _RESTARTED)
    assert file.stat().st_ino != before


def test_the_containers_that_were_noted_first_are_forgotten(tmp_path: Path) -> None:
    """A file does not grow for ever, in one build or in many."""
    containers = [f"containerd://{number:064x}" for number in range(300)]
    _told(tmp_path, *containers[:200])
    for container in containers[200:203]:
        _told(tmp_path, container)
    last = _of(tmp_path)
    assert [last.version(containers[number]) for number in (0, 74, 75, 202)] == [None, None, "v0.34.2", "v0.34.2"]


@pytest.mark.parametrize(
    ("container", "version"),
    [
        ("", "v0.34.2"),
        ("containerd://short", "v0.34.2"),
        (f"containerd://{'0a' * 100}", "v0.34.2"),
        (f"{_CONTAINER}\n", "v0.34.2"),
        (_CONTAINER, "v0.34.2\n"),
        (_CONTAINER, "\x1b[31mv0.34"),
        (_CONTAINER, "v" * 65),
        (_CONTAINER, 7),
        (_CONTAINER, None),
        (_CONTAINER, ["v0.34.2"]),
    ],
)
def test_what_is_no_container_or_no_version_is_left_out(tmp_path: Path, container: str, version: object) -> None:
    """Whoever wrote the file; and it is not written either."""
    fine = {_CONTAINER.replace("0a", "0c"): "v0.34.2"}
    text = json.dumps({"version": 1, "versions": {container: version, **fine}})
    assert read_versions(text.encode()) == fine
    if isinstance(version, str):
        _told(tmp_path, container, version=version)
        assert _of(tmp_path).version(container) is None


@pytest.mark.parametrize("versions", [7, [], "x", {"a": {}}, None])
def test_versions_that_are_none_hide_no_pod(versions: object) -> None:
    """Nor do pods hide versions."""
    entry = {"namespace": "builds", "selector": {"app": "x"}, "container": "", "pod": "p"}
    text = json.dumps({"version": 1, "builds": {"k": [entry]}, "versions": versions}).encode()
    assert list(read_last_pods(text)) == ["k"]
    assert read_versions(text) == {}
    text = json.dumps({"version": 1, "builds": versions, "versions": {_CONTAINER: "v0.1.0"}}).encode()
    assert read_versions(text) == {_CONTAINER: "v0.1.0"}
    assert read_versions(text.replace(b'"version": 1', b'"version": 2')) == {}
