"""Images written by hand: archives, manifests and indexes as the specifications want them, and the same every time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from localcluster.images import oci
from localcluster.images.buildkit import daemon_config
from localcluster.images.libraries import libraries_in
from localcluster.images.pause import pause_image, pause_program
from localcluster.images.tree import Tree
from tests.load import busy

NAMES = st.text("abcd-._", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))


@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=40), max_size=8))
def test_an_archive_holds_what_was_added_with_parents_first(files: dict[str, bytes]) -> None:
    """Every file is there with its bytes, every folder precedes what is in it, and order of adding does not matter."""
    files = {path: data for path, data in files.items() if not any(other.startswith(path + "/") for other in files)}
    one, other = Tree(), Tree()
    for path, data in files.items():
        one.file(path, data)
    for path in reversed(files):
        other.file(path, files[path])
    assert one.archive() == other.archive()
    assert one.key() == other.key()
    seen: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(one.archive())) as tar:
        for member in tar:
            parent = member.name.rpartition("/")[0]
            assert not parent or parent in seen
            seen.add(member.name)
            if member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                assert content.read() == files[member.name]
    assert files.keys() <= seen


def test_an_archive_names_no_time_and_no_person() -> None:
    """Owner, time and mode are what was asked for, not this machine's."""
    tree = Tree()
    tree.folder("tmp", 0o1777)
    tree.file("tmp/file", b"x", 0o600, owner=1000)
    tree.link("tmp/link", "file")
    with tarfile.open(fileobj=io.BytesIO(tree.archive())) as tar:
        found = {member.name: (member.mode, member.uid, member.mtime, member.linkname) for member in tar}
    assert found == {
        "tmp": (0o1777, 0, 0, ""),
        "tmp/file": (0o600, 1000, 0, ""),
        "tmp/link": (0o777, 0, 0, "file"),
    }


def test_a_key_changes_with_anything_that_changes_the_archive(tmp_path: Path) -> None:
    """Name, mode, owner, capability, content and a changed file of this machine are all told apart."""
    source = tmp_path / "source"
    source.write_bytes(b"x")

    def key(path: str = "a", mode: int = 0o644, owner: int = 0, content: bytes | Path = b"x") -> str:
        tree = Tree()
        tree.file(path, content, mode, owner)
        return tree.key()

    capable = Tree()
    capable.program("a", b"x", capability=7)
    keys = [key(), key(path="b"), key(mode=0o600), key(owner=1), key(content=b"y"), key(content=source), capable.key()]
    source.write_bytes(b"xy")
    keys.append(key(content=source))
    assert len(set(keys)) == len(keys)


def test_a_capability_is_written_as_the_kernel_reads_it() -> None:
    """CAP_SETUID as effective and permitted in revision 2 of the extended attribute, byte for byte."""
    tree = Tree()
    tree.program("newuidmap", b"x", capability=7)
    raw = bytes.fromhex("0100000280000000000000000000000000000000")
    assert b" SCHILY.xattr.security.capability=" + raw + b"\n" in tree.archive()


def test_an_image_points_at_its_parts_by_digest() -> None:
    """Every descriptor's digest and size are those of the bytes; diff_ids are of the uncompressed archives."""
    tree = Tree()
    tree.file("a", b"x" * 100)
    layers = [oci.layer(tree.archive(), compress=True), oci.layer(tree.archive(), compress=False)]
    image = oci.image(oci.Platform("arm", "v7"), layers, oci.Settings(command=("sh",), env={"A": "b"}, volumes=("/v",)))
    manifest = json.loads(image.manifest.data)
    blobs = {blob.digest: blob.data for blob in image.blobs}
    for descriptor in [manifest["config"], *manifest["layers"]]:
        data = blobs[descriptor["digest"]]
        assert descriptor["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
        assert descriptor["size"] == len(data)
    config = json.loads(blobs[manifest["config"]["digest"]])
    plain = [
        gzip.decompress(blobs[found["digest"]]) if found["mediaType"].endswith("gzip") else blobs[found["digest"]]
        for found in manifest["layers"]
    ]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(data).hexdigest() for data in plain]
    assert (config["architecture"], config["variant"], config["os"]) == ("arm", "v7", "linux")
    assert config["config"]["Cmd"] == ["sh"]
    assert config["config"]["Volumes"] == {"/v": {}}
    assert "Entrypoint" not in config["config"]


def test_an_index_lists_each_platform_once_in_the_order_given() -> None:
    """Platform and manifest digest of each image, as a runtime chooses by them."""
    images = [oci.image(oci.Platform(name), [], oci.Settings()) for name in ("arm64", "amd64")]
    entries = json.loads(oci.index(images).data)["manifests"]
    assert [entry["platform"]["architecture"] for entry in entries] == ["arm64", "amd64"]
    assert [entry["digest"] for entry in entries] == [image.manifest.digest for image in images]


def test_pause_sleeps_until_it_is_killed(tmp_path: Path) -> None:
    """The hand-written program runs on this kernel, uses no time, and ends by a signal only."""
    path = tmp_path / "pause"
    path.write_bytes(pause_program())
    path.chmod(0o755)
    with subprocess.Popen([path]) as process:
        try:
            process.wait(0.3)
            raise AssertionError("it ended by itself")
        except subprocess.TimeoutExpired:
            used = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            assert used == ["0", "0"]
        process.terminate()
        assert process.wait(busy(5)) == -15


def test_the_same_image_is_made_twice() -> None:
    """Nothing of time or machine gets into an image."""
    assert pause_image() == pause_image()


def test_the_daemon_of_a_foreign_node_says_its_architecture_first() -> None:
    """The configuration is TOML; only a foreign node's names platforms; the registry is plain HTTP and a mirror."""
    native = tomllib.loads(daemon_config("10.0.0.1:5000", "amd64"))
    foreign = tomllib.loads(daemon_config("10.0.0.1:5000", "arm64"))
    assert native["registry"]["10.0.0.1:5000"] == {"http": True}
    assert native["registry"]["docker.io"]["mirrors"] == ["10.0.0.1:5000"]
    assert "worker" not in native
    assert foreign["worker"]["oci"]["platforms"] == ["linux/arm64"]


def test_libraries_are_read_from_ldd() -> None:
    """Libraries found by name and the loader itself count; the kernel's vdso and a static program have none."""
    text = (
        "\tlinux-vdso.so.1 (0x00007fd12f8b9000)\n"
        "\tlibseccomp.so.2 => /lib/x86_64-linux-gnu/libseccomp.so.2 (0x00007fd12f888000)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007fd12f8bb000)\n"
    )
    assert libraries_in(text) == ["/lib/x86_64-linux-gnu/libseccomp.so.2", "/lib64/ld-linux-x86-64.so.2"]
    assert libraries_in("\tnot a dynamic executable\n") == []
