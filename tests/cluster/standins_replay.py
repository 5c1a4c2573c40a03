"""Replays the recorded program of the real Kubernetes provider with the stand-ins, and brings both to one form.

The recordings (recordings/) hold what provider 4.32.0 printed, a key a command. Compared are: operation, type and name
of each step, detailed diffs, replace reasons, the last status line of each resource, change summaries, errors and
warnings, outputs. Not compared: timings, the order of parallel resources, traceback fragments (the language host's),
random suffixes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "recordings"
RECORDED: dict[str, Any] = json.loads((RECORDINGS / "kubernetes-provider-4.32.json").read_text())
RECORDED_STATE: list[dict[str, Any]] = json.loads((RECORDINGS / "kubernetes-provider-4.32-state.json").read_text())
STANDINS = Path(__file__).resolve().parents[2] / "standins" / "bin"

IMAGE = "moby/buildkit:buildx-stable-1"
"""The recorded image had been put into both nodes by hand; this one their registry has."""

_NOT_OURS = ("pulumi:pulumi:Stack", "pulumi:providers:kubernetes")
_PREVIEW = ["preview", "--json"]
_UP = ["up", "--yes", "--skip-preview"]


@dataclass(frozen=True)
class Step:
    """One command of the replay."""

    key: str
    step: int
    arguments: list[str]
    by_hand: tuple[str, ...] = ()
    """kubectl commands that come before."""


STEPS = [
    Step("00-create-preview", 0, _PREVIEW),
    Step("01-create-up", 0, _UP),
    Step("02-noop-preview", 0, _PREVIEW),
    Step("10-update-preview", 1, _PREVIEW),
    Step("11-update-up", 1, _UP),
    Step("20-template-preview", 2, _PREVIEW),
    Step("21-template-up", 2, _UP),
    Step("30-selector-preview", 3, _PREVIEW),
    Step("31-selector-up", 3, _UP),
    Step("40-sts-preview", 4, _PREVIEW),
    Step("41-sts-up", 4, _UP),
    Step(
        "50-drift-refresh-preview",
        4,
        ["refresh", "--preview-only", "--json"],
        (
            "delete serviceaccount client",
            "annotate --overwrite deployment builder team=b",
        ),
    ),
    Step("51-drift-preview", 4, ["preview", "--refresh", "--json"]),
    Step("52-drift-refresh", 4, ["refresh", "--yes", "--skip-preview"]),
    Step("53-drift-up", 4, _UP),
    Step("54-conflict-preview", 4, ["preview", "--refresh", "--json"], ("scale deployment builder --replicas=1",)),
    Step("55-conflict-up", 4, [*_UP, "--refresh"]),
    Step("56-force-preview", 5, _PREVIEW),
    Step("57-force-up", 5, _UP),
    Step("60-badimage-up", 6, _UP),
    Step("61-repair-up", 5, _UP),
    Step("70-conflict-preview", 7, _PREVIEW, ("create serviceaccount already-there",)),
    Step("71-conflict-up", 7, _UP),
    Step("90-destroy-preview", 7, ["destroy", "--preview-only", "--json"]),
    Step("91-destroy", 7, ["destroy", "--yes", "--skip-preview"]),
]

STATE_AFTER = "61-repair-up"


class Replay:
    """Runs the steps in a folder of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        program = (RECORDINGS / "program.py").read_text()
        (folder / "__main__.py").write_text(re.sub(r"(?m)^IMG = .*$", f'IMG = "{IMAGE}"', program))
        (folder / "Pulumi.yaml").write_text(
            json.dumps({"name": "recording", "runtime": {"name": "python", "options": {"virtualenv": sys.prefix}}})
        )
        for name in ("home", "state"):
            (folder / name).mkdir()
        self.environment = {
            **{key: value for key, value in environment.items() if not key.startswith("PULUMI_")},
            "PATH": f"{STANDINS}:{environment['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "replay",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        self.run(["stack", "init", "dev"], 0)

    def run(self, arguments: list[str], step: int) -> str:
        """Standard output of a Pulumi command; commands may fail, as the recorded ones did."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env={**self.environment, "STEP": str(step)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.stdout

    def by_hand(self, command: str) -> None:
        """A kubectl command in the program's namespace."""
        subprocess.run(
            ["kubectl", "--namespace", "recording", *command.split()],
            env=self.environment,
            capture_output=True,
            timeout=60,
            check=True,
        )

    def all(self) -> dict[str, Any]:
        """Every step's answer: a JSON document for previews, lines for the rest; and `state` after STATE_AFTER."""
        answers: dict[str, Any] = {}
        for step in STEPS:
            for command in step.by_hand:
                self.by_hand(command)
            text = self.run(step.arguments, step.step)
            answers[step.key] = json.loads(text) if "--json" in step.arguments else {"log": text.splitlines()}
            if step.key == STATE_AFTER:
                exported = self.run(["stack", "export"], step.step)
                answers["state"] = json.loads(exported)["deployment"]["resources"]
        return answers


# One form for both


def masked(text: str) -> str:
    """Without random suffixes, times and counts of messages."""
    text = re.sub(r"-[0-9a-f]{8}\b", "-XXXXXXXX", text)
    text = re.sub(r"\(\d+(\.\d+)?s\)", "(TIME)", text)
    return re.sub(r"(;? ?\d+ (error|warning|message)s?;?)+ *$", "", text).rstrip()


def type_and_name(urn: str) -> tuple[str, str]:
    """Type and name of a URN."""
    parts = urn.split("::")
    return parts[2], parts[3]


def steps_of(answer: dict[str, Any]) -> set[tuple[str, str, str, str, str]]:
    """Operation, type, name, detailed diff and replace reasons of each step of a preview that changes anything.

    The recording notes a replacement once; Pulumi's JSON has its parts besides (`create-replacement`, …).
    """
    found = set()
    for step in answer["steps"]:
        kind, name = type_and_name(step["urn"]) if "urn" in step else (step["type"], step["name"])
        if kind in _NOT_OURS or step["op"] in ("same", "create-replacement", "delete-replaced"):
            continue
        diff = json.dumps(step.get("detailedDiff") or {}, sort_keys=True)
        found.add((step["op"], kind, name, diff, json.dumps(step.get("replaceReasons") or [])))
    return found


def said(text: str) -> str:
    """A message's lines, without the names of pods, and whether a pull failed just now or waits for its next try."""
    text = re.sub(r"(\[Pod \S+?)-[0-9a-f]{8,10}-[a-z0-9]{5}\]", r"\1-POD]", text)
    text = re.sub(r'\[ImagePullBackOff\] Back-off pulling image "[^"]*": ErrImagePull:', "[ErrImagePull]", text)
    return "\n".join(masked(line.strip()) for line in text.splitlines() if line.strip())


def diagnostics_of(answer: dict[str, Any]) -> set[str]:
    """A preview's errors and warnings, without what the Pulumi CLI says of plugins on PATH."""
    texts = [one if isinstance(one, str) else f"{one['severity']}: {one['message']}" for one in answer["diagnostics"]]
    # The message of an error repeats its severity.
    found = {said(text).replace("error: error: ", "error: ") for text in texts}
    return {text for text in found if text.startswith(("error: ", "warning: ")) and "from $PATH" not in text}


_STATUS = re.compile(r"^ ?(\S{0,2}) +([a-z]+:[\w./-]+:\w+) (\S+) ?(.*)$")


def last_lines(log: list[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """The last status line of each Kubernetes resource: its operation's sign and text.

    In a run that failed, resources to which nothing happened are all alike: which of those the engine came to after
    their refresh depends on the order of parallel resources.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for line in log[: log.index("Diagnostics:") if "Diagnostics:" in log else None]:
        match = _STATUS.match(line)
        if match and match.group(2) not in _NOT_OURS:
            sign, kind, name, text = match.groups()
            found[kind, name] = (sign, masked(text))
    if not failed(log):
        return found
    return {key: ("", "") if line[1] in ("", "refresh (TIME)") else line for key, line in found.items()}


def section(log: list[str], title: str) -> list[str]:
    """The lines of a section that ends a log, masked, sorted.

    Of a run that failed, without the number of unchanged resources and without the mark of outputs that were not
    given: how far the program came before it was stopped depends on the order of parallel resources.
    """
    if f"{title}:" not in log:
        return []
    start = log.index(f"{title}:") + 1
    end = next((i for i in range(start, len(log)) if not log[i].startswith("  ")), len(log))
    lines = sorted(masked(line) for line in log[start:end] if line.strip())
    if not failed(log):
        return lines
    return [line.replace("  - ", "    ", 1) for line in lines if "unchanged" not in line]


_HEADER = re.compile(r"^  (\S+ \(\S+\)):$")


def messages(log: list[str]) -> dict[str, str]:
    """What a log's diagnostics say of each resource; of the stack only errors and warnings, and not the CLI's about
    plugins on PATH, for there is also what the program and the plugins say of themselves."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in log[log.index("Diagnostics:") + 1 :] if "Diagnostics:" in log else []:
        if line and not line.startswith(" "):
            break
        if header := _HEADER.match(line):
            current = header.group(1)
        elif not current.startswith(_NOT_OURS) or line.startswith(("    error:", "    warning:")):
            found.setdefault(current, []).append("" if "from $PATH" in line else line)
    texts = {resource: said("\n".join(lines)) for resource, lines in found.items()}
    return {resource: text for resource, text in texts.items() if text}


def failed(log: list[str]) -> bool:
    """Whether a log tells of an error."""
    return any(text.startswith("error:") for text in messages(log).values())
