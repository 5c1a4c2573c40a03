"""The command `builders`: what it asks, prints and ends with, on stacks that stand in for Pulumi's."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest
from buildkit_builders import automation, debug
from buildkit_builders.cli.main import run
from buildkit_builders.drift.compare import Field, Object
from buildkit_builders.results import Drift, MissingStackError, Preview, StackError, Step, Update

STEP = Step("update", "kubernetes:apps/v1:Deployment", "kube-kube0-deployment", ("spec.replicas",))
SCALED = Field(Object("urn", "Deployment", "buildkit", "a"), "changed", "spec.replicas", 1, 3, "kubectl", "scale")
BUILDER = {
    "name": "kube",
    "namespace": "buildkit",
    "nodes": [{"name": "a", "platforms": ["linux/amd64"]}, {"name": "b", "platforms": []}],
}


class FakeStack:
    """A stack that notes what was done to it."""

    steps: tuple[Step, ...] = (STEP,)
    drifted: tuple[Step, ...] = ()
    fields: tuple[Field, ...] = ()
    others: tuple[Field, ...] = ()
    error: str = ""
    outputs_of: dict[str, Any] = {}  # noqa: RUF012 - replaced whole, never changed
    options_of_up: dict[str, Any] = {}  # noqa: RUF012 - what `up` was last called with

    def __init__(self, name: str, done: list[str]) -> None:
        self.name, self.done = name, done

    def preview(self, **options: Any) -> Preview:
        """A preview with this stack's steps."""
        options["on_output"]("Previewing update (dev):")
        return Preview(self.name, self._do("preview"), "")

    def preview_destroy(self, **_: Any) -> Preview:
        """What a destroy would delete."""
        return Preview(self.name, self._do("preview_destroy"), "")

    def up(self, **options: Any) -> Update:
        """An update with one secret output."""
        self.options_of_up.update(options)
        outputs = {"builder": BUILDER, "token": "s3cret"}
        return Update(self.name, self._do("up"), outputs, 1.5, frozenset(["token"]))

    def refresh(self, **_: Any) -> Update:
        """A refresh."""
        return Update(self.name, self._do("refresh"), {}, 1.5)

    def destroy(self, *, remove: bool, **_: Any) -> Update:
        """A destroy."""
        return Update(self.name, self._do("destroy --remove" if remove else "destroy"), {}, 1.5)

    def drift(self, **_: Any) -> Drift:
        """The drift that this stack has."""
        self._do("drift")
        return Drift(self.name, self.drifted, self.fields, self.others)

    def outputs(self) -> dict[str, Any]:
        """The outputs by stack name; a StackError where there is a text instead."""
        found = self.outputs_of.get(self.name, {})
        if isinstance(found, str):
            raise StackError(found)
        return dict(found)

    def _do(self, what: str) -> tuple[Step, ...]:
        self.done.append(what)
        if self.error:
            raise StackError(self.error)
        return self.steps


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to the stacks of a project that has dev (selected) and prod."""
    noted: list[str] = []

    class FakeProject:
        def __init__(self, folder: str) -> None:
            self.folder = folder

        def stack(self, name: str, *, create: bool | None = None) -> FakeStack:
            noted.append(f"stack {name}{'' if create is None else ' create=' + str(create)} in {self.folder}")
            if name == "fresh" and not create:
                raise MissingStackError(name, self.stacks(), Path("stacks/Pulumi.fresh.yaml").absolute())
            return FakeStack(name, noted)

        def stacks(self) -> list[str]:
            return ["dev", "prod"]

        def selected(self) -> str | None:
            return "dev"

    monkeypatch.setattr(automation, "Project", FakeProject)
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    for name in [name for name in os.environ if name.startswith("BUILDERS_")] + ["CI"]:
        monkeypatch.delenv(name, raising=False)
    return noted


@pytest.fixture
def builders(capsys: pytest.CaptureFixture[str], done: list[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `builders`: its status, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run(arguments)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(left.value.code or 0), captured.out, captured.err

    return call


Builders = Callable[..., tuple[int, str, str]]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a terminal with an answer typed into it in the place of standard input."""

    def give(text: str) -> None:
        ours, theirs = pty.openpty()
        os.write(ours, text.encode())
        monkeypatch.setattr("sys.stdin", os.fdopen(theirs))

    return give


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["preview", "--stak", "x"], "Did you mean '--stack'? See builders preview --help"),
        (["prevew"], "Did you mean 'preview'?"),
        (["preview", "-o", "jsn"], "'jsn' is not one of 'text', 'json'. See builders preview --help"),
        (["preview", "--stack"], "requires an argument"),
        (["ls", "extra"], "unexpected extra argument (extra)"),
        (["--stack", "dev"], "No such option '--stack'"),
        (["drift", "--yes"], "No such option '--yes'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_two(arguments: list[str], said: str, builders: Builders) -> None:
    """A wrong flag or command is told in one line, with the nearest that is right, and nothing is done."""
    status, out, err = builders(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("ERROR: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", [None, "preview", "up", "refresh", "drift", "destroy", "ls"])
def test_help_has_an_example_and_the_variables(flag: str, command: str | None, builders: Builders) -> None:
    """Both spellings of help work everywhere, with an example, and each flag's variable is named."""
    status, out, err = builders(*filter(None, [command, flag]))
    assert status == 0, err
    assert f"builders {command or 'up'}" in out
    if command:
        assert "Example: " in out
        assert "BUILDERS_PROJECT" in " ".join(out.split())


@pytest.mark.parametrize("command", ["up", "refresh", "destroy"])
def test_without_a_terminal_yes_must_be_said_before_anything_is_done(
    command: str, builders: Builders, done: list[str]
) -> None:
    """Where no one can be asked the command fails at once, naming the flag."""
    status, _, err = builders(command, "--stack", "dev")
    assert status == 2
    assert "--yes" in err
    assert done == []


def test_in_a_ci_job_nothing_is_asked(
    builders: Builders, answer: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, done: list[str]
) -> None:
    """CI counts as no terminal, even where there is one."""
    answer("y\n")
    monkeypatch.setenv("CI", "true")
    assert builders("up", "--stack", "dev")[0] == 2
    assert done == []


@pytest.mark.parametrize(
    ("command", "looked"), [("up", "preview"), ("refresh", "drift"), ("destroy", "preview_destroy")]
)
def test_on_a_terminal_what_would_happen_is_shown_and_asked(
    command: str,
    looked: str,
    builders: Builders,
    answer: Callable[[str], None],
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A yes goes on, a no ends with 1 and changes nothing, and where nothing would change nothing is asked."""
    monkeypatch.setattr(FakeStack, "drifted", (STEP,))
    answer("y\n")
    assert builders(command)[0] == 0
    assert done[1:] == [looked, command]
    done.clear()
    answer("n\n")
    status, out, err = builders(command)
    assert (status, out, done[1:]) == (1, "", [looked])
    assert "ERROR: declined; nothing was changed" in err
    monkeypatch.setattr(FakeStack, "drifted", ())
    monkeypatch.setattr(FakeStack, "steps", ())
    done.clear()
    answer("")
    assert builders(command)[0] == 0
    assert done[1:] == [looked, command]


def test_yes_skips_preview_and_question(builders: Builders, done: list[str]) -> None:
    """`--yes` does it straight away; `--remove` takes the stack too."""
    assert builders("up", "--yes")[0] == 0
    assert builders("destroy", "-y", "--remove", "-s", "prod", "-C", "x")[0] == 0
    assert done == ["stack dev in .", "up", "stack prod create=False in x", "destroy --remove"]


def test_only_preview_and_up_make_a_stack(builders: Builders, done: list[str]) -> None:
    """The others would make an empty one just to say that there is nothing in it."""
    for command in (["preview"], ["up", "--yes"], ["refresh", "--yes"], ["drift"], ["destroy", "--yes"]):
        builders(*command)
    assert [line for line in done if line.startswith("stack")] == [
        "stack dev in .", "stack dev in .", *["stack dev create=False in ."] * 3,
    ]  # fmt: skip


@pytest.mark.parametrize("command", [["preview"], ["up", "--yes"]])
def test_a_missing_stack_is_told_with_the_way_to_make_it(
    command: list[str], builders: Builders, done: list[str]
) -> None:
    """Where no one is asked: one line that names the flag and the config file; the flag then makes it."""
    status, out, err = builders(*command, "--stack", "fresh")
    assert (status, out) == (1, "")
    assert err == (
        "ERROR: there is no stack fresh; there are: dev, prod; "
        "make it with --create, or write its config first: stacks/Pulumi.fresh.yaml\n"
    )
    done.clear()
    assert builders(*command, "--stack", "fresh", "--create")[0] == 0
    assert done == ["stack fresh create=True in .", command[0]]


@pytest.mark.parametrize("command", ["preview", "up"])
def test_on_a_terminal_a_missing_stack_is_offered(
    command: str, builders: Builders, answer: Callable[[str], None], done: list[str]
) -> None:
    """A yes makes it and goes on, a no makes nothing."""
    answer("y\ny\n")
    status, _, err = builders(command, "--stack", "fresh")
    assert status == 0
    assert "there is no stack fresh; there are: dev, prod. Make fresh? [y/N]" in err
    assert done[1] == "stack fresh create=True in ."
    done.clear()
    answer("n\n")
    assert builders(command, "--stack", "fresh")[0] == 1
    assert done == ["stack fresh in ."]


@pytest.mark.parametrize("command", ["refresh", "drift", "destroy", "move"])
def test_others_make_no_stack(command: str, builders: Builders, done: list[str]) -> None:
    """There is nothing in a new one that they could look at; the way to make it is not theirs to offer."""
    status, _, err = builders(command, "--stack", "fresh", *(["--yes"] if command != "drift" else []))
    assert (status, err) == (1, "ERROR: there is no stack fresh; there are: dev, prod\n")
    assert builders(command, "--create")[0] == 2


def closed_pipe() -> TextIO:
    """A stream whose reader has gone."""
    ours, theirs = os.pipe()
    os.close(ours)
    return os.fdopen(theirs, "w")


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["up", "--yes"], 0, "WARNING: the update is done, but its result was not written: standard output was closed"),
        (["up", "--yes", "-o", "json"], 0, "WARNING: the update is done"),
        (["refresh", "--yes"], 0, "WARNING: the refresh is done"),
        (["destroy", "--yes"], 0, "WARNING: the destroy is done"),
        (["preview"], 0, ""),
        (["preview", "--expect-no-changes"], 1, "ERROR: 1 resources of stack dev would change"),
        (["drift"], 3, ""),
        (["ls"], 0, ""),
    ],
)
def test_the_status_is_pulumis_whether_or_not_someone_reads_the_result(
    arguments: list[str],
    status: int,
    told: str,
    builders: Builders,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Behind `| head -1` the status is what was done or found; of what changed something the loss is told."""
    monkeypatch.setattr(FakeStack, "drifted", (STEP,))
    monkeypatch.setattr("sys.stdout", closed_pipe())
    ended, _, err = builders(*arguments)
    assert ended == status
    lines = [line for line in err.splitlines() if line.startswith(("WARNING", "ERROR"))]
    assert len(lines) == bool(told)
    assert "".join(lines).startswith(told)


def test_a_result_on_a_full_disk_is_an_error(builders: Builders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone wanted it; the message says that the update is done nevertheless."""
    monkeypatch.setattr("sys.stdout", open("/dev/full", "w"))  # noqa: SIM115
    status, _, err = builders("up", "--yes", "-o", "json")
    assert status == 1
    assert err.endswith("ERROR: the update is done, but its result was not written: no space left on device\n")


def test_progress_that_nobody_reads_is_no_error(builders: Builders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi's progress goes to standard error, which may be gone before Pulumi is done."""
    monkeypatch.setattr("sys.stderr", closed_pipe())
    assert builders("preview")[:2] == (
        0,
        "would update kube-kube0-deployment (kubernetes:apps/v1:Deployment)  [spec.replicas]\n",
    )


@pytest.mark.parametrize("gone", [True, False])
def test_an_interrupt_ends_with_130_though_standard_error_is_gone(
    gone: bool, builders: Builders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGHUP comes when the terminal goes away, and standard error with it."""

    def interrupted(*_: Any, **__: Any) -> Update:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeStack, "up", interrupted)
    if gone:
        monkeypatch.setattr("sys.stderr", closed_pipe())
    status, _, err = builders("up", "--yes")
    assert (status, err) == (130, "" if gone else "ERROR: interrupted\n")


def test_each_flag_has_one_variable_for_all_commands(
    builders: Builders, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """BUILDERS_STACK and its kin count wherever the flag does; the flag wins."""
    for name, value in {"STACK": "prod", "PROJECT": "there", "YES": "1", "OUTPUT": "json"}.items():
        monkeypatch.setenv(f"BUILDERS_{name}", value)
    status, out, _ = builders("up")
    assert (status, json.loads(out)["stack"]) == (0, "prod")
    assert builders("up", "-s", "dev", "-o", "text")[1].startswith("update kube-kube0-deployment")
    assert done == ["stack prod in there", "up", "stack dev in there", "up"]
    monkeypatch.setenv("BUILDERS_YES", "maybe")
    assert builders("up")[0] == 2


def test_pulumis_own_variable_names_the_stack_too(
    builders: Builders, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PULUMI_STACK counts before the selected stack and after BUILDERS_STACK."""
    monkeypatch.setenv("PULUMI_STACK", "new")
    builders("drift")
    monkeypatch.setenv("BUILDERS_STACK", "prod")
    builders("drift")
    assert [line.split()[1] for line in done if line.startswith("stack")] == ["new", "prod"]


def test_drift_ends_with_three_states(builders: Builders, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 without drift, 3 with it, 1 for an error."""
    assert builders("drift")[:2] == (0, "dev: no drift\n")
    monkeypatch.setattr(FakeStack, "drifted", (STEP,))
    status, out, _ = builders("drift")
    assert status == 3
    assert out == "differs: update kube-kube0-deployment (kubernetes:apps/v1:Deployment)  [spec.replicas]\n"
    monkeypatch.setattr(FakeStack, "drifted", ())
    monkeypatch.setattr(FakeStack, "fields", (SCALED,))
    assert builders("drift")[0] == 3
    monkeypatch.setattr(FakeStack, "error", "drift of stack dev: no cluster")
    assert builders("drift") == (1, "", "ERROR: drift of stack dev: no cluster\n")


def test_drift_is_a_line_a_field(builders: Builders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object, path, both values, who and since when, as far as that is recorded; long values around what differs."""
    object_, longer = SCALED.object, "x" * 50 + "{}" + "y" * 200
    since = "2026-11-25T10:00:00Z"
    fields = (
        SCALED,
        Field(object_, "removed", "metadata.labels.team", "a", None),
        Field(
            object_,
            "changed",
            "data.toml",
            longer.format("1"),
            longer.format("2"),
            "kubectl-edit",
            "",
            "2026-11-25T10:00:00Z",
        ),
        Field(object_, "deleted", "", None, None),
        Field(object_, "replaced", "", "1", "2", "kubectl-create", "", since),
    )
    beside = Field(object_, "added", "metadata.annotations.hash", None, "1", "reloader", "", since)
    monkeypatch.setattr(FakeStack, "fields", fields)
    monkeypatch.setattr(FakeStack, "others", (beside,))
    x, y = "x" * 29, "y" * 30
    assert builders("drift")[1].splitlines() == [
        "Deployment buildkit/a: spec.replicas: 1 -> 3 (by kubectl scale, no time is recorded)",
        'Deployment buildkit/a: metadata.labels.team: "a" -> (none) (by whom is not recorded)',
        f"Deployment buildkit/a: data.toml: …{x}x1{y[:-1]}… -> …{x}x2{y[:-1]}… (by kubectl-edit, since {since})",
        "Deployment buildkit/a: deleted",
        f"Deployment buildkit/a: another object of this name (by kubectl-create, since {since})",
        f'not drift: Deployment buildkit/a: metadata.annotations.hash: (none) -> "1" (by reloader, since {since})',
    ]
    told = json.loads(builders("drift", "-o", "json")[1])
    assert told["fields"][0] == {
        "object": {"urn": "urn", "kind": "Deployment", "namespace": "buildkit", "name": "a"},
        "change": "changed", "path": "spec.replicas", "ours": 1, "there": 3,
        "manager": "kubectl", "subresource": "scale", "since": "",
    }  # fmt: skip
    assert len(told["others"]) == 1


def test_results_go_to_standard_output_and_progress_to_standard_error(builders: Builders) -> None:
    """JSON is all that standard output has."""
    status, out, err = builders("preview", "-o", "json")
    assert (status, err) == (0, "Previewing update (dev):\n")
    assert json.loads(out) == {
        "version": 1,
        "stack": "dev",
        "steps": [{"operation": "update", "type": STEP.type, "name": STEP.name, "paths": ["spec.replicas"]}],
        "warnings": [],
    }
    assert (
        builders("preview")[1]
        == "would update kube-kube0-deployment (kubernetes:apps/v1:Deployment)  [spec.replicas]\n"
    )


def test_secret_outputs_are_masked(builders: Builders) -> None:
    """What goes into a job's log has no secret in it."""
    _, out, _ = builders("up", "--yes", "-o", "json")
    assert json.loads(out)["outputs"] == {"builder": BUILDER, "token": "[secret]"}


def test_expected_changes_fail_a_preview(builders: Builders, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--expect-no-changes` ends with 1 if anything would change."""
    assert builders("preview", "--expect-no-changes")[0] == 1
    monkeypatch.setattr(FakeStack, "steps", ())
    assert builders("preview", "--expect-no-changes")[:2] == (0, "dev: no changes\n")


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [([], 600), (["--lock-timeout", "90s"], 90), (["--lock-timeout=7"], 7), (["--no-wait", "--lock-timeout", "5m"], 0)],
)
def test_an_update_waits_as_long_as_it_is_told(builders: Builders, arguments: list[str], seconds: float) -> None:
    """Ten minutes by default, a Go duration or seconds, or not at all."""
    assert builders("up", "--yes", *arguments)[0] == 0
    assert FakeStack.options_of_up["lock_timeout"] == seconds


def test_a_wrong_lock_timeout_is_wrong_usage(builders: Builders, done: list[str]) -> None:
    """It ends with 2 and says what a duration is; nothing is done."""
    status, _, err = builders("up", "--yes", "--lock-timeout", "soon")
    assert (status, done) == (2, [])
    assert "'soon' is no duration: give one such as 90s, 5m or 0s" in err


def test_ls_shows_stacks_with_and_without_builders(builders: Builders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stack is a line, the selected one marked; one that cannot be read says why and hides no other."""
    monkeypatch.setattr(FakeStack, "outputs_of", {"dev": {"builder": BUILDER}, "prod": "wrong passphrase"})
    status, out, _ = builders("ls")
    assert status == 0
    assert out.splitlines() == [
        "STACK  BUILDER  NAMESPACE  NODES",
        "dev *  kube     buildkit   a (linux/amd64), b (any)",
        "prod   -        -          error: wrong passphrase",
    ]
    stacks = json.loads(builders("ls", "-o", "json")[1])["stacks"]
    assert stacks == [
        {"name": "dev", "builder": BUILDER},
        {"name": "prod", "builder": {"error": "wrong passphrase"}},
    ]


def test_a_folder_without_a_project_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Pulumi.yaml, one line, status 1; with -D also where it arose."""
    monkeypatch.delenv("BUILDERS_PROJECT", raising=False)
    with pytest.raises(SystemExit) as left:
        run(["ls", "-C", str(tmp_path)])
    assert left.value.code == 1
    assert capsys.readouterr().err.startswith("ERROR: there is no Pulumi.yaml in ")
    with pytest.raises(SystemExit):
        run(["ls", "-D", "-C", str(tmp_path)])
    debug.disable()
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("Traceback")
    assert last.startswith("ERROR: there is no Pulumi.yaml in ")


def test_foreign_text_steers_no_terminal(builders: Builders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in a stack's state, Pulumi's progress and its errors: colours of progress alone stay."""
    evil = "\x1b[2J\x9b1A\u202eevil https://u:PW@h"
    monkeypatch.setattr(FakeStack, "steps", (Step("update", f"t{evil}", f"n{evil}", (f"p{evil}",)),))
    builder = {"name": f"b{evil}", "namespace": f"s{evil}", "nodes": [{"name": f"n{evil}", "platforms": [f"p{evil}"]}]}
    monkeypatch.setattr(FakeStack, "outputs_of", {"dev": {"builder": builder}})
    said = [*builders("preview", "--stack", "dev")[1:], *builders("ls")[1:]]
    monkeypatch.setattr(FakeStack, "error", f"e{evil}\nnext")
    said += builders("drift", "--stack", "dev")[1:]
    text = "".join(said)
    assert text.count("evil") >= 5
    assert not any(sign in text for sign in ("\x1b", "\x9b", "\u202e"))
    assert "u:PW@" not in text
    assert "\nnext" in said[-1]
