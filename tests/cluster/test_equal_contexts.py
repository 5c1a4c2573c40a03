"""docker buildx and buildclient on the same pods: the same manifest, to the byte, the same last line of an error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import tools
from tests.cluster.client_builder import ARCHITECTURES, HandMadeBuilder, Ran, hand_made
from tests.cluster.equal_contexts import CASES, FAILING, Case, Plot

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_EPOCH = "1700000000"
_VARYING = re.compile(r"\b[a-z0-9]{25}(::[a-z0-9]{25})?\b|(?<=blobs/sha256:)[0-9a-f]{64}|(?<=:)\d+(?=->)")
"""What differs between any two builds: ids of daemon and snapshot, the blob that is pushed first, a socket's port."""
_LIBRARYS = re.compile(r"^[EWI]\d{4} \d\d:\d\d:.*\n?", re.MULTILINE)
"""Lines of the Kubernetes library in docker buildx, which now and then come after its own last one."""


class Peers:
    """Both clients of one builder."""

    def __init__(self, builder: HandMadeBuilder) -> None:
        self.builder = builder
        self.buildx = str(tools.ensure("buildx"))
        self.environment = {
            **builder.environment,
            "BUILDX_CONFIG": str(builder.folder / "buildx"),
            "SOURCE_DATE_EPOCH": _EPOCH,
        }
        create = ("create", "--name", "peer", "--driver", "kubernetes", "--node", "builder-amd64")
        done = self.run(self.buildx, *create, "--driver-opt", f"namespace={builder.namespace}")
        assert done.status == 0, done.err
        for number, architecture in enumerate(ARCHITECTURES):
            node = ("--node", f"builder-{architecture}", "--platform", f"linux/{architecture}")
            more = (*node, *(("--append",) if number else ()), "--driver-opt", f"namespace={builder.namespace}")
            done = self.run(self.buildx, "create", "--name", "pair", "--driver", "kubernetes", *more)
            assert done.status == 0, done.err
        alone = builder.output._replace(nodes=builder.output.nodes[:1])
        self.alone = builder.folder / "alone.json"
        self.alone.write_text(alone.dumps())

    def run(self, *command: str) -> Ran:
        """Runs a command in the builder's folder."""
        done = subprocess.run(
            command, env=self.environment, cwd=self.builder.folder, timeout=280, capture_output=True, check=False
        )
        return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def build(self, client: str, context: str, *flags: str, cached: bool = False, nodes: int = 0) -> Ran:
        """A build by `buildx` or by `ours`, `cached` if it may use what was built before.

        Both have so many `nodes`; 0 is one for docker buildx, and two for ours.
        """
        name = "pair" if nodes == 2 else "peer"
        program = [self.buildx, "build", "--builder", name] if client == "buildx" else ["buildclient", "build"]
        if client == "ours" and nodes == 1:
            program += ["--builder-file", str(self.alone)]
        # Else the second build would be given the first one's layers.
        attested = () if "--provenance=true" in flags else ("--provenance=false",)
        fresh = () if cached else ("--no-cache",)
        return self.run(*program, *fresh, "--progress=plain", *attested, *flags, context)

    def manifest(self, tagged: str) -> Any:
        """What the registry holds under `repository:tag`."""
        repository, _, tag = tagged.partition(":")
        kinds = ", ".join(f"application/vnd.{kind}+json" for kind in ("oci.image.index.v1", "oci.image.manifest.v1"))
        url = f"http://{self.builder.registry}/v2/{repository}/manifests/{tag}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": kinds}), timeout=30) as answer:
            return json.load(answer)

    def plant(self, case: Case) -> tuple[str, list[str]]:
        """A case's context, and its flags."""
        context = self.builder.folder / case.name / "context"
        context.mkdir(parents=True)
        plot = Plot(context)
        case.plant(plot)
        if case.dockerfile is not None:
            text = case.dockerfile.replace("BASE", self.builder.base).replace("REGISTRY", self.builder.registry)
            plot.file("Dockerfile", text)
        if case.ignore is not None:
            plot.file(".dockerignore", case.ignore)
        given, *flags = (text.replace("CONTEXT", str(context)) for text in (case.context, *case.flags))
        return given, flags


