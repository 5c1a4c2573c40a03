"""Builds through the Kubernetes API on real pods: results, failures, rights, broken ways, cancellation."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from bench.link import link
from buildclient import Builder, BuildResult, SecretEnv, build_request, of_build
from buildclient.kube.tunnel import ExecEndpoint
from buildclient.progress.events import Event, Log
from buildclient.progress.terminal import Display, open_display, shown
from localcluster.tools import ensure
from tests.cluster.client_builder import BIN, HandMadeBuilder, hand_made
from tests.cluster.held import held, release
from tests.cluster.ssh_agent import agent, probe
from tests.conftest import ROOT
from tests.load import busy

pytestmark = pytest.mark.cluster
HELLO = "FROM BASE\nRUN uname -m > /arch && cat /arch\n"


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """A builder of two nodes, ready."""
    with hand_made(cluster, tmp_path_factory.mktemp("client"), "client") as one:
        yield one


def manifest(builder: HandMadeBuilder, repository: str, reference: str) -> dict[str, Any]:
    """A manifest in the registry."""
    accept = ", ".join(f"application/vnd.oci.image.{kind}.v1+json" for kind in ("index", "manifest"))
    url = f"http://{builder.registry}/v2/{repository}/manifests/{reference}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=20) as answer:
        return dict(json.load(answer))


def tags(builder: HandMadeBuilder, repository: str) -> list[str]:
    """The tags of a repository; none when it is not there."""
    try:
        with urllib.request.urlopen(f"http://{builder.registry}/v2/{repository}/tags/list", timeout=20) as answer:
            return list(json.load(answer).get("tags") or [])
    except urllib.error.HTTPError:
        return []


def test_two_platforms_become_one_index_under_every_tag(builder: HandMadeBuilder) -> None:
    """Each node builds its platform; the index holds both, and every tag leads to it."""
    repository = f"client/{uuid.uuid4().hex[:8]}"
    name = f"{builder.registry}/{repository}"
    done = builder.run(
        "build", "--platform", "linux/amd64,linux/arm64", "-t", f"{name}:1", "-t", f"{name}:2", "--push",
        "--metadata-file", "metadata.json", builder.context("hello", HELLO),
    )  # fmt: skip
    assert done.status == 0, done.err
    assert " x86_64" in done.err
    assert " aarch64" in done.err
    index = manifest(builder, repository, "1")
    platforms = [m["platform"]["architecture"] for m in index["manifests"] if m["platform"]["os"] != "unknown"]
    assert platforms == ["amd64", "arm64"]
    assert manifest(builder, repository, "2") == index
    metadata = json.loads((builder.folder / "metadata.json").read_text())
    assert manifest(builder, repository, metadata["containerimage.digest"]) == index


def test_one_failed_platform_leaves_no_tag(builder: HandMadeBuilder) -> None:
    """When the build fails on one architecture, the other's success is put under no tag."""
    repository = f"client/{uuid.uuid4().hex[:8]}"
    context = builder.context("half", 'FROM BASE\nRUN [ "$(uname -m)" != aarch64 ]\n')
    done = builder.run(
        "build", "--platform", "linux/amd64,linux/arm64", "-t", f"{builder.registry}/{repository}:1", "--push", context
    )
    assert done.status == 1
    assert done.last.startswith("ERROR: failed to build: failed to solve: process ")
    assert done.last.endswith("did not complete successfully: exit code: 1")
    assert tags(builder, repository) == []


def test_a_failed_step_shows_its_lines_and_its_log(builder: HandMadeBuilder) -> None:
    """The Dockerfile's line is marked, the step's output shown again, the last line is docker buildx's."""
    done = builder.run("build", "--no-cache", builder.context("fail", "FROM BASE\nRUN echo reason; exit 7\n"))
    assert done.status == 1
    assert "   2 | >>> RUN echo reason; exit 7" in done.err
    assert done.err.count("reason\n") >= 2
    assert done.last == (
        'ERROR: failed to build: failed to solve: process "/bin/sh -c echo reason; exit 7" '
        "did not complete successfully: exit code: 7"
    )


