"""Looking after a builder on real pods: disk usage, pruning, records of builds, stopping; beside docker buildx."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from localcluster import tools
from tests.cluster.client_builder import BIN, HandMadeBuilder, hand_made
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_DOCKERFILE = "FROM BASE\nARG A\nRUN --mount=type=cache,target=/c dd if=/dev/zero of=/c/x bs=1M count=3 && echo made\n"


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """A builder of two nodes with a build that succeeded and one that failed."""
    with hand_made(cluster, tmp_path_factory.mktemp("upkeep"), "upkeep") as made:
        good = made.context("good", _DOCKERFILE)
        build = ("build", "--platform", "linux/amd64")
        image = f"type=image,name={made.registry}/upkeep:1,push=true,registry.insecure=true"
        done = made.run(*build, "--build-arg", "A=b", "--label", "l=m", "-o", image, good)
        assert done.status == 0, done.err
        assert made.run(*build, made.context("bad", "FROM BASE\nRUN echo no; exit 3\n")).status == 1
        yield made


@pytest.fixture(scope="module")
def buildx(builder: HandMadeBuilder) -> Any:
    """Runs docker buildx on the builder's first node."""
    program = str(tools.ensure("buildx"))
    environment = {**builder.environment, "BUILDX_CONFIG": str(builder.folder / "buildx")}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments], env=environment, timeout=60, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    options = ("--driver", "kubernetes", "--driver-opt", f"namespace={builder.namespace}", "--node", "builder-amd64")
    run("create", "--name", "upkeep", *options)
    return lambda *arguments: run("--builder", "upkeep", *arguments)


def _one(builder: HandMadeBuilder, *arguments: str) -> str:
    done = builder.run(*arguments, "--node", "builder-amd64")
    assert done.status == 0, done.err
    return done.out


def _ages(text: str) -> str:
    """The text without ages, and without the spaces behind them and their heading, which follow the longest."""
    text = re.sub(r"CREATED AT +", "CREATED AT ", text)
    return re.sub(r"(Less than a second|\d+ seconds?|About a minute|\d+ minutes) ago *", "AGO ", text)


def test_disk_usage_is_what_docker_buildx_prints(builder: HandMadeBuilder, buildx: Any) -> None:
    """The table, its sums, a filter and the long form are the same to the letter, ages aside."""
    for more in ((), ("--filter", "type=exec.cachemount")):
        assert _ages(_one(builder, "du", *more)) == _ages(buildx("du", *more))
    long = [_ages(text) for text in (_one(builder, "du", "--verbose"), buildx("du", "--verbose"))]
    dates = re.compile(r"^Created at: .*$", re.MULTILINE)
    assert dates.sub("", long[0]) == dates.sub("", long[1])
    rows = [json.loads(line) for line in _one(builder, "du", "--json").splitlines()]
    assert max(row["Bytes"] for row in rows) > 3 << 20


def test_disk_usage_is_summed_by_node(builder: HandMadeBuilder) -> None:
    """Every pod is asked, and each node has a line."""
    lines = builder.run("du").out.splitlines()
    assert [line.split()[:2] for line in lines[-2:]] == [["builder-amd64", "1"], ["builder-arm64", "1"]]


def test_records_are_listed_as_docker_buildx_lists_them(builder: HandMadeBuilder, buildx: Any) -> None:
    """The same columns for the same builds; a filter passes the same."""
    for more in ((), ("--filter", "status=error"), ("--filter", "duration<0s")):
        theirs = [line.rstrip() for line in _ages(buildx("history", "ls", *more)).splitlines()]
        assert _ages(_one(builder, "history", "ls", *more)).splitlines() == theirs


def test_a_record_tells_what_docker_buildx_tells(builder: HandMadeBuilder, buildx: Any) -> None:
    """JSON of the build that succeeded has the same values, but for materials, a stack and our node and pod."""
    ours = json.loads(_one(builder, "history", "inspect", "^1", "--json"))
    theirs = json.loads(buildx("history", "inspect", "^1", "--format", "json"))
    for told in (ours, theirs):
        for key in ("StartedAt", "CompletedAt", "Duration", "Materials", "Node", "Pod", "Errors"):
            told.pop(key, None)
        told["Attachments"] = sorted(told["Attachments"], key=lambda one: str(one["Digest"]))
    # docker buildx follows a result's index to what it lists.
    kept = {one["Digest"] for one in ours["Attachments"]}
    theirs["Attachments"] = [one for one in theirs["Attachments"] if one["Digest"] in kept]
    assert ours == theirs


def test_a_failed_build_shows_its_lines_and_its_log(builder: HandMadeBuilder) -> None:
    """The Dockerfile's lines, the step's last lines, and the command that shows more, which does."""
    text = _one(builder, "history", "inspect")
    assert ">>> RUN echo no; exit 3" in text
    assert "> no\n" in text
    ref = text.rsplit(" ", 1)[1].strip()
    shown = builder.run("history", "logs", ref[:8])
    assert shown.status == 0
    assert " no\n" in shown.err