@pytest.fixture(scope="module")
def peers(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """A builder of one node that both clients use."""
    with hand_made(cluster, tmp_path_factory.mktemp("equal"), "equal") as builder:
        yield Peers(builder)


def test_there_are_enough_cases() -> None:
    """Forty contexts and ten failures at the least, each of its own kind."""
    assert len({case.name for case in CASES}) == len(CASES) >= 40
    assert len({case.name for case in FAILING}) == len(FAILING) >= 10


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_manifest_is_pushed(peers: Peers, case: Case) -> None:
    """With a fixed date, the image's digest is the same; so every byte of manifest, config and layers is."""
    context, flags = peers.plant(case)
    digests = {}
    for client in ("buildx", "ours"):
        name = f"{peers.builder.registry}/equal/{case.name}:{client}"
        output = f"type=image,name={name},push=true,registry.insecure=true,rewrite-timestamp=true"
        metadata = peers.builder.folder / f"{case.name}-{client}.json"
        done = peers.build(client, context, "-o", output, "--metadata-file", str(metadata), *flags)
        assert done.status == 0, done.err[-3000:]
        digests[client] = json.loads(metadata.read_text())["containerimage.digest"]
    assert digests["ours"] == digests["buildx"]


@pytest.mark.parametrize("name", ["names", "order", "symlinks", "hard-links", "modes", "special", "sparse", "xattrs"])
def test_what_buildx_sent_is_cached_for_ours(peers: Peers, name: str) -> None:
    """BuildKit's hash of the context is the same, so what no layer shows is too, extended attributes for one."""
    case = next(case for case in CASES if case.name == name)
    context, flags = peers.plant(case._replace(name=f"hashed-{name}"))
    # Else another build's steps might be found.
    Path(context, "only-here").write_text(uuid.uuid4().hex)
    cached = {}
    for client in ("buildx", "ours"):
        done = peers.build(client, context, *flags, cached=True)
        assert done.status == 0, done.err[-3000:]
        step = re.search(r"^#(\d+) \[.*\] COPY", done.err, re.MULTILINE)
        assert step, done.err
        cached[client] = f"#{step[1]} CACHED" in done.err.splitlines()
    assert cached == {"buildx": False, "ours": True}


@pytest.mark.parametrize("name", ["stages", "config", "run"])
def test_attested_images_are_the_same(peers: Peers, name: str) -> None:
    """With provenance, which tells times and ids of its own build, all else in the index is the same to the byte."""
    case = next(case for case in CASES if case.name == name)
    context, flags = peers.plant(case._replace(name=f"attested-{name}"))
    kept = {}
    for client in ("buildx", "ours"):
        tagged = f"equal/attested-{name}:{client}"
        output = f"type=image,name={peers.builder.registry}/{tagged},push=true,registry.insecure=true"
        done = peers.build(client, context, "--provenance=true", "-o", f"{output},rewrite-timestamp=true", *flags)
        assert done.status == 0, done.err[-3000:]
        index = peers.manifest(tagged)
        images = [one for one in index["manifests"] if one["platform"]["os"] != "unknown"]
        proofs = [one for one in index["manifests"] if one["platform"]["os"] == "unknown"]
        assert [one["annotations"]["vnd.docker.reference.digest"] for one in proofs] == [
            one["digest"] for one in images
        ]
        kept[client] = images, [sorted(one) for one in proofs], {k: v for k, v in index.items() if k != "manifests"}
    assert kept["ours"] == kept["buildx"]


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
def test_a_failure_ends_with_the_same_line(peers: Peers, case: Case) -> None:
    """The last line on standard error is docker buildx's, what differs between any two builds aside."""
    context, flags = peers.plant(case)
    ran = {client: peers.build(client, context, *flags) for client in ("buildx", "ours")}
    assert ran["buildx"].status == 1, ran["buildx"].err
    assert ran["ours"].status in (1, 2), ran["ours"].err
    said = {client: done._replace(err=_LIBRARYS.sub("", done.err)) for client, done in ran.items()}
    last = {client: _VARYING.sub("ID", done.last) for client, done in said.items()}
    assert last["ours"] == last["buildx"]
    assert "Traceback" not in ran["ours"].err


_CROSS = (
    "FROM --platform=$BUILDPLATFORM BASE AS build\nARG BUILDPLATFORM TARGETPLATFORM\n"
    "RUN echo $BUILDPLATFORM $TARGETPLATFORM >/out\nFROM scratch\nCOPY --from=build /out /\n"
)
_FOREIGN = [
    *("darwin/arm64", "windows/amd64", "windows(10.0.17763)/amd64", "wasi/wasm", "linux/riscv64", "linux/amd64/v9"),
    "linux/amd64,darwin/arm64,windows(10.0.17763)/amd64",
    "windows/amd64,linux/386,wasi/wasm",
]


@pytest.mark.parametrize("nodes", [1, 2])
def test_targets_that_no_machine_runs_are_the_same(peers: Peers, nodes: int) -> None:
    """Cross-compiled on the node that docker buildx takes: the same files, and the same entries in a pushed index."""
    builder = peers.builder
    context = builder.context(f"cross{nodes}", _CROSS)
    kept: dict[str, list[Any]] = {"buildx": [], "ours": []}
    for client, seen in kept.items():
        for number, platforms in enumerate(_FOREIGN):
            out, tagged = builder.folder / f"cross{nodes}-{client}-{number}", f"equal/cross{nodes}-{number}:{client}"
            image = f"type=image,name={builder.registry}/{tagged},push=true,registry.insecure=true"
            several = ("--platform", platforms, "--provenance=false")
            for output in (str(out), f"{image},rewrite-timestamp=true"):
                done = peers.build(client, context, *several, "-o", output, cached=True, nodes=nodes)
                assert done.status == 0, (client, platforms, done.err[-2000:])
            files = {str(path.relative_to(out)): path.read_text() for path in out.rglob("out")}
            seen.append((platforms, files, peers.manifest(tagged)))
    assert kept["ours"] == kept["buildx"]


def test_the_daemon_says_what_cannot_run_there(peers: Peers) -> None:
    """A RUN on a platform without emulator, and a base image without the platform: docker buildx's last lines."""
    for name, dockerfile in (("noexec", 'FROM scratch\nCOPY . /\nRUN ["/x"]\n'), ("nobase", "FROM BASE\n")):
        context = peers.builder.context(name, dockerfile, x="x")
        last = []
        for client in ("buildx", "ours"):
            done = peers.build(client, context, "--platform", "linux/mips64", nodes=2)
            assert done.status == 1, (client, done.err)
            last.append(_VARYING.sub("ID", done._replace(err=_LIBRARYS.sub("", done.err)).last))
        assert last[0] == last[1]


def test_the_environment_is_the_one_that_the_cases_need() -> None:
    """Extended attributes and devices can be made here; else those cases would show nothing."""
    assert os.geteuid() == 0
