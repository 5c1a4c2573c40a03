"""Where a builder's output is found: the order of the sources, Pulumi's states as they lie on disk, the messages."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from buildclient import Builder, Where
from buildclient.base.errors import ClientError, UnreachableError, UsageError
from buildclient.discovery.builder_output import find_output, find_outputs
from buildclient.discovery.pulumi_state import ProjectFolder

SECRET = "4dabf18193072939515e22adb298388d"


def output(name: str) -> dict[str, Any]:
    """A builder output with one node."""
    node = {"name": f"{name}-node", "address": "tcp://127.0.0.1:1234"}
    return {"version": 1, "name": name, "namespace": "n", "nodes": [node]}


def state(value: Any) -> bytes:
    """A stack's state with output `builder`."""
    stack = {"type": "pulumi:pulumi:Stack", "outputs": {} if value is None else {"builder": value, "other": 1}}
    resources = [{"type": "builder:index:Builder"}, stack]
    return json.dumps({"version": 3, "checkpoint": {"latest": {"resources": resources}}}).encode()


class Cluster:
    """ConfigMaps of a cluster."""

    def __init__(self, **maps: Mapping[str, str]) -> None:
        self.maps = maps
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, namespace: str, name: str) -> Mapping[str, str]:
        self.asked.append((namespace, name))
        return self.maps[name]


class Stacks:
    """A Pulumi project `builder` with a file backend."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "Pulumi.yaml").write_text("# a comment\nname: builder\nruntime: python\nmain: stacks\n")
        self.backend = folder / "state"
        self.states = self.backend / ".pulumi" / "stacks" / "builder"
        self.states.mkdir(parents=True)
        self.home = folder / "home"
        (self.home / "workspaces").mkdir(parents=True)
        self.environ = {
            "PULUMI_BACKEND_URL": f"file://{self.backend}",
            "PULUMI_HOME": str(self.home),
            "HOME": str(folder),
            "PATH": str(folder / "bin"),
        }

    def put(self, stack: str, value: Any, suffix: str = ".json") -> Path:
        """Writes a stack's state."""
        data = state(value)
        path = self.states / (stack + suffix)
        path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
        return path

    def select(self, settings: Mapping[str, Any]) -> None:
        """What `pulumi stack select` leaves."""
        digest = hashlib.sha1(str(self.project / "Pulumi.yaml").encode()).hexdigest()
        (self.home / "workspaces" / f"builder-{digest}-workspace.json").write_text(json.dumps(settings))

    def pulumi(self, script: str) -> Path:
        """A `pulumi` that runs `script`; gives the file in which each call is noted."""
        calls = self.home / "calls"
        program = Path(self.environ["PATH"]) / "pulumi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\necho "$*" >> {calls}\n{script}\n')
        program.chmod(0o755)
        return calls

    def where(self, **given: str) -> Where:
        """A search in this project."""
        return Where(project=str(self.project), **given)


@pytest.fixture
def stacks(tmp_path: Path) -> Stacks:
    """A project with two stacks; `dev` is selected."""
    made = Stacks(tmp_path)
    made.put("dev", output("devs"))
    made.put("prod", output("prods"))
    made.select({"stacks": {made.environ["PULUMI_BACKEND_URL"]: "organization/builder/dev"}})
    return made


async def found(stacks: Stacks, cluster: Cluster | None = None, more: Mapping[str, str] = {}, **given: str) -> str:
    """The name of the builder that is found."""
    return (await find_output(stacks.where(**given), {**stacks.environ, **more}, cluster or Cluster())).name


async def test_the_first_source_that_applies_wins(stacks: Stacks, tmp_path: Path) -> None:
    """File, cluster, name, stack on the command line, then the environment, then the selected stack."""
    path = tmp_path / "b.json"
    path.write_text(json.dumps(output("filed")))
    cluster = Cluster(**{"kube-builder": {"builder.json": json.dumps(output("kube"))}})
    flags = {"builder_file": str(path), "from_cluster": "ns/kube", "builder": "devs", "stack": "prod"}
    environment = {"BUILDCLIENT_BUILDER": str(path), "BUILDX_BUILDER": "prods"}
    expected = ["filed", "kube", "devs", "prods"]
    for name in expected:
        assert await found(stacks, cluster, environment, **flags) == name
        flags.pop(next(iter(flags)))
    assert await found(stacks, cluster, environment) == "filed"
    assert await found(stacks, cluster, {"BUILDX_BUILDER": "prods"}) == "prods"
    assert await found(stacks, cluster) == "devs"
    assert cluster.asked == [("ns", "kube-builder")]