def test_attachments_and_exports_hold_what_the_daemon_keeps(builder: HandMadeBuilder, buildx: Any) -> None:
    """The record in the bundle is docker buildx's, with the same blobs beside it."""
    proof = json.loads(_one(builder, "history", "inspect", "attachment", "^1", "--type", "provenance"))
    assert "buildDefinition" in proof
    ref = json.loads(_one(builder, "history", "inspect", "^1", "--json"))["Ref"]
    told = []
    for number, export in enumerate((lambda *a: _one(builder, *a), buildx)):
        path = builder.folder / f"{number}.dockerbuild"
        export("history", "export", "-o", str(path), ref)
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as bundle:
            files = {one.name: bundle.extractfile(one).read() for one in bundle if one.isfile()}  # type: ignore[union-attr]
        manifest = json.loads(files[_blob(json.loads(files["index.json"])["manifests"][0])])
        record = json.loads(files[_blob(manifest["config"])])
        record.pop("DefaultPlatform")
        # Ours leaves traces out; one that is recorded in between makes another generation.
        for key in ("trace", "Generation"):
            record.pop(key, None)
        layers = {one["digest"]: one["mediaType"] for one in manifest["layers"] if "otlp" not in one["mediaType"]}
        told.append((record, layers))
        assert all(_blob({"digest": digest}) in files for digest in layers)
    assert told[0] == told[1]


def _blob(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def test_a_page_shows_the_build(builder: HandMadeBuilder) -> None:
    """HTML in a file, whose path is printed."""
    path = builder.folder / "page.html"
    assert _one(builder, "history", "open", "-o", str(path)).strip() == str(path)
    assert "exit code: 3" in path.read_text()


def test_wrong_input_is_one_line(builder: HandMadeBuilder) -> None:
    """What is not there, and what is removed only when asked twice."""
    for arguments, words in (
        (("history", "logs", "nope"), 'no record found for ref "nope"'),
        (("history", "inspect", "^99"), "no completed build found with offset 99"),
        (("history", "rm"), "rm requires at least one argument"),
        (("du", "--pod", "nope"), "there is no pod nope"),
        (("du", "--node", "nope"), "has no node nope; it has builder-amd64, builder-arm64"),
        (("prune",), "give --force"),
    ):
        done = builder.run(*arguments)
        assert done.status == 2, (arguments, done)
        assert words in done.last
        assert len(done.err.splitlines()) == 1


def test_inspect_shows_load_and_cache(builder: HandMadeBuilder) -> None:
    """A running build is counted in its pod; the cache has its size. `stop` refuses meanwhile."""
    slow = builder.context("slow", "FROM BASE\nRUN sleep 300\n")
    command = [str(BIN / "buildclient"), "build", "--no-cache", "--platform", "linux/amd64", slow]
    running = subprocess.Popen(command, env=builder.environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(40):
            view = json.loads(builder.run("inspect", "--format", "json").out)
            load = view["nodes"][0]["pods"][0]["load"]
            if load["builds"] == 1:
                break
            time.sleep(0.1)
        assert load["builds"] == 1
        assert load["cache"] > 3 << 20
        refused = builder.run("stop")
        assert (refused.status, "1 builds are running" in refused.last) == (2, True), refused
    finally:
        running.terminate()
        running.wait(busy(20))


def test_pruning_removes_from_every_pod(builder: HandMadeBuilder) -> None:
    """A filter removes the cache mount alone; then all goes, and records go too."""
    gone = builder.run("prune", "--force", "--filter", "type=exec.cachemount")
    assert gone.status == 0, gone.err
    assert len(gone.out.splitlines()) == 3
    assert builder.run("prune", "-af").status == 0
    assert _one(builder, "du").splitlines()[-1] == "Total:\t\t0B"
    assert builder.run("history", "rm", "--all").status == 0
    assert len(builder.run("history", "ls").out.splitlines()) == 1


def test_a_stopped_builder_is_started_by_the_next_build(builder: HandMadeBuilder) -> None:
    """No pods stay, `ls` says so, and a build scales it up again."""
    stopped = builder.run("stop", "--force")
    assert stopped.out.splitlines() == ["builder-amd64: stopped 1 pods", "builder-arm64: stopped 1 pods"], stopped
    builder.kubectl("wait", "--for=delete", "pod", "-l", "app=builder-amd64", "--timeout=60s", timeout=70)
    assert "inactive" in builder.run("ls").out
    done = builder.run("build", "--platform", "linux/amd64", builder.context("again", "FROM BASE\nRUN true\n"))
    assert done.status == 0, done.err