def test_an_error_with_long_details_is_whole(builder: HandMadeBuilder) -> None:
    """A Dockerfile of 60 KB comes back in the error's details, beyond gRPC's usual limits."""
    dockerfile = "FROM BASE\n" + "# a comment that makes the source long\n" * 1600 + "RUN exit 9\n"
    done = builder.run("build", builder.context("long", dockerfile))
    assert done.status == 1
    assert ">>> RUN exit 9" in done.err
    assert done.last.endswith("exit code: 9")


def test_outputs_come_back(builder: HandMadeBuilder) -> None:
    """A folder and an archive arrive through the tunnel, for one platform and for two."""
    context = builder.context("out", "FROM scratch\nCOPY hello.txt /\n", **{"hello.txt": "hi\n"})
    assert builder.run("build", "-o", "type=local,dest=one", context).status == 0
    assert (builder.folder / "one" / "hello.txt").read_text() == "hi\n"
    both = ("--platform", "linux/amd64,linux/arm64")
    done = builder.run("build", *both, "-o", "type=local,dest=two", context)
    assert done.status == 0, done.err
    assert {p.name for p in (builder.folder / "two").iterdir()} == {"linux_amd64", "linux_arm64"}
    done = builder.run("build", "-o", "type=tar,dest=one.tar", context)
    assert done.status == 0, done.err
    listed = subprocess.run(["tar", "tf", str(builder.folder / "one.tar")], capture_output=True, text=True, check=True)
    assert "hello.txt" in listed.stdout


def test_emulated_platforms_go_to_a_daemon_that_reports_them(builder: HandMadeBuilder) -> None:
    """A platform nobody declares is built where BuildKit reports it."""
    view = json.loads(builder.run("inspect", "--format", "json").out)
    reported = {p for n in view["nodes"] for pod in n["pods"] for w in pod["workers"] for p in w["platforms"]}
    assert "linux/386" in reported
    done = builder.run("build", "--platform", "linux/386", builder.context("emulated", "FROM scratch\nCOPY . /\n"))
    assert done.status == 0, done.err
    done = builder.run("build", "--platform", "linux/mips64", builder.context("foreign", "FROM BASE\nRUN true\n"))
    assert done.status == 1
    assert done.last.endswith("no match for platform in manifest: not found")


@pytest.mark.parametrize("name", ["größe", "早餐", "a\nb", "a\x1b[31m", "\udcff", " a b ", 'a:b,c%20+"'])
def test_a_folder_may_have_any_name(builder: HandMadeBuilder, name: str) -> None:
    """The context's, which becomes a key of the session; under it a second upload carries only what has changed."""
    context = builder.context(
        name, "FROM scratch\nARG any\nLABEL any=$any\nCOPY . /\n", large=os.urandom(1 << 19).hex()
    )
    flags = ("--progress=plain", "--build-arg", f"any={name}", "--label", f"{name}={name}", "--routing-key", name)
    first = builder.run("build", *flags, context)
    assert first.status == 0, first.err
    assert "transferring context: 1.05MB" in first.err
    Path(context, "small").write_text("new")
    second = builder.run("build", *flags, context)
    assert second.status == 0, second.err
    assert re.search(r"transferring context: \d+B", second.err), second.err


def test_ls_and_inspect_show_what_is_there(builder: HandMadeBuilder) -> None:
    """Nodes, endpoints, ready pods and their Kubernetes nodes, BuildKit's version and platforms."""
    table = builder.run("ls").out
    for word in ("kube", r"\_ builder-amd64", "running", "linux/amd64*", "1/1 ready on amd64", "1/1 ready on arm64"):
        assert word in table
    text = builder.run("inspect", "--bootstrap").out
    for word in (builder.pods("arm64")[0].removeprefix("pod/"), "Kubernetes node: arm64", "GC Policy rule#0:"):
        assert word in text


def test_the_output_is_found_in_the_cluster(builder: HandMadeBuilder) -> None:
    """A ConfigMap is all a CI job needs to know of a builder."""
    context = builder.context("found", "FROM scratch\nCOPY . /\n")
    name = f"{builder.namespace}/kube"
    assert builder.run("build", "--from-cluster", name, context, BUILDCLIENT_BUILDER="").status == 0
    assert builder.run("build", context, BUILDCLIENT_BUILDER="", BUILDX_BUILDER=name).status == 0
    done = builder.run("build", "--from-cluster", f"{builder.namespace}/other", context)
    assert done.status == 2
    assert "cannot read ConfigMap" in done.last