async def test_standard_input_and_json_in_the_environment(stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads standard input; the variable may hold the JSON itself."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(output("piped")).encode())))
    assert await found(stacks, builder_file="-") == "piped"
    assert await found(stacks, more={"BUILDCLIENT_BUILDER": f" {json.dumps(output('inline'))}"}) == "inline"


async def test_a_name_with_a_slash_is_in_the_cluster(stacks: Stacks) -> None:
    """`--builder NAMESPACE/NAME` and BUILDX_BUILDER read the ConfigMap; underscores become hyphens in its name."""
    cluster = Cluster(**{"my-kube-builder": {"builder.json": json.dumps(output("my_kube"))}})
    assert await found(stacks, cluster, builder="ns/my_kube") == "my_kube"
    assert await found(stacks, cluster, {"BUILDX_BUILDER": "ns/my_kube"}) == "my_kube"


async def test_of_two_builders_of_one_name_the_selected_stacks_is_meant(stacks: Stacks) -> None:
    """A name that is not unique is no lottery."""
    stacks.put("a", output("kube"))
    stacks.put("dev", {**output("kube"), "namespace": "selected"})
    assert (await find_output(stacks.where(builder="kube"), stacks.environ, Cluster())).namespace == "selected"


async def test_a_changed_state_is_seen_at_once(stacks: Stacks) -> None:
    """Nothing is kept of a state that is read directly."""
    assert await found(stacks) == "devs"
    stacks.put("dev", output("changed"))
    assert await found(stacks) == "changed"


async def test_the_newest_form_of_a_state_is_read(stacks: Stacks) -> None:
    """Of plain and packed states the one changed last counts."""
    packed = stacks.put("dev", output("packed"), ".json.gz")
    os.utime(packed, ns=(0, 0))
    assert await found(stacks) == "devs"
    os.utime(stacks.states / "dev.json", ns=(0, 0))
    os.utime(packed)
    assert await found(stacks) == "packed"


async def test_states_without_project_are_read(stacks: Stacks) -> None:
    """The layout of old backends has no folder for the project."""
    for path in stacks.states.iterdir():
        path.rename(stacks.states.parent / path.name)
    stacks.states.rmdir()
    assert await found(stacks, stack="prod") == "prods"


@pytest.mark.parametrize(
    ("settings", "environ", "expected"),
    [
        ({"stack": "prod"}, {}, "prods"),
        ({"stack": "organization/builder/prod"}, {}, "prods"),
        ({"stack": "dev", "stacks": {"https://api.pulumi.com": "acme/builder/dev"}}, {}, "devs"),
        ({"stack": "dev"}, {"PULUMI_STACK": "organization/builder/prod"}, "prods"),
    ],
)
async def test_the_selected_stack_as_every_pulumi_keeps_it(
    stacks: Stacks, settings: Mapping[str, Any], environ: Mapping[str, str], expected: str
) -> None:
    """Per backend, for all backends, or by PULUMI_STACK."""
    stacks.select(settings)
    assert await found(stacks, more=environ) == expected


@pytest.mark.parametrize("text", ["name: 'builder'\n", '"name": "builder"\n', "runtime: x\nname:   builder # x\n"])
async def test_the_projects_name_as_yaml_may_spell_it(stacks: Stacks, text: str) -> None:
    """Quotes, order and comments do not matter."""
    (stacks.project / "Pulumi.yaml").write_text(text)
    assert await found(stacks) == "devs"


async def test_a_project_in_json_below_the_working_directory(stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project is looked for upwards; Pulumi.json is one, and may name the backend."""
    (stacks.project / "Pulumi.yaml").unlink()
    backend = stacks.environ.pop("PULUMI_BACKEND_URL")
    (stacks.project / "Pulumi.json").write_text(json.dumps({"name": "builder", "backend": {"url": backend}}))
    (stacks.project / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(stacks.project / "a" / "b")
    assert (await find_output(Where(stack="prod"), stacks.environ, Cluster())).name == "prods"


async def test_the_backend_of_the_login(stacks: Stacks) -> None:
    """Without variable and project setting the login's backend counts; `~` is the home folder."""
    del stacks.environ["PULUMI_BACKEND_URL"]
    (stacks.home / "credentials.json").write_text(json.dumps({"current": "file://~/state"}))
    assert await found(stacks, stack="prod") == "prods"
    elsewhere = stacks.home / "elsewhere"
    elsewhere.mkdir()
    (stacks.home / "credentials.json").rename(elsewhere / "credentials.json")
    assert await found(stacks, more={"PULUMI_CREDENTIALS_PATH": str(elsewhere)}, stack="prod") == "prods"


@pytest.mark.parametrize("more", ["?no_tmp_dir=true", "#part", "?a=b#c"])
async def test_a_backend_is_a_url(stacks: Stacks, more: str) -> None:
    """Pulumi reads escapes in the path of a file backend, and takes no query and no fragment for a part of it."""
    stacks.backend.rename(stacks.backend.with_name("my state"))
    stacks.environ["PULUMI_BACKEND_URL"] = f"file://{stacks.backend.with_name('my%20state')}{more}"
    assert await found(stacks, stack="prod") == "prods"


async def test_every_stacks_builder_is_listed(stacks: Stacks) -> None:
    """`ls` shows the builders of all stacks, and none for a stack without."""
    stacks.put("empty", None)
    (stacks.states / "dev.json.bak").write_bytes(b"old")
    listed = await find_outputs(stacks.where(), stacks.environ, Cluster())
    assert [one.name for one in listed] == ["devs", "prods"]


async def test_a_secret_is_decrypted_by_pulumi_and_kept_until_the_state_changes(stacks: Stacks) -> None:
    """The CLI is asked once for each version of a state; only the one output is kept, readable by its owner alone."""
    path = stacks.put("dev", {SECRET: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "x"})
    calls = stacks.pulumi(f"echo '{json.dumps(output('hidden'))}'")
    assert await found(stacks) == "hidden"
    assert await found(stacks) == "hidden"
    assert calls.read_text().splitlines() == [
        "--non-interactive stack output builder --json --show-secrets --stack dev"
    ]
    (kept,) = (Path(stacks.environ["HOME"]) / ".cache" / "buildkit-builders" / "outputs").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    path.write_bytes(path.read_bytes() + b" ")
    assert await found(stacks) == "hidden"
    assert len(calls.read_text().splitlines()) == 2


async def test_other_backends_go_through_pulumi(stacks: Stacks) -> None:
    """A cloud's stack is asked of the CLI, in the project's folder."""
    stacks.environ["PULUMI_BACKEND_URL"] = "s3://bucket"
    calls = stacks.pulumi(f"pwd >> {stacks.home}/calls; echo '{json.dumps(output('cloud'))}'")
    assert await found(stacks, stack="acme/builder/dev") == "cloud"
    assert calls.read_text().splitlines()[0].endswith("--stack acme/builder/dev")
    assert calls.read_text().splitlines()[1] == str(stacks.project)


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ({"builder_file": "/no/such/file"}, UsageError, "cannot read the builder file /no/such/file: no such file"),
        ({"from_cluster": "kube"}, UsageError, "--from-cluster expects NAMESPACE/NAME, got kube"),
        ({"stack": "test"}, UnreachableError, r'no stack "test" in .* \(stacks: dev, prod\)'),
        ({"builder": "kube"}, UnreachableError, r"no stack .* has a builder named kube \(there are: devs, prods\)"),
    ],
)
async def test_what_is_not_there_is_said_in_one_line(
    stacks: Stacks, given: dict[str, str], kind: type[ClientError], expected: str
) -> None:
    """The message names what was asked for and what there is."""
    with pytest.raises(kind, match=expected) as caught:
        await found(stacks, **given)
    assert "\n" not in str(caught.value)


