"""--load into real engines: a dockerd, its containerd, and Podman; beside docker buildx."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.relay import Relay
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.contract.platform import parse_platforms
from localcluster import tools
from localcluster.instance import current_instance
from localcluster.machine import process
from tests import engines
from tests.cluster.client_builder import BIN, Ran
from tests.conftest import kubectl
from tests.daemons import buildkitd
from tests.engines import Engine
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_TWO = ("--platform", "linux/amd64,linux/arm64")


class Place(NamedTuple):
    """A builder, engines, and a context."""

    folder: Path
    docker: Engine
    podman: Engine
    builders: dict[int, Path]
    """Builder outputs of one and of two nodes, on the same daemon."""
    port: int
    """Of that daemon."""

    def ours(self, *argv: str, nodes: int = 1, **environ: str) -> Ran:
        """Ends `buildclient build` of the context."""
        program = [str(BIN / "buildclient"), "build", "--builder-file", str(self.builders[nodes])]
        return self._run([*program, *argv, str(self.folder / "context")], environ)

    def buildx(self, *argv: str, **environ: str) -> Ran:
        """Ends `docker buildx build` of the context."""
        program = [str(tools.ensure("buildx")), "build", "--builder", "bare"]
        return self._run([*program, *argv, str(self.folder / "context")], environ)

    def _run(self, command: list[str], environ: dict[str, str]) -> Ran:
        done = subprocess.run(
            command, env=self.environ(**environ), cwd=self.folder, timeout=120, capture_output=True, text=True
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def environ(self, **more: str) -> dict[str, str]:
        """The environment of both clients; the engine is dockerd."""
        ctr = str(tools.ensure("ctr").parent)
        return {
            "HOME": str(self.folder),
            "PATH": f"{ctr}:{os.environ['PATH']}",
            "DOCKER_HOST": self.docker.host,
            "BUILDKIT_PROGRESS": "plain",
            **more,
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One buildkitd, one dockerd and one Podman, for all tests of the module."""
    folder = tmp_path_factory.mktemp("load")
    for name in ("context", "buildkit", "docker", "podman"):
        (folder / name).mkdir()
    (folder / "context/Dockerfile").write_text("FROM scratch\nARG SALT\nENV SALT=$SALT\nCOPY file /\n")
    (folder / "pod").write_text('FROM scratch\nCOPY busybox /\nENTRYPOINT ["/busybox", "sleep", "1000"]\n')
    shutil.copy(tools.ensure("busybox"), folder / "context/busybox")
    (folder / "context/file").write_bytes(os.urandom(3 << 20))
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(engines.network())
        environment = {"PATH": os.environ["PATH"], "REGISTRY": "127.0.0.1:1"}
        daemon = stack.enter_context(buildkitd(tools.ensure("buildkitd"), folder / "buildkit", environment))
        address = daemon.socket
        docker = stack.enter_context(engines.dockerd(folder / "docker", net))
        podman = stack.enter_context(engines.podman(folder / "podman", net))
        builders = {}
        both = [NodeOutput(p.architecture, platforms=(p,), address=address) for p in parse_platforms([_TWO[1]])]
        one = NodeOutput("bare0", platforms=parse_platforms([_TWO[1]]), address=address)
        for count, nodes in ((1, [one]), (2, both)):
            builders[count] = folder / f"builder{count}.json"
            builders[count].write_text(BuilderOutput("bare", "", tuple(nodes)).dumps())
        found = Place(folder, docker, podman, builders, daemon.port)
        create = [str(tools.ensure("buildx")), "create", "--name", "bare", "--driver", "remote", address]
        subprocess.run(create, env=found.environ(), check=True, timeout=60, capture_output=True)
        yield found


def _tag() -> str:
    return f"t{uuid.uuid4().hex[:8]}:1"


def _salted() -> tuple[str, ...]:
    return "--build-arg", f"SALT={uuid.uuid4().hex}"


def test_an_image_is_loaded_with_its_tags_as_by_docker_buildx(place: Place) -> None:
    """The same image under every tag, the same image ID and metadata, and the step with the engine's words."""
    salt, kept = _salted(), {}
    for client in (place.buildx, place.ours):
        names = [_tag(), f"far.example/{_tag()}"]
        tags = [word for name in names for word in ("-t", name)]
        ran = client("--load", *tags, *salt, "--iidfile", "iid", "--metadata-file", "meta.json")
        assert ran.status == 0, ran.err
        assert "importing to docker" in ran.err
        first, second = (place.docker.image(name) for name in names)
        assert first is not None
        assert second is not None
        metadata = json.loads((place.folder / "meta.json").read_text())
        assert metadata.pop("image.name") == f"docker.io/library/{names[0]},{names[1]}"
        metadata = {key: value for key, value in metadata.items() if key.startswith("containerimage")}
        metadata["containerimage.descriptor"].pop("annotations", None)
        kept[client.__name__] = first["Id"], second["Id"], (place.folder / "iid").read_text(), metadata
    assert kept["ours"] == kept["buildx"]
    assert f"Loaded image: {names[0]}" in ran.err


