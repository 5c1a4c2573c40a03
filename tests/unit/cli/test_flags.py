"""Wrong input of the client: one message that names the flag, status 2, no traceback, no builder asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildclient import Where
from buildclient.base.errors import UsageError
from buildclient.cli.main import status_of

BUILDER = {
    "version": 1,
    "name": "kube",
    "namespace": "none",
    "loadbalance": "sticky",
    "defaultLoad": False,
    "kubernetes": {},
    "nodes": [{"name": "one", "namespace": "none", "platforms": ["linux/amd64"], "address": "tcp://127.0.0.1:1"}],
}
# what the command line says besides `build .`, and what the message has to name
WRONG = [
    (["--platform", "blah"], "--platform"),
    (["--platform", "linux/*"], "--platform"),
    (["--platform", "linux/"], "--platform"),
    (["--platform", "a/b/c/d"], "--platform"),
    (["--platform", "lin ux/amd64"], "--platform"),
    (["--platform", "linux/amd64,nope"], "--platform"),
    (["-t", "Upper"], "--tag"),
    (["-t", ""], "--tag"),
    (["-t", "a b"], "--tag"),
    (["-t", ":x"], "--tag"),
    (["-t", "http://host/x"], "--tag"),
    (["-t", "a:b:c"], "--tag"),
    (["-t", "a@sha256:123"], "--tag"),
    (["-t", "ok", "-t", "Not"], "--tag"),
    (["-t", "x" * 256], "--tag"),
    (["--push"], "--tag"),
    (["-o", "type=registry"], "--tag"),
    (["-o", "dest=out,name=x"], "--output"),
    (["-o", "type=oci,foo"], "--output"),
    (["-o", 'type=oci,de"st=x'], "--output"),
    (["-o", 'type=oci,"dest=x'], "--output"),
    (["-o", "type=local"], "--output"),
    (["-o", "type=local,dest=-"], "--output"),
    (["-o", "type=oci,tar=false"], "--output"),
    (["-o", "type=docker,tar=false"], "--output"),
    (["-o", "type=oci,tar=false,dest=-"], "--output"),
    (["-o", "-", "-o", "-"], "--output"),
    (["-o", "type=docker,dest=x", "--platform", "linux/amd64,linux/arm64"], "--output"),
    (["--build-arg", "=x"], "--build-arg"),
    (["--label", "=x"], "--label"),
    (["--annotation", "bare", "-o", "type=oci,dest=x"], "--annotation"),
    (["--annotation", "layer:a=b"], "--annotation"),
    (["--annotation", "manifest[zz]:a=b"], "--annotation"),
    (["--annotation", "manifest[:a=b"], "--annotation"),
    (["--provenance", "bogus"], "--provenance"),
    (["--sbom", "bogus"], "--sbom"),
    (["--attest", "mode=max"], "--attest"),
    (["--attest", "type=provenance,disabled=maybe"], "--attest"),
    (["--attest", "provenance"], "--attest"),
    (["--cache-from", "mode=max"], "--cache-from"),
    (["--cache-from", "type=registry,ref"], "--cache-from"),
    (["--cache-from", "type=local"], "--cache-from"),
    (["--cache-from", "type=local,src=x,tag="], "--cache-from"),
    (["--cache-to", "mode=max"], "--cache-to"),
    (["--cache-to", "type=local"], "--cache-to"),
    (["--cache-to", "type=local,dest=x,reset=perhaps"], "--cache-to"),
    (["--build-context", "bare"], "--build-context"),
    (["--build-context", "Upper=."], "--build-context"),
    (["--build-context", "=."], "--build-context"),
    (["--build-context", "a b=."], "--build-context"),
    (["--add-host", "bare"], "--add-host"),
    (["--add-host", "a:"], "--add-host"),
    (["--add-host", ":1.2.3.4"], "--add-host"),
    (["--add-host", "a:1.2.3"], "--add-host"),
    (["--add-host", "a:host-gateway"], "--add-host"),
    (["--network", "bridge"], "--network"),
    (["--allow", "everything"], "--allow"),
    (["--allow", "network.host=1"], "--allow"),
    (["--shm-size", "much"], "--shm-size"),
    (["--shm-size=-1"], "--shm-size"),
    (["--shm-size", "5x"], "--shm-size"),
    (["--shm-size", "."], "--shm-size"),
    (["--ulimit", "nofile"], "--ulimit"),
    (["--ulimit", "files=1"], "--ulimit"),
    (["--ulimit", "nofile=x"], "--ulimit"),
    (["--ulimit", "nofile=2:1"], "--ulimit"),
    (["--ulimit", "nofile=1:2:3"], "--ulimit"),
    (["--ulimit", "nofile=99999999999999999999"], "--ulimit"),
    (["--no-cache", "--no-cache-filter", "a"], "--no-cache"),
    (["--progress", "loud"], "--progress"),
    (["-q", "--progress", "plain"], "--progress"),
    (["--push=maybe"], "--push"),
    (["--no-cache=2"], "--no-cache"),
    (["--nocache"], "--no-cache"),
    (["--tags", "x"], "--tag"),
    (["--outptu", "x"], "--output"),
    (["-z"], "-z"),
    (["--secret", "id=x,nope=y"], "--secret"),
    (["--ssh", "a=x", "--ssh", "a=y"], "--ssh"),
    (["--call", "outline,check"], "--call"),
    (["--check=maybe"], "--check"),
    (["--print", "outline,a=b"], "--call"),
    (["--policy", "x"], "--policy"),
    (["--resource", "memory"], "--resource"),
    (["--resource", "memory=1x"], "memory"),
    (["--resource", "disk=1g"], "disk"),
    (["--memory", "much"], "memory"),
    (["-m="], "memory"),
    (["--memory-swap=-2"], "memory-swap"),
    (["-c", "x"], "cpu-shares"),
    (["--cpu-period", ""], "cpu-period"),
    (["--cpu-quota", "1.5"], "cpu-quota"),
    (["--rm=maybe"], "--rm"),
    (["--platform="], "--platform"),
    (["--attest="], "--attest"),
    (["--shm-size="], "--shm-size"),
    (["--platform", "windows(1%zz)/amd64"], "%zz"),
    (["--cache-to", "type=registry,mode=max"], "--cache-to"),
    (["--cache-from", "type=registry"], "--cache-from"),
    (["-qz"], "-z"),
    (["-q=maybe"], "-q, --quiet"),
    (["--=x"], "--=x"),
    (["-t=Upper"], "--tag"),
    (["-t=a:b:c"], '"a:b:c"'),
    (["--progress", "tty"], "--progress"),
    (["--iidfile", "id", "-o", "out"], "--iidfile"),
    (["--iidfile", "id", "-o", "type=tar,dest=out.tar"], "--iidfile"),
    (["--iidfile", "nowhere/id"], "--iidfile"),
    (["--iidfile", "."], "--iidfile"),
    (["--metadata-file", "nowhere/file"], "--metadata-file"),
    (["--build-arg", "BUILDKIT_SYNTAX="], "BUILDKIT_SYNTAX"),
    (["--builder-file", "/nowhere/builder.json"], "/nowhere/builder.json"),
    (["--from-cluster", "bare"], "--from-cluster"),
    (["--from-cluster", "a/b/c"], "--from-cluster"),
]


@pytest.fixture(autouse=True)
def _builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A builder that cannot be reached: whoever asks it ends with another status."""
    path = tmp_path / "builder.json"
    path.write_text(json.dumps(BUILDER))
    monkeypatch.setenv("BUILDCLIENT_BUILDER", str(path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    for name in ("DOCKER_DEFAULT_PLATFORM", "BUILDKIT_PROGRESS", "BUILDX_NO_DEFAULT_ATTESTATIONS", "BUILDX_BUILDER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("flags", "named"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_wrong_flag_is_named_in_one_message(
    flags: list[str], named: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Status 2, nothing on standard output, at most a hint above the one ERROR line, which comes last."""
    before = sorted(tmp_path.iterdir())
    status = status_of(["build", *flags, "."])
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("WARNING: no output specified")]
    assert status == 2, err
    assert out == ""
    assert named in err
    assert lines[-1].startswith("ERROR: ")
    assert len(lines) <= 2, err
    assert all(line.startswith("hint: ") for line in lines[:-1])
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BUILDX_NO_DEFAULT_ATTESTATIONS", "maybe"),
        ("BUILDX_NO_DEFAULT_OCI_ARTIFACT", "maybe"),
        ("BUILDKIT_PROGRESS", "tty"),
        ("DOCKER_DEFAULT_PLATFORM", "blah"),
        ("BUILDKIT_PROGRESS", "loud"),
        ("BUILDCLIENT_BUILDER", "/nowhere/builder.json"),
        ("BUILDCLIENT_BUILDER", "{"),
    ],
)
def test_a_wrong_variable_is_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the environment says is checked like what the command line says."""
    monkeypatch.setenv(variable, value)
    assert status_of(["build", "."]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("ERROR: ")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (["buld", "."], "did you mean build?"),
        (["frobnicate"], "unknown command: frobnicate"),
        (["build"], "PATH|URL|-"),
        (["build", ".", "more"], "more"),
        (["build", ".", "-t"], "-t"),
        (["build", "/nowhere"], "/nowhere"),
        (["ls", "--formt", "json"], "--format"),
        (["ls", "--format", "yaml"], "yaml"),
        (["inspect", "--bootstap"], "--bootstrap"),
        (["completion", "tcsh"], "tcsh"),
        (["--frob"], "--frob"),
    ],
)
def test_a_wrong_command_line_is_one_line(line: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands, arguments and flags that there are not end with 2 and the nearest match."""
    assert status_of(line) == 2
    said = [one for one in capsys.readouterr().err.splitlines() if not one.startswith("WARNING: no output")]
    assert len(said) == 1
    assert named in said[0]
    assert said[0].startswith("ERROR: ")


@pytest.mark.parametrize("flag", ["--rm2", "--frob", "--s", "--foo"])
def test_what_is_no_slip_of_a_flag_offers_none(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A far-fetched match would only mislead; the help is named instead."""
    assert status_of(["build", flag, "."]) == 2
    assert capsys.readouterr().err == f"ERROR: unknown flag: {flag}; see buildclient build --help\n"


@pytest.mark.parametrize(
    "line", [["build", "--builder-file", "-", "-"], ["build", "--builder-file", "-", "-f", "-", "."]]
)
def test_standard_input_is_one_thing_alone(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is read, then."""
    assert status_of(line) == 2
    assert "standard input cannot be both the builder and the" in capsys.readouterr().err


def test_a_failed_build_leaves_no_image_id_of_an_older_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that looks for the file finds none; the metadata file is not touched."""
    for name in ("id", "metadata"):
        (tmp_path / name).write_text("old")
    assert status_of(["build", "--iidfile", "id", "--metadata-file", "metadata", "."]) == 125
    assert not (tmp_path / "id").exists()
    assert (tmp_path / "metadata").read_text() == "old"


def test_an_unreachable_builder_ends_with_125(capsys: pytest.CaptureFixture[str]) -> None:
    """A builder that does not answer is told from wrong usage and from a failed build."""
    assert status_of(["build", "."]) == 125
    assert capsys.readouterr().err.splitlines()[-1].startswith("ERROR: ")


def test_old_flags_are_taken_and_each_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A flag that does nothing is no error; docker buildx's words where it has some."""
    old = ["--rm", "--force-rm=false", "--compress", "--isolation=", "--security-opt", "a", "--squash"]
    assert status_of(["build", *old, "--platform", "blah", "."]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("WARNING: ")]
    assert len(lines) == len(old) - 1  # one has its value behind a space
    assert "WARNING: isolation flag is deprecated with BuildKit." in lines
    assert lines[0].startswith("WARNING: --compress is ignored: ")


@pytest.mark.parametrize(
    ("line", "builder"),
    [
        (["b", "."], ""),
        (["--builder", "one", "b", "."], "one"),
        (["b", "--builder=one", "."], "one"),
        (["--builder=two", "build", "--builder", "one", "."], "one"),
    ],
)
def test_the_builder_is_named_before_or_behind_a_command_of_either_name(
    line: list[str], builder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--builder` before the command is what it is behind it; `b` is `build`."""
    named = []

    def client(where: Where) -> None:
        named.append(where.builder)
        raise UsageError("enough")

    monkeypatch.setattr("buildclient.cli.where.Builder", client)
    assert status_of(line) == 2
    assert named == [builder]


def test_nothing_is_said_of_a_missing_output_before_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    """A build that does not come about has no result to lose."""
    assert status_of(["build", "/nowhere"]) == 2
    assert "no output" not in capsys.readouterr().err


def test_wrong_colours_are_a_line_and_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line is docker buildx's, and comes before anything else."""
    monkeypatch.setenv("BUILDKIT_COLORS", "run")
    assert status_of(["build", "/nowhere"]) == 2
    first, *others = capsys.readouterr().err.splitlines()
    assert first.startswith("WARNING: Could not parse BUILDKIT_COLORS component: run: ")
    assert len(others) == 1
