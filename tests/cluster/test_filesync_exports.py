"""What comes back from real pods: folders as docker buildx writes them, and archives of two nodes as one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat as st
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import tools
from tests.cluster.client_builder import BIN, HandMadeBuilder, hand_made
from tests.cluster.equal_contexts import CASES, Case, Plot
from tests.load import busy

pytestmark = pytest.mark.cluster

_BOTH = ("--platform", "linux/amd64,linux/arm64")
_KINDS = [
    c for c in CASES if c.name in ("order", "symlinks", "hard-links", "modes", "special", "sizes", "xattrs", "times")
]


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """A builder of two nodes, ready, that docker buildx knows as `peer`."""
    with hand_made(cluster, tmp_path_factory.mktemp("exports"), "exports") as one:
        one.environment["BUILDX_CONFIG"] = str(one.folder / "buildx")
        node = ("--node", "builder-amd64", "--driver-opt", f"namespace={one.namespace}")
        _buildx(one, "create", "--name", "peer", "--driver", "kubernetes", *node)
        yield one


def _buildx(builder: HandMadeBuilder, *arguments: str) -> None:
    done = subprocess.run(
        [str(tools.ensure("buildx")), *arguments],
        env=builder.environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _look(folder: Path) -> dict[bytes, tuple[Any, ...]]:
    """Everything that an export sets; the root's own time is nobody's."""
    found: dict[bytes, tuple[Any, ...]] = {}
    first: dict[int, bytes] = {}
    for root, folders, files in os.walk(os.fsencode(folder)):
        for name in (*folders, *files):
            path = os.path.join(root, name)
            info = os.lstat(path)
            kind = st.S_IFMT(info.st_mode)
            content: Any = b""
            if kind == st.S_IFREG:
                content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
            elif kind == st.S_IFLNK:
                content = os.readlink(path)
            keys = os.listxattr(path, follow_symlinks=False)
            attributes = {key: os.getxattr(path, key, follow_symlinks=False) for key in keys}
            linked = (
                b"" if kind == st.S_IFDIR else first.setdefault(info.st_ino, os.path.relpath(path, os.fsencode(folder)))
            )
            found[os.path.relpath(path, os.fsencode(folder))] = (
                oct(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns, info.st_rdev, content, attributes, linked
            )  # fmt: skip
    return found


@pytest.mark.parametrize("case", _KINDS, ids=lambda case: case.name)
def test_a_folder_is_written_as_docker_buildx_writes_it(builder: HandMadeBuilder, case: Case) -> None:
    """Modes, times, owners, links of both kinds, devices, attributes and contents of a merged export."""
    context = builder.folder / case.name / "context"
    context.mkdir(parents=True)
    plot = Plot(context)
    case.plant(plot)
    plot.file("Dockerfile", case.dockerfile or "")
    if case.ignore:
        plot.file(".dockerignore", case.ignore)
    dest = {client: builder.folder / case.name / client for client in ("buildx", "ours")}
    for folder in dest.values():
        folder.mkdir()
        (folder / "Dockerfile").symlink_to("/nowhere")
        (folder / "kept").write_text("kept")
        os.utime(folder / "kept", (1, 1))
    flags = ("--provenance=false", str(context))
    # One build: what folders that nobody made say of their time is the daemon's, and is cached.
    _buildx(builder, "build", "--builder", "peer", "-o", f"type=local,dest={dest['buildx']}", *flags)
    done = builder.run("build", "--platform", "linux/amd64", "-o", f"type=local,dest={dest['ours']}", *flags)
    assert done.status == 0, done.err
    ours, theirs = _look(dest["ours"]), _look(dest["buildx"])
    assert b"kept" in ours
    assert ours == theirs


def test_what_is_there_gives_way_as_with_docker_buildx(builder: HandMadeBuilder) -> None:
    """A file in a full folder's place, a folder in a file's, and a folder that was closed."""
    context = builder.context("over", "FROM scratch\nCOPY x /a/x\nCOPY x /b\nCOPY x /c/x\n", x="new\n")
    dest = {client: builder.folder / f"over-{client}" for client in ("buildx", "ours")}
    for folder in dest.values():
        (folder / "b/full").mkdir(parents=True)
        (folder / "b/full/old").touch()
        (folder / "a").touch()
        (folder / "c").mkdir(mode=0o500)
    flags = ("--provenance=false", context)
    _buildx(builder, "build", "--builder", "peer", "-o", f"type=local,dest={dest['buildx']}", *flags)
    done = builder.run("build", "--platform", "linux/amd64", "-o", f"type=local,dest={dest['ours']}", *flags)
    assert done.status == 0, done.err
    ours, theirs = _look(dest["ours"]), _look(dest["buildx"])
    # docker buildx sets the time of a folder that was there before it writes into it.
    assert ours.pop(b"c")[0] == theirs.pop(b"c")[0]
    assert ours == theirs


_SPLIT = {
    "delete": "mode=delete",
    # With mode=delete BuildKit 0.34 sends files of all but the last platform empty here.
    "one folder": "mode=copy,platform-split=false",
    "prefix": "attestation-prefix=proof-",
    "delete, prefix": "attestation-prefix=proof-,mode=delete",
    "source": "src=/d",
}


@pytest.mark.parametrize("case", _SPLIT)
def test_the_folders_of_two_nodes_are_those_of_one_node_from_docker_buildx(builder: HandMadeBuilder, case: str) -> None:
    """Names, contents, links and modes, attestations by name; what was there before is gone with `mode=delete`."""
    files = {"linux-amd64": "a\n", "linux-arm64": "b\n"}
    context = builder.context("split", "FROM scratch\nARG TARGETARCH\nCOPY linux-$TARGETARCH /d/$TARGETARCH\n", **files)
    looks = []
    for client in ("buildx", "ours"):
        dest = builder.folder / f"split-{case.replace(', ', '-').replace(' ', '-')}-{client}"
        (dest / "stale/deep").mkdir(parents=True)
        (dest / "linux_amd64").mkdir()
        (dest / "linux_amd64/stale").symlink_to("/nowhere")
        flags = (*_BOTH, "--provenance=mode=max", "-o", f"type=local,dest={dest},{_SPLIT[case]}", context)
        if client == "buildx":
            _buildx(builder, "build", "--builder", "peer", "--allow", "buildx.local.delete", *flags)
        else:
            done = builder.run("build", "--allow", "buildx.local.delete", *flags)
            assert done.status == 0, done.err
        look = _look(dest)
        assert (b"stale/deep" in look) is ("delete" not in case)
        # Attestations differ by time and pod, and so do the times of folders made for the export.
        looks.append({path: (entry[0], b"provenance" in path or entry[5]) for path, entry in look.items()})
    assert looks[1] == looks[0]


_FULL = {
    "local": ("type=local,dest=small/out", "", 1, "error from receiver: write small/out/d/big: "),
    "tar": ("type=tar,dest=small/o.tar", "", 102, "write {folder}/small/o.tar: "),
    "oci": ("type=oci,dest=small/o.tar", "", 102, "write {folder}/small/o.tar: "),
    "docker": ("type=docker,dest=small/o.tar", "", 102, "write {folder}/small/o.tar: "),
    "stdout": ("type=tar,dest=-", "small/printed", 102, "write /dev/stdout: "),
    "two oci": ("type=oci,dest=small/o.tar", "", 102, "write {folder}/small: "),
    "two stdout": ("type=oci,dest=-", "small/printed", 102, "write /dev/stdout: "),
}


@pytest.mark.parametrize("output", _FULL)
def test_a_full_disk_is_the_last_line_with_its_path(builder: HandMadeBuilder, output: str) -> None:
    """As docker buildx says it, and for a folder, too, where docker buildx says `EOF`; within a few seconds."""
    flag, stdout, status, words = _FULL[output]
    platforms = _BOTH if output.startswith("two") else ("--platform", "linux/amd64")
    # Nothing that compresses: an image's layer is compressed.
    context = Path(builder.context("big", "FROM scratch\nCOPY big /d/big\n"))
    if not (context / "big").exists():
        (context / "big").write_bytes(os.urandom(4 << 20))
    small = builder.folder / "small"
    small.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("not allowed to mount a file system here")
    begun = time.monotonic()
    try:
        with open(builder.folder / (stdout or "printed"), "wb") as out:
            done = subprocess.run(
                [str(BIN / "buildclient"), "build", *platforms, "-o", flag, str(context)],
                env=builder.environment,
                cwd=builder.folder,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
        assert output == "local" or os.listdir(small) == ([Path(stdout).name] if stdout else [])
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    last = done.stderr.strip().splitlines()[-1]
    assert (done.returncode, last.endswith(f"{words.format(folder=builder.folder)}no space left on device")) == (
        status,
        True,
    ), done.stderr[-2000:]
    assert time.monotonic() - begun < busy(20)


def _blobs(archive: tarfile.TarFile) -> dict[str, bytes]:
    blobs = {}
    for member in archive.getmembers():
        if member.isfile() and member.name.startswith("blobs/"):
            file = archive.extractfile(member)
            assert file is not None
            digest = member.name.removeprefix("blobs/").replace("/", ":")
            assert digest not in blobs, f"{digest} is in the archive twice"
            blobs[digest] = file.read()
            assert digest == f"sha256:{hashlib.sha256(blobs[digest]).hexdigest()}"
    return blobs


def _member(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    assert file is not None
    return json.load(file)


def test_the_archives_of_two_nodes_are_one_oci_layout(builder: HandMadeBuilder) -> None:
    """One index over both platforms; all that it leads to is there, once; the attestations stay with their images."""
    context = builder.context("oci", "FROM BASE\nRUN uname -m > /machine\nCOPY same.txt /\n", **{"same.txt": "same\n"})
    name = f"{builder.registry}/exports/oci:1"
    done = builder.run("build", *_BOTH, "-t", name, "--provenance=mode=max", "-o", "type=oci,dest=both.tar", context)
    assert done.status == 0, done.err
    with tarfile.open(builder.folder / "both.tar") as archive:
        blobs = _blobs(archive)
        assert _member(archive, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
        (top,) = _member(archive, "index.json")["manifests"]
    assert top["annotations"]["io.containerd.image.name"] == name
    manifests = json.loads(blobs[top["digest"]])["manifests"]
    images = {m["platform"]["architecture"]: m for m in manifests if m["platform"]["os"] == "linux"}
    assert sorted(images) == ["amd64", "arm64"]
    proofs = {m["annotations"]["vnd.docker.reference.digest"] for m in manifests if m["platform"]["os"] == "unknown"}
    assert proofs == {image["digest"] for image in images.values()}
    for entry in manifests:
        assert entry["size"] == len(blobs[entry["digest"]])
        manifest = json.loads(blobs[entry["digest"]])
        for part in (manifest["config"], *manifest["layers"]):
            assert part["size"] == len(blobs[part["digest"]])


_EQUAL = {
    "oci": "type=oci,rewrite-timestamp=true",
    "oci annotated": "type=oci,rewrite-timestamp=true,annotation-index.a=<1>,annotation-manifest[linux/arm64].b=2",
    "oci zstd": "type=oci,rewrite-timestamp=true,compression=zstd,force-compression=true",
    "tar": "type=tar",
}


@pytest.mark.parametrize("case", _EQUAL)
def test_what_two_nodes_send_has_the_bytes_of_one_node_from_docker_buildx(builder: HandMadeBuilder, case: str) -> None:
    """Manifests, configs, layers, every name and annotation, entries and their order: the archives are equal."""
    files = {"linux-amd64": "a\n", "linux-arm64": "b\n", "same": "c\n"}
    context = builder.context(
        "equal", "FROM scratch\nARG TARGETARCH\nCOPY same /\nCOPY linux-$TARGETARCH /d/\nLABEL a=$TARGETARCH\n", **files
    )
    names = ("-t", f"{builder.registry}/equal:1", "-t", f"{builder.registry}/other:2")
    marked = ("--annotation", "manifest:m=1", "--annotation", "index-descriptor:d=2") if "oci" in case else ()
    flags = (*_BOTH, "--provenance=false", *names, *marked, context)
    environment = {**builder.environment, "SOURCE_DATE_EPOCH": "1700000000"}
    whole, told = [], []
    for client in ("buildx", "ours"):
        dest = builder.folder / f"equal-{client}.tar"
        command = [str(tools.ensure("buildx")), "build", "--builder", "peer"]
        if client == "ours":
            command = [str(BIN / "buildclient"), "build"]
        output = ("-o", f"{_EQUAL[case]},dest={dest}", "--metadata-file", f"{dest}.json")
        done = subprocess.run(
            [*command, *output, *flags], env=environment, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        whole.append(dest.read_bytes())
        told.append(json.loads(Path(f"{dest}.json").read_text()))
        told[-1].pop("buildx.build.ref")
        # Of its builder and its steps, which differ; but there is one for each platform.
        told[-1].update(dict.fromkeys(key for key in told[-1] if "provenance" in key))
    if "oci" in case:
        assert told[1] == told[0]
    assert len(whole[1]) == len(whole[0])
    assert whole[1] == whole[0]


def test_several_outputs_of_two_nodes_come_from_one_build(builder: HandMadeBuilder) -> None:
    """A push under two names, an archive of other media types, and a folder: each whole, the index of the image."""
    context = builder.context("several", "FROM scratch\nCOPY same /\n", same="same\n")
    names = [f"{builder.registry}/exports/several-{number}:1" for number in range(2)]
    pushes = [("-o", f"type=image,oci-mediatypes=false,push=true,name={name}") for name in names]
    rest = ("-o", f"type=oci,dest={builder.folder}/several.tar", "-o", f"{builder.folder}/several-out")
    flags = ("--metadata-file", "several.json", "--provenance=false", *_BOTH)
    done = builder.run("build", *pushes[0], *rest, *pushes[1], *flags, context)
    assert done.status == 0, done.err
    digest = json.loads((builder.folder / "several.json").read_text())["containerimage.digest"]
    for name in names:
        host, _, path = name.partition("/")
        url = f"http://{host}/v2/{path.removesuffix(':1')}/manifests/1"
        accepted = {"Accept": "application/vnd.docker.distribution.manifest.list.v2+json"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=accepted), timeout=10) as answer:
            assert answer.headers["Docker-Content-Digest"] == digest
            pushed = json.load(answer)
        assert [one["platform"]["architecture"] for one in pushed["manifests"]] == ["amd64", "arm64"]
    with tarfile.open(builder.folder / "several.tar") as archive:
        (top,) = _member(archive, "index.json")["manifests"]
    assert top["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert sorted(os.listdir(builder.folder / "several-out")) == ["linux_amd64", "linux_arm64"]


def test_a_layout_of_two_nodes_is_the_archive_unpacked(builder: HandMadeBuilder) -> None:
    """Blobs, names and index are those of `tar=true`, beside a push too; the metadata is about the merged image."""
    context = builder.context(
        "unpacked", "FROM scratch\nARG TARGETARCH\nCOPY same /\nLABEL a=$TARGETARCH\n", same="s\n"
    )
    names = ("-t", f"{builder.registry}/unpacked:1", "-t", f"{builder.registry}/unpacked-too:2")
    flags = (*_BOTH, *names, "--provenance=false", context)
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    archived = builder.run("build", "-o", "type=oci,dest=unpacked.tar,rewrite-timestamp=true", *flags, **epoch)
    assert archived.status == 0, archived.err
    with tarfile.open(builder.folder / "unpacked.tar") as archive:
        blobs, index = _blobs(archive), _member(archive, "index.json")
    for number, push in enumerate(((), ("--push",))):
        dest = builder.folder / f"unpacked{number}"
        layout = ("-o", f"type=oci,tar=false,dest={dest},rewrite-timestamp=true", "--metadata-file", "unpacked.json")
        done = builder.run("build", *push, *layout, *flags, **epoch)
        assert done.status == 0, done.err
        told = json.loads((dest / "index.json").read_text())
        for one in (*told["manifests"], *index["manifests"]) if push else ():
            # Of an answer that two exporters share, the push's stays, which has no time.
            one["annotations"].pop("org.opencontainers.image.created", None)
        assert told == index
        found = {f"sha256:{path.name}": path.read_bytes() for path in (dest / "blobs/sha256").iterdir()}
        assert found == blobs
        if not push:
            told = json.loads((builder.folder / "unpacked.json").read_text())
            assert told["containerimage.digest"] == index["manifests"][0]["digest"]


def test_what_two_nodes_write_into_one_folder_must_not_overlap(builder: HandMadeBuilder) -> None:
    """As docker buildx refuses it of one node; there it does not see what two nodes do to each other."""
    context = builder.context(
        "overlap", "FROM scratch\nARG TARGETARCH\nCOPY same /\nCOPY same /$TARGETARCH\n", same="x"
    )
    output = f"type=local,dest={builder.folder}/overlap-out,platform-split=false"
    done = builder.run("build", *_BOTH, "-o", output, context)
    assert done.status == 1
    assert done.last.endswith("cannot overwrite same of one node with that of another when split option is disabled")


def test_the_tars_of_two_nodes_are_one(builder: HandMadeBuilder) -> None:
    """Each platform's files below its own folder, and each platform's own."""
    context = builder.context(
        "tar", "FROM BASE AS run\nRUN uname -m > /machine\nFROM scratch\nCOPY --from=run /machine /\n"
    )
    assert builder.run("build", *_BOTH, "-o", "type=tar,dest=machines.tar", context).status == 0
    with tarfile.open(builder.folder / "machines.tar") as archive:
        said = {}
        for architecture in ("amd64", "arm64"):
            file = archive.extractfile(f"linux_{architecture}/machine")
            assert file is not None
            said[architecture] = file.read().decode().strip()
    assert said == {"amd64": "x86_64", "arm64": "aarch64"}


@pytest.mark.parametrize("platforms", [("--platform", "linux/amd64"), _BOTH], ids=["one", "two"])
def test_an_archive_goes_to_standard_output(builder: HandMadeBuilder, platforms: tuple[str, ...]) -> None:
    """Nothing but the archive is on it; progress is on standard error."""
    context = builder.context("stdout", "FROM scratch\nCOPY hello /\n", hello="hi\n")
    done = subprocess.run(
        [str(BIN / "buildclient"), "build", *platforms, "-o", "-", context],
        env=builder.environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert [name for name in archive.getnames() if name.endswith("hello")]


def test_a_failed_build_leaves_no_archive(builder: HandMadeBuilder) -> None:
    """One platform fails after the other has sent its result: the destination and its folder are as before."""
    folder = builder.folder / "kept"
    folder.mkdir()
    (folder / "out.tar").write_text("old")
    context = builder.context("half", 'FROM BASE\nRUN [ "$(uname -m)" != aarch64 ] || { sleep 2; exit 3; }\n')
    done = builder.run("build", *_BOTH, "-o", f"type=oci,dest={folder}/out.tar", context)
    assert done.status == 1
    assert done.last.endswith("exit code: 3")
    assert [(p.name, p.read_text()) for p in folder.iterdir()] == [("out.tar", "old")]


def test_a_tar_on_standard_input_reaches_both_nodes(builder: HandMadeBuilder) -> None:
    """The archive is the context of every platform."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in (("Dockerfile", b"FROM scratch\nCOPY hello /\n"), ("hello", b"hi\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    done = subprocess.run(
        [str(BIN / "buildclient"), "build", *_BOTH, "-o", "type=local,dest=stdin", "-"],
        env=builder.environment,
        cwd=builder.folder,
        input=out.getvalue(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for architecture in ("amd64", "arm64"):
        assert (builder.folder / f"stdin/linux_{architecture}/hello").read_text() == "hi\n"


@pytest.mark.parametrize("mode", ["", "max", "disabled"])
@pytest.mark.parametrize("arguments", [(), ("--build-arg", "A=1")], ids=["plain", "argument"])
def test_the_metadata_file_and_the_image_id_are_docker_buildx_s(
    builder: HandMadeBuilder, mode: str, arguments: tuple[str, ...]
) -> None:
    """The same text but for what differs from build to build: its reference, times, and the machine's load.

    With arguments the daemon also notes how docker buildx asked, by its gateway (`root`).
    """
    context = builder.context("metadata", "", **{"<&>": f"FROM {builder.base}\nARG A\nCOPY . /b\nRUN echo $A > /a\n"})
    # No attestation in the image: its digest is the same for both.
    # A null device of our own: one that is taken for a file, and replaced, must not be the machine's.
    null = builder.folder / "null"
    if not null.exists():
        os.mknod(null, st.S_IFCHR | 0o666, os.makedev(1, 3))
    flags = (*arguments, "--provenance=false", "--platform", "linux/amd64", "-o", f"type=oci,dest={null}")
    environment = {**builder.environment, "BUILDX_METADATA_PROVENANCE": mode}
    texts, ids = [], []
    for number, client in enumerate(([str(tools.ensure("buildx"))], [str(BIN / "buildclient")])):
        files = ("--metadata-file", f"{number}.json", "--iidfile", f"{number}.id", "-f", f"{context}/<&>", context)
        whose = ("--builder", "peer") if number == 0 else ()
        done = subprocess.run(
            [*client, "build", *whose, *flags, *files],
            env=environment,
            cwd=builder.folder,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        texts.append((builder.folder / f"{number}.json").read_text())
        ids.append((builder.folder / f"{number}.id").read_text())
    assert st.S_ISCHR(null.stat().st_mode)
    assert ids[0] == ids[1]
    assert ids[0].startswith("sha256:")
    theirs, ours = (_steady(json.loads(text)) for text in texts)
    assert ours == theirs
    assert ("buildx.build.provenance" in ours) is (mode != "disabled")
    if mode != "max" and not arguments:
        # To the byte. (Go writes the steps of `max` in an order of its own.)
        changing = ("buildx.build.ref", "org.opencontainers.image.created")
        lines = [[line for line in text.splitlines() if not any(name in line for name in changing)] for text in texts]
        assert lines[1] == lines[0]


def _steady(metadata: dict[str, Any]) -> dict[str, Any]:
    """What is the same for two builds of the same."""
    assert metadata.pop("buildx.build.ref").count("/") == 2
    metadata["containerimage.descriptor"]["annotations"].pop("org.opencontainers.image.created")
    provenance = metadata.get("buildx.build.provenance")
    if provenance:
        provenance["invocation"]["parameters"].pop("root", None)
        steps = provenance.pop("buildConfig", {}).get("llbDefinition", [])
        provenance["steps"] = sorted(str(sorted(step.get("op", {}).get("Op", {}))) for step in steps)
        found = provenance.pop("metadata", {})
        provenance["metadata"] = sorted(found), found.get("completeness"), found.get("reproducible")
    return metadata