def test_the_log_tells_the_story_of_a_build_without_its_secrets(builder: HandMadeBuilder) -> None:
    """From the kubeconfig to the tagged index, in order; neither a build argument nor the kubeconfig's key is in it."""
    name = f"{builder.registry}/client/{uuid.uuid4().hex[:8]}:1"
    done = builder.run(
        "-D", "build", "--platform", "linux/amd64,linux/arm64", "-t", name, "--push",
        "--build-arg", "TOKEN=PLANTED", builder.context("logged", "FROM scratch\nCOPY . /\n"),
    )  # fmt: skip
    assert done.status == 0, done.err
    left = iter(done.err.splitlines())
    for part in (
        "kube: kubeconfig ",
        "kube: context ",
        "nodes: builder-amd64 builds linux/amd64",
        "/pods: 200 in ",
        "highest sticky score",
        "kube: exec upgraded to v5.channel.k8s.io in ",
        "BuildKit answers after ",
        "daemon: solve ",
        "session: the daemon calls /moby.filesync.v1.FileSync/DiffCopy",
        ": OK after ",
        "registry: index sha256:",
        "/manifests/1: 201 in ",
        "cli: exit status 0",
    ):
        assert any(part in line for line in left), f"{part!r} is not in its place:\n{done.err}"
    config = yaml.safe_load(Path(builder.environment["KUBECONFIG"]).read_text())
    secrets = [value for key, value in config["users"][0]["user"].items() if key.endswith("-data") or key == "token"]
    assert not any(secret in done.err for secret in ["PLANTED", *secrets])


def test_credentials_the_cluster_refuses_are_said(builder: HandMadeBuilder) -> None:
    """401 is one line that says to log in."""
    config = yaml.safe_load(Path(builder.environment["KUBECONFIG"]).read_text())
    config["users"][0]["user"] = {"token": "stale"}
    path = builder.folder / "stale.yaml"
    path.write_text(yaml.safe_dump(config))
    done = builder.run("build", builder.context("stale", "FROM scratch\nCOPY . /\n"), KUBECONFIG=str(path))
    assert done.status == 2
    assert "log in again" in done.last