async def test_no_project_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nowhere to look: the ways to name a builder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreachableError, match="--stack, --from-cluster NAMESPACE/NAME, --builder-file or --addr"):
        await find_output(Where(), {"HOME": str(tmp_path)}, Cluster())


@pytest.mark.parametrize("selected", [{}, {"stack": ""}])
async def test_no_selected_stack_names_the_stacks(stacks: Stacks, selected: Mapping[str, Any]) -> None:
    """The stacks that could be selected are listed."""
    stacks.select(selected)
    with pytest.raises(UnreachableError, match=r"no selected stack \(stacks: dev, prod\)"):
        await found(stacks)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"checkpoint": {}}', state(None)])
async def test_a_stack_without_builder_says_how_to_make_one(stacks: Stacks, data: bytes) -> None:
    """A stack that was made but never brought up."""
    (stacks.states / "dev.json").write_bytes(data)
    with pytest.raises(
        UnreachableError, match="stack dev of project builder has no builder yet; run: builders up --stack dev"
    ):
        await found(stacks)


@pytest.mark.parametrize("data", [b"{", b"[]", b"\x1f\x8bnonsense", b'{"checkpoint": {"latest": {"resources": [1]}}}'])
async def test_a_broken_state_is_said(stacks: Stacks, data: bytes) -> None:
    """Half-written or foreign files end in one line with their name."""
    (stacks.states / "dev.json").write_bytes(data)
    with pytest.raises(UnreachableError, match=r"the state .*dev\.json cannot be read"):
        await found(stacks)