def test_an_image_without_a_tag_is_loaded_by_its_id(place: Place) -> None:
    """-q prints the ID, under which the engine has it."""
    ran = place.ours("-q", "-o", "type=docker", *_salted())
    assert (ran.status, ran.err) == (0, "")
    assert place.docker.image(ran.out.strip()) is not None


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("attested", [(), ("--provenance=true",)])
def test_of_several_platforms_the_engine_s_own_is_loaded(place: Place, nodes: int, attested: tuple[str, ...]) -> None:
    """Where docker buildx refuses; another output of the same build has all platforms."""
    name, archive = _tag(), place.folder / "all.tar"
    ran = place.ours("--load", *_TWO, *attested, "-t", name, "-o", f"type=oci,dest={archive}", *_salted(), nodes=nodes)
    assert ran.status == 0, ran.err
    assert f"loading linux/amd64 only: the engine at {place.docker.host} takes no image index" in ran.err
    assert (place.docker.image(name) or {})["Architecture"] == "amd64"
    refused = place.buildx("--load", *_TWO, "-t", name)
    assert refused.last.endswith("docker exporter does not currently support exporting manifest lists")
    names = subprocess.run(["tar", "tf", archive], capture_output=True, text=True, check=True).stdout.split()
    assert "index.json" in names


def test_the_id_of_an_image_that_was_picked_out_is_the_engine_s(place: Place) -> None:
    """-q of a build with attestations prints what the engine knows it by, and not the index's digest."""
    ran = place.ours("-q", "--load", "--provenance=true", *_TWO, *_salted())
    assert ran.status == 0, ran.err
    assert place.docker.image(ran.out.strip()) is not None


def test_only_what_is_loaded_is_built(place: Place) -> None:
    """The archive then is the docker exporter's; a platform that the engine does not run is loaded when asked alone."""
    name = _tag()
    ran = place.ours("--load", *_TWO, "-t", name, nodes=2)
    assert ran.status == 0, ran.err
    assert "exporting to docker image format" in ran.err
    for platform, architecture in (("linux/arm64", "arm64"), ("linux/s390x,linux/arm64", "")):
        ran = place.ours("--load", "--platform", platform, "-t", name)
        if architecture:
            assert (place.docker.image(name) or {})["Architecture"] == architecture
        else:
            assert ran.status == 1
            assert "runs linux/amd64" in ran.last


def test_podman_takes_the_same(place: Place) -> None:
    """Its service at DOCKER_HOST."""
    for flags in ((), _TWO, ("--provenance=true",)):
        name = _tag()
        ran = place.ours("--load", "-t", name, *flags, *_salted(), DOCKER_HOST=place.podman.host)
        assert ran.status == 0, ran.err
        assert place.podman.image(name) is not None


def test_containerd_takes_an_index_into_a_namespace(place: Place) -> None:
    """Merged from two nodes, with attestations; a single platform of another machine; and an image without a name."""
    where = f"containerd://{place.docker.containerd}?namespace=k8s.io"
    both, alone = _tag(), _tag()
    listed = ["ctr", "--address", str(place.docker.containerd), "--namespace", "k8s.io", "images", "ls"]
    for flags, nodes in (
        ((*_TWO, "--provenance=true", "-t", both), 2),
        (("--platform", "linux/arm64", "-t", alone), 1),
        ((), 1),
    ):
        ran = place.ours("--load", *flags, nodes=nodes, BUILDCLIENT_LOAD=where)
        assert ran.status == 0, ran.err
        assert "importing to containerd" in ran.err
    shown = subprocess.run(listed, env=place.environ(), capture_output=True, text=True, check=True).stdout
    lines = {line.split()[0].removeprefix("docker.io/library/"): line for line in shown.splitlines()[1:]}
    assert "linux/amd64,linux/arm64" in lines[both]
    assert "linux/arm64" in lines[alone]
    assert any(name.startswith("import-") and "@sha256:" in name for name in lines)
    refused = place.ours("-o", "type=docker,context=containerd:///nowhere.sock")
    assert refused.status == 1
    assert "cannot load into containerd:///nowhere.sock?namespace=default" in refused.last


def test_a_pod_runs_what_was_loaded_into_its_node(place: Place, cluster: dict[str, str], namespace: str) -> None:
    """The kubelet finds the image in containerd's namespace k8s.io and pulls nothing."""
    record = process.load(current_instance().run, "node-amd64")
    assert record is not None
    path = f"/proc/{record.pid}/root/run/containerd/containerd.sock"
    name = f"loaded.example/{_tag()}"
    ran = place.ours(
        "--load", "-t", name, "-f", str(place.folder / "pod"), BUILDCLIENT_LOAD=f"containerd://{path}?namespace=k8s.io"
    )
    assert ran.status == 0, ran.err
    try:
        spec = json.dumps({"spec": {"nodeName": "amd64", "automountServiceAccountToken": False}})
        run = ["run", "loaded", "--image", name, "--image-pull-policy=Never", "--restart=Never", f"--overrides={spec}"]
        kubectl(cluster, "-n", namespace, *run)
        running = "--for=jsonpath={.status.phase}=Running"
        kubectl(cluster, "-n", namespace, "wait", "pod/loaded", running, "--timeout=60s", timeout=70)
    finally:
        ctr = [str(tools.ensure("ctr")), "--address", path, "--namespace", "k8s.io", "images", "rm", name]
        subprocess.run(ctr, check=False, timeout=60, capture_output=True)