def test_an_interrupted_build_ends_at_once_and_on_the_daemon_too(builder: HandMadeBuilder) -> None:
    """Ctrl-C ends the command with 130 within seconds, and the step in the pod is gone."""
    mark = f"{uuid.uuid4().int % 10**6 + 3000}"
    context = builder.context("slow", f"FROM BASE\nRUN echo {mark}; sleep {mark}\n")
    process = subprocess.Popen(
        [str(BIN / "buildclient"), "build", context],
        env=builder.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if line.rstrip().endswith(f" {mark}"):
            break
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(busy(10)) == 130, rest
    assert time.monotonic() - begun < busy(5)
    assert rest.strip().splitlines()[-1].endswith("Canceled: context canceled")
    pod = builder.pods()[0]
    for _ in range(40):
        if f"sleep {mark}" not in builder.kubectl("exec", pod, "-c", "buildkitd", "--", "ps", "-o", "args"):
            return
        time.sleep(0.25)
    pytest.fail("the step still runs in the pod")


def test_an_interrupted_build_leaves_neither_tag_nor_file(builder: HandMadeBuilder) -> None:
    """One platform is done and has sent its archive; the other still works when the signal comes."""
    repository = f"client/{uuid.uuid4().hex[:8]}"
    mark = f"{uuid.uuid4().int % 10**6 + 3000}"
    slow = f'FROM BASE\nRUN echo {mark}; [ "$(uname -m)" != aarch64 ] || sleep {mark}\n'
    folder = builder.folder / "interrupted"
    temporary = builder.folder / "temporary"
    for one in (folder, temporary):
        one.mkdir()
    (folder / "id").write_text("old")
    process = subprocess.Popen(
        [
            *(str(BIN / "buildclient"), "build", "--platform", "linux/amd64,linux/arm64"),
            *("-t", f"{builder.registry}/{repository}:1", "--push", "-o", "type=oci,dest=out.tar"),
            *("--iidfile", "id", "--metadata-file", "metadata", builder.context("half-slow", slow)),
        ],
        env={**builder.environment, "TMPDIR": str(temporary)},
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if "sending tarball" in line:
            break
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rest = process.stderr.read()
    assert process.wait(busy(10)) == 130, rest
    assert time.monotonic() - begun < busy(5)
    assert tags(builder, repository) == []
    assert list(folder.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_a_build_whose_pod_dies_goes_on_in_the_next(builder: HandMadeBuilder) -> None:
    """The pod that takes its place is waited for; the progress names the one that was lost."""
    mark = f"{uuid.uuid4().int % 10**6 + 3000}"
    context = builder.context("killed", f"FROM BASE\nRUN echo {mark}; {held(mark)}\n")
    process = subprocess.Popen(
        [str(BIN / "buildclient"), "build", context], env=builder.environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    for line in process.stderr:
        if line.rstrip().endswith(f" {mark}"):
            break
    pod = builder.pods()[0]
    builder.kubectl("delete", pod, "--grace-period=0", "--force")
    rest = ""
    for line in process.stderr:
        rest += line
        if line.rstrip().endswith(f" {mark}"):
            release(mark)
    assert process.wait(busy(10)) == 0, rest
    assert "try 2 of 3" in rest
    assert f"pod {pod.removeprefix('pod/')} " in rest
    builder.kubectl("rollout", "status", "deployment/builder-amd64", "--timeout=120s", timeout=130)


def test_a_builder_without_pods_says_so_at_its_timeout(builder: HandMadeBuilder) -> None:
    """Scaled to nothing, a build waits for the node's own timeout, then names labels and namespace."""
    builder.kubectl("scale", "deployment/builder-arm64", "--replicas=0")
    builder.kubectl("wait", "--for=delete", "pod", "-l", "app=builder-arm64", "--timeout=60s", timeout=70)
    try:
        output = json.loads(builder.file.read_text())
        output["nodes"][1]["timeoutSeconds"] = round(busy(2))
        # Else the build would start it.
        output["nodes"][1]["replicas"] = 0
        short = builder.folder / "short.json"
        short.write_text(json.dumps(output))
        context = builder.context("nopods", "FROM scratch\nCOPY . /\n")
        done = builder.run("build", "--builder-file", str(short), "--platform", "linux/arm64", context)
        assert done.status == 125
        assert "no pod carries app=builder-arm64" in done.last
        assert builder.namespace in done.last
    finally:
        builder.kubectl("scale", "deployment/builder-arm64", "--replicas=1")
    done = builder.run("inspect", "--bootstrap")
    assert done.status == 0, done.err
    assert "1/1 ready on arm64" in builder.run("ls").out


def test_a_daemon_at_an_address_builds_too(builder: HandMadeBuilder) -> None:
    """A node may be a TCP address instead of pods; one that does not answer is said."""
    deployment = builder._deployment("amd64")
    labels = {"app": "tcp"}
    deployment["metadata"]["name"] = "tcp"
    deployment["spec"]["selector"]["matchLabels"] = deployment["spec"]["template"]["metadata"]["labels"] = labels
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["args"] = ["--addr", "unix:///run/buildkit/buildkitd.sock", "--addr", "tcp://0.0.0.0:1234"]
    builder.apply([deployment])
    builder.kubectl("rollout", "status", "deployment/tcp", "--timeout=120s", timeout=130)
    address = builder.kubectl("get", "pods", "-l", "app=tcp", "-o", "jsonpath={.items[0].status.podIP}")
    context = builder.context("tcp", HELLO)

    def output(port: int) -> str:
        node = {"name": "remote", "address": f"tcp://{address}:{port}", "platforms": ["linux/amd64"]}
        path = builder.folder / f"tcp-{port}.json"
        path.write_text(json.dumps({"version": 1, "name": "far", "namespace": "", "nodes": [node]}))
        return str(path)

    done = builder.run("build", "--builder-file", output(1234), context)
    assert done.status == 0, done.err
    assert "x86_64" in done.err
    done = builder.run("build", "--builder-file", output(1), context)
    assert done.status == 125
    assert f"cannot reach BuildKit at tcp://{address}:1" in done.last
    assert "running" in builder.run("ls", "--builder-file", output(1234)).out


def test_a_pod_by_its_address(builder: HandMadeBuilder) -> None:
    """`kube-pod://` is buildctl's form: with a container or without, in the context's namespace or another."""
    pod = builder.pods("amd64")[0].removeprefix("pod/")
    context = builder.context("kube-pod", HELLO)
    for query in ("", "&container=buildkitd&context=local"):
        address = f"kube-pod://{pod}?namespace={builder.namespace}{query}"
        done = builder.run("build", "--addr", address, context, BUILDCLIENT_BUILDER="")
        assert done.status == 0, done.err
        assert f"[2/2] RUN {HELLO.splitlines()[1].removeprefix('RUN ')}" in done.err
    done = builder.run("build", "--addr", "kube-pod://nobody", "-q", context)
    assert done.status == 125
    where = 'pod nobody (namespace default, context "local")'
    assert done.err == f'ERROR: cannot exec into {where}: pods "nobody" not found\n'


def test_buildctl_builds_through_a_pods_exec(builder: HandMadeBuilder, tmp_path: Path) -> None:
    """The real buildctl, over `buildclient dial-stdio` in place of ssh, on the node of the platform."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec {BIN}/buildclient dial-stdio --platform linux/arm64 --progress plain\n")
    ssh.chmod(0o755)
    context = builder.context("dial", HELLO)
    command = [str(ensure("buildctl")), "--addr", "ssh://x", "build", "--frontend", "dockerfile.v0", "--progress=plain"]
    done = subprocess.run(
        [*command, "--local", f"context={context}", "--local", f"dockerfile={context}"],
        env={**builder.environment, "PATH": f"{tmp_path}:{builder.environment['PATH']}"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "aarch64" in done.stderr


def test_secrets_of_a_program_reach_every_node(builder: HandMadeBuilder) -> None:
    """Bytes and a variable in the steps of two nodes; a function is called once for both; no step gets another id."""
    calls: list[str] = []

    def called() -> bytes:
        calls.append("once")
        return b"called"

    step = "".join(f"--mount=type=secret,id={name} " for name in ("held", "env", "call", "other"))
    out = builder.folder / "secrets"
    dockerfile = (
        f"FROM BASE AS one\nRUN {step} mkdir /out; head /run/secrets/* >/out/all; echo {uuid.uuid4().hex}\n"
        "FROM scratch\nCOPY --from=one /out /\n"
    )
    request = build_request(
        builder.context("secrets", dockerfile),
        platforms=["linux/amd64,linux/arm64"],
        outputs=[f"type=local,dest={out}"],
        secrets={"held": b"held\n", "env": SecretEnv("HELD"), "call": called},
    )
    Builder(output=builder.output, environ={**builder.environment, "HELD": "variable"}).build(request)
    for platform in ("linux_amd64", "linux_arm64"):
        text = (out / platform / "all").read_text()
        assert [line for line in text.splitlines() if line] == [
            "==> /run/secrets/call <==", "called",
            "==> /run/secrets/env <==", "variable",
            "==> /run/secrets/held <==", "held",
        ]  # fmt: skip
    assert calls == ["once"]


def test_twenty_connections_of_a_step_share_a_real_agent(builder: HandMadeBuilder, tmp_path: Path) -> None:
    """OpenSSH's agent answers all at once and keeps its key, whatever a step asks; the log shows neither secret."""
    dockerfile = (
        "FROM BASE AS one\nCOPY probe /\nRUN --mount=type=ssh --mount=type=secret,id=s "
        f"mkdir /out; /probe 20 refused >/out/said; echo {uuid.uuid4().hex}\nFROM scratch\nCOPY --from=one /out /\n"
    )
    context = Path(builder.context("agent", dockerfile))
    (context / "probe").write_bytes(probe())
    (context / "probe").chmod(0o755)
    with agent(tmp_path) as socket:
        done = builder.run(
            "-D", "build", "--ssh", "default", "--secret", "id=s,env=S", "-o", str(tmp_path / "out"), str(context),
            SSH_AUTH_SOCK=socket, S="PLANTED",
        )  # fmt: skip
        assert done.status == 0, done.err
        said = (tmp_path / "out/said").read_text()
        assert said == "20 streams: 1 keys, signed by ssh-ed25519\n8 requests refused\n"
        listed = subprocess.run(["ssh-add", "-L"], env={**os.environ, "SSH_AUTH_SOCK": socket}, capture_output=True)
        assert listed.stdout.startswith(b"ssh-ed25519 ")
    assert done.err.count("the daemon calls /moby.sshforward.v1.SSH/ForwardAgent") == 21
    assert "PLANTED" not in done.err


@pytest.mark.slow
def test_a_long_silent_step_keeps_its_session(builder: HandMadeBuilder) -> None:
    """Forty silent seconds pass: the daemon's health probes are answered all the while."""
    context = builder.context("silent", f"FROM BASE\nRUN sleep 40; echo {os.getpid()}\nCOPY Dockerfile /again\n")
    done = builder.run("build", "--no-cache", context, timeout=120)
    assert done.status == 0, done.err


def test_ten_services_are_built_at_once_with_a_limit(builder: HandMadeBuilder) -> None:
    """The example: every image is in the registry, and one summary counts all steps; a failure is a line."""
    salt = uuid.uuid4().hex
    (builder.folder / "services").mkdir()
    for n in range(10):
        builder.context(f"services/shop{n}", f"FROM BASE\nRUN echo {salt} >/salt-{n}\n")
    script = ROOT / "examples" / "services" / "build_services.py"
    line = [sys.executable, str(script), "services", "--registry", f"{builder.registry}/{salt}", "--push"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            line, cwd=builder.folder, env=builder.environment, capture_output=True, text=True, timeout=120, check=False
        )

    done = run()
    assert done.returncode == 0, done.stderr
    images = done.stdout.splitlines()
    assert [image.partition("@")[0] for image in images] == [
        f"{builder.registry}/{salt}/shop{n}:latest" for n in range(10)
    ]
    for image in images:
        name, _, digest = image.removeprefix(f"{builder.registry}/").partition(":latest@")
        assert manifest(builder, name, digest)
    assert len(re.findall(r"^Built in .* 20 steps", done.stderr, re.MULTILINE)) == 1
    builder.context("services/shop3", "FROM BASE\nRUN exit 7\n")
    failed = run()
    assert failed.returncode == 1
    assert "exit code: 7" in failed.stderr.splitlines()[-1]
    assert "Traceback" not in failed.stderr


def test_two_builds_of_one_client_share_connections_and_a_display(
    builder: HandMadeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both run on both pods at the same time, through one exec each, and are told apart in one display."""
    execs = []
    connect = ExecEndpoint.connect

    async def counted(self: ExecEndpoint, deadline: float) -> Any:
        execs.append(self.description)
        return await connect(self, deadline)

    monkeypatch.setattr(ExecEndpoint, "connect", counted)
    out = io.StringIO()

    async def built(client: Builder, display: Display, name: str) -> BuildResult:
        context = builder.context(f"shared-{name}", f"{HELLO}RUN echo {name}-{uuid.uuid4().hex}\n")
        request = build_request(context, platforms=["linux/amd64,linux/arm64"], outputs=["type=cacheonly"])
        return await client.build_async(request, of_build(display.feed, name))

    async def both() -> list[BuildResult]:
        client = Builder(output=builder.output, environ=builder.environment)
        async with client.session(), shown(open_display("plain", out, {})) as display:
            return await asyncio.gather(*(built(client, display, name) for name in ("web", "api")))

    results = asyncio.run(both())
    assert [[node.node for node in result.nodes] for result in results] == [["builder-amd64", "builder-arm64"]] * 2
    assert len(execs) == 2
    for name in ("web", "api"):
        for node in ("builder-amd64", "builder-arm64"):
            assert f"[{name} {node} " in out.getvalue()


def test_blocking_builds_run_in_threads(builder: HandMadeBuilder) -> None:
    """Three at once, on one `Builder` of the ConfigMap, each with an event loop of its own."""
    remote = Builder.from_cluster(f"{builder.namespace}/{builder.name}", environ=builder.environment)
    requests = [
        build_request(
            builder.context(f"thread{n}", f"FROM BASE\nRUN echo {uuid.uuid4().hex}\n"), outputs=["type=cacheonly"]
        )
        for n in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(remote.build, requests))
    assert len({result.nodes[0].ref for result in results}) == 3


def test_a_timeout_ends_builds_on_the_pods(builder: HandMadeBuilder) -> None:
    """`asyncio.timeout` around a session: its builds end within seconds, and their steps are gone from the pods."""
    mark = f"4{uuid.uuid4().int % 10**8}"
    context = builder.context("timeout", f"FROM BASE\nRUN echo begun; sleep {mark}\n")
    begun: set[str] = set()

    async def built() -> None:
        remote = Builder.from_output(builder.output, environ=builder.environment)
        request = build_request(context, platforms=["linux/amd64,linux/arm64"], outputs=["type=cacheonly"])
        async with asyncio.timeout(busy(60)) as limit, remote.session():

            def heard(event: Event) -> None:
                nonlocal over
                if isinstance(event, Log) and event.data == b"begun\n":
                    begun.add(event.node)
                    if len(begun) == 2:
                        over = asyncio.get_running_loop().time()
                        limit.reschedule(over)

            await remote.build_async(request, heard)

    over = 0.0
    with pytest.raises(TimeoutError):
        asyncio.run(built())
    assert len(begun) == 2, "both steps ran"
    assert time.monotonic() - over < busy(10)
    for _ in range(50):
        pods = [
            (pod, builder.kubectl("exec", pod, "--", "ps", "-o", "args"))
            for a in ("amd64", "arm64")
            for pod in builder.pods(a)
        ]
        if not any(f"sleep {mark}" in processes for _, processes in pods):
            return
        time.sleep(0.2)
    raise AssertionError(pods)


def test_questions_about_a_dockerfile_through_one_connection(builder: HandMadeBuilder) -> None:
    """Warnings, arguments and targets come as values, at the same time, and nothing is built."""
    context = builder.context("asked", "FROM BASE as one\nARG A=1\nFROM one AS two\nARG B\nRUN false\n")

    async def asked() -> tuple[Any, ...]:
        client = Builder(output=builder.output, environ=builder.environment)
        request = build_request(context, outputs=["type=registry,name=r.invalid/x"])
        async with client.session():
            return await asyncio.gather(
                client.check_async(request), client.outline_async(request), client.targets_async(request)
            )

    check, outline, targets = asyncio.run(asked())
    assert [(one.rule, one.location.ranges[0].start) for one in check.warnings] == [("FromAsCasing", 1)]
    assert check.failed
    assert outline.name == "two"
    assert sorted((one.name, one.value) for one in outline.args) == [("A", "1"), ("B", "")]
    assert [(one.name, one.default, one.base) for one in targets][1:] == [("two", True, "one")]


def test_a_context_is_compressed_on_a_slow_link(builder: HandMadeBuilder) -> None:
    """Over a link of 2 MB/s text takes a fraction of its bytes, and arrives as it was; the summary says so."""
    config = yaml.safe_load(Path(builder.environment["KUBECONFIG"]).read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    text = "".join(f"line {number} of a text that is long\n" for number in range(150_000))
    context = builder.context("text", "FROM scratch\nCOPY text noise /\n", text=text)
    noise = os.urandom(500_000)
    Path(context, "noise").write_bytes(noise)
    with link(server.hostname or "", server.port or 443, rtt=0.03, rate=2e6) as port:
        config["clusters"][0]["cluster"].update(
            {"server": f"https://127.0.0.1:{port}", "tls-server-name": server.hostname}
        )
        far = builder.folder / "far.yaml"
        far.write_text(yaml.safe_dump(config))
        done = builder.run("build", "--platform", "linux/amd64", context, KUBECONFIG=str(far))
    assert done.status == 0, done.err
    assert re.search(r"moved, [\d.]+MB in [\d.]+[kM]B$", done.err, re.MULTILINE), done.err
    done = builder.run("build", "--platform", "linux/amd64", "-o", "out", context)
    assert done.status == 0, done.err
    assert "moved, " not in done.err, "nothing was sent again"
    assert (builder.folder / "out/text").read_text() == text
    assert (builder.folder / "out/noise").read_bytes() == noise