@pytest.mark.parametrize("around", [{}, {"other": 1}])
async def test_a_builder_file_may_be_all_outputs_of_a_stack(stacks: Stacks, tmp_path: Path, around: Any) -> None:
    """What `pulumi stack output --json` and `builders up -o json` print is taken for its member `builder`."""
    path = tmp_path / "outputs.json"
    outputs = {**around, "builder": output("inside")}
    for text in (json.dumps(outputs), json.dumps({"version": 1, "stack": "dev", "outputs": outputs})):
        path.write_text(text)
        assert await found(stacks, builder_file=str(path)) == "inside"


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"builder": "[secret]"}, "--show-secrets"),
        ({"url": "x"}, "nor a stack's outputs"),
        ({"builder": 7}, "nor a stack's outputs"),
        ({"builder": {"version": 1, "nodes": []}}, "nodes"),
    ],
)
async def test_outputs_without_a_builder_are_told(stacks: Stacks, tmp_path: Path, outputs: Any, said: str) -> None:
    """The message says what the file is not, in one line that names it."""
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(outputs))
    with pytest.raises(UsageError, match=said) as raised:
        await found(stacks, builder_file=str(path))
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2, "nodes": []}', '{"version": 1, "name": "x", "nodes": []}'])
async def test_a_wrong_builder_file_is_the_users_fault(stacks: Stacks, tmp_path: Path, text: str) -> None:
    """Status 2, with the file's name."""
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"wrong\.json"):
        await found(stacks, builder_file=str(path))


@pytest.mark.parametrize(
    ("script", "expected"),
    [("echo 'error: no login' >&2; exit 1", "error: no login"), ("echo nonsense", "printed no JSON")],
)
async def test_what_pulumi_says_is_passed_on(stacks: Stacks, script: str, expected: str) -> None:
    """A failure of the CLI keeps its last line."""
    stacks.environ["PULUMI_BACKEND_URL"] = "s3://bucket"
    stacks.pulumi(script)
    with pytest.raises(UnreachableError, match=expected):
        await found(stacks, stack="dev")


async def test_no_pulumi_for_another_backend(stacks: Stacks) -> None:
    """Without the CLI the message says what is missing."""
    stacks.environ["PULUMI_BACKEND_URL"] = "s3://bucket"
    with pytest.raises(UnreachableError, match="needs the Pulumi CLI, which is not on PATH"):
        await found(stacks, stack="dev")


def test_a_folder_without_project_has_none(tmp_path: Path) -> None:
    """Upwards of an empty folder there is no project."""
    assert ProjectFolder.find(str(tmp_path), {}) is None


async def test_of_several_builders_the_one_that_is_taken_is_marked(stacks: Stacks) -> None:
    """That of the selected stack, or the one that the environment names; none where nothing says which."""

    async def marked(**more: str) -> list[str]:
        client = Builder(stacks.where(), environ={**stacks.environ, **more})
        return [view.output.name for view in await client.ls_async() if view.current]

    assert await marked() == ["devs"]
    assert await marked(BUILDX_BUILDER="prods") == ["prods"]
    stacks.select({})
    assert await marked() == []
    assert len(await Builder(stacks.where(), environ=stacks.environ).ls_async()) == 2


@pytest.mark.parametrize("name", ["kube-system/kube?x", "kube-system?/kube", "a/../b", "N/kube", "ns/ku,be", "ns/\x1b"])
async def test_a_name_that_is_none_is_asked_of_no_cluster(stacks: Stacks, name: str) -> None:
    """It would become a part of a path."""
    cluster = Cluster()
    for given in ({"from_cluster": name}, {"builder": name}):
        with pytest.raises(UsageError):
            await found(stacks, cluster, **given)
    assert cluster.asked == []


async def test_a_builder_file_is_read_within_bounds(stacks: Stacks) -> None:
    """A device has no end, and a folder no content."""
    for path, words in (("/dev/zero", "it has more than 16777216 bytes"), ("/", "is a directory")):
        with pytest.raises(UsageError, match=words):
            await found(stacks, builder_file=path)