def test_an_engine_of_another_machine_is_reached_through_ssh(place: Place) -> None:
    """The command is docker's; what it carries is the engine's API. What `ssh` says is the error."""
    folder = place.folder / "bin"
    folder.mkdir()
    ssh = folder / "ssh"
    ssh.write_text(
        f'#!/bin/sh\necho "$@" >>{folder}/said\n'
        'case "$*" in *nobody*) echo "nobody: no such user" >&2; exit 255;; esac\n'
        f"exec {BIN}/python -c '{_RELAY}' {place.docker.socket}\n"
    )
    ssh.chmod(0o755)
    path = f"{folder}:{place.environ()['PATH']}"
    name = _tag()
    ran = place.ours("--load", "-t", name, DOCKER_HOST="ssh://me@far:2222", PATH=path)
    assert ran.status == 0, ran.err
    assert place.docker.image(name) is not None
    said = (folder / "said").read_text().splitlines()
    assert said == ["-l me -p 2222 -o ConnectTimeout=30 -T -- far docker system dial-stdio"] * 2
    ran = place.ours("--load", DOCKER_HOST="ssh://nobody@far", PATH=path)
    assert (ran.status, "nobody: no such user" in ran.last) == (1, True)


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "foo", "npipe:////./pipe/docker"])
def test_an_engine_that_is_not_there_is_said_before_the_build(place: Place, host: str) -> None:
    """In docker buildx's words as far as they help, and what to do instead."""
    flags = ("-o", f"type=docker,context={host}")
    theirs, ours = place.buildx(*flags), place.ours(*flags)
    assert (ours.status, theirs.status) == (1, 1)
    assert ours.out == ""
    assert len(ours.err.strip().splitlines()) == 1
    if not host.startswith("npipe"):
        words = theirs.last.partition(". Is the docker")[0].partition(": ")[2]
        assert words in ours.last
    assert host in ours.last
    assert "docker" in ours.last


def test_a_builder_may_load_by_default(place: Place) -> None:
    """What has no output is loaded, without a warning; the variable of docker buildx switches it off."""
    output = BuilderOutput.loads(place.builders[1].read_text())._replace(default_load=True)
    place.builders[1].with_name("loading.json").write_text(output.dumps())
    loading = place._replace(builders={1: place.builders[1].with_name("loading.json")})
    name = _tag()
    ran = loading.ours("-t", name)
    assert (ran.status, "WARNING" in ran.err) == (0, False)
    assert place.docker.image(name) is not None
    name = _tag()
    ran = loading.ours("-t", name, BUILDX_NO_DEFAULT_LOAD="1")
    assert (ran.status, "WARNING: no output specified" in ran.err) == (0, True)
    assert place.docker.image(name) is None


def test_an_interrupted_build_loads_nothing(place: Place) -> None:
    """The end of the archive is kept back until all that may fail has been done: here, a pipe that nobody reads."""
    name, pipe = _tag(), place.folder / "pipe"
    os.mkfifo(pipe)
    command = [str(BIN / "buildclient"), "build", "--builder-file", str(place.builders[1])]
    argv = ["--load", "-t", name, "-o", f"type=tar,dest={pipe}", str(place.folder / "context")]
    with subprocess.Popen(
        [*command, *argv], env=place.environ(), stderr=subprocess.PIPE, text=True, cwd=place.folder
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "importing to docker" in line:
                break
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(busy(20)) == 130
        assert time.monotonic() - began < busy(6)
    assert place.docker.image(name) is None


_RELAY = """
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
def up():
    while d := os.read(0, 65536): s.sendall(d)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while d := s.recv(65536): os.write(1, d)
"""


def test_an_image_whose_archive_breaks_off_is_loaded_from_the_next_try(place: Place) -> None:
    """Cut in the middle of it: the engine keeps nothing of the first archive, and takes the second."""
    address = f"tcp://127.0.0.1:{place.port}"
    salt, name = _salted(), _tag()
    relay = Relay("127.0.0.1", place.port)
    try:
        relay.cut("down", 2 << 20)
        done = place.ours("--addr", f"tcp://127.0.0.1:{relay.port}", *salt, "--load", "-t", name)
    finally:
        relay.close()
    assert done.status == 0, done.err
    assert "try 2 of 3" in done.err
    whole = _tag()
    assert place.ours("--addr", address, *salt, "--load", "-t", whole).status == 0
    found = [place.docker.image(one) for one in (name, whole)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0]["Id"] == found[1]["Id"]
