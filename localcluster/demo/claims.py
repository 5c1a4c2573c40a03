"""Builders that teams ask for in a file, shown from the first plan to the last deletion, on the local cluster.

It works on a copy of examples/claims in `.demo-claims`, with Pulumi's state beside it, and takes both away at its end.
Every command is one that docs/platform-team.md and docs/for-teams.md show.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

from localcluster.demo.local import steps as local_steps
from localcluster.demo.steps import ROOT, DemoError, Shell, Step

__all__ = ["FOLDER", "steps"]

FOLDER = ROOT / ".demo-claims"
_EXAMPLE = ROOT / "examples" / "claims"
_HELLO = ROOT / "examples" / "hello"
_TEAMS = ("payments", "web")
_PLATFORMS = {"payments": "linux/amd64,linux/arm64", "web": "linux/amd64"}
_REFUSED = "search"
_APPLY_TIMEOUT = 300


def steps(shell: Shell) -> list[Step]:
    """The steps of `make demo-claims`; each is safe to run again after an interruption."""
    demo = _Claims(shell)
    return [
        *local_steps(shell)[:3],
        Step("What the platform team writes, and what the teams ask for", demo.files),
        Step("What a pull request shows (builders claims plan): two claims would do, one is refused", demo.plan),
        Step("Two builders, although the third claim is refused (builders claims apply)", demo.apply),
        Step("Team search asks for less, and gets its builder", demo.mend),
        Step("A kubeconfig for each team (builders claims access)", demo.access),
        Step("Each team builds with its own kubeconfig", demo.build),
        Step("And is refused in the other's namespace", demo.refuse),
        Step("The page of all builders, as files and as a server on this machine", demo.page),
        Step("All of it is taken away (builders claims destroy)", demo.destroy),
    ]


class _Claims:
    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    def files(self) -> None:
        FOLDER.mkdir(exist_ok=True)
        for name in ("state", "hello"):
            (FOLDER / name).mkdir(exist_ok=True)
        shutil.copytree(_EXAMPLE, FOLDER, dirs_exist_ok=True)
        shutil.copytree(_HELLO, FOLDER / "hello", dirs_exist_ok=True)
        self.shell.environment["PULUMI_BACKEND_URL"] = (FOLDER / "state").as_uri()
        self.shell.folder = FOLDER
        print(f"  in {FOLDER.name}, a copy of {_EXAMPLE.relative_to(ROOT)}:")
        for file in (FOLDER / "platform.yaml", *sorted((FOLDER / "claims").iterdir())):
            print(f"  $ cat {file.relative_to(FOLDER)}")
            print("".join(f"    {line}\n" for line in file.read_text().splitlines()), end="")

    def plan(self) -> None:
        self.shell.refused("builders", "claims", "plan", saying=f"{_REFUSED}/main: size", timeout=_APPLY_TIMEOUT)

    def apply(self) -> None:
        # The refused claim makes the status 1. Run again after an interruption, it finds the builders unchanged.
        self.shell.refused("builders", "claims", "apply", "--yes", saying="1 refused", timeout=_APPLY_TIMEOUT)

    def mend(self) -> None:
        self.shell.run("sed", "-i", "s/size: medium/size: small/", f"claims/{_REFUSED}.yaml", timeout=10)
        self.shell.run("builders", "claims", "apply", "--only", _REFUSED, "--yes", timeout=_APPLY_TIMEOUT)
        self.shell.run("builders", "claims", "status", timeout=60)

    def access(self) -> None:
        for team in _TEAMS:
            self.shell.run("builders", "claims", "access", team, timeout=60)

    def build(self) -> None:
        for team in _TEAMS:
            self._as(team).run(*self._build_line(team, team), timeout=300)

    def refuse(self) -> None:
        for team, other in (_TEAMS, _TEAMS[::-1]):
            self._as(team).refused(*self._build_line(team, other), saying="forbidden", timeout=60)

    def page(self) -> None:
        looked = [part for team in (*_TEAMS, _REFUSED) for part in ("--namespace", _namespace(team))]
        # Drift takes a preview a builder; docs/page.md says how often a page that stays up looks for it.
        command = ["builders", "serve", "--claims", *looked, "--drift-every", "0s"]
        self.shell.run(*command, "--export", "public", timeout=120)
        _look_for(_TEAMS, (FOLDER / "public" / "index.html").read_text(), "public/index.html")
        self._serve([*command, "--address", "127.0.0.1:0"])

    def destroy(self) -> None:
        self.shell.run("builders", "claims", "destroy", "--yes", timeout=_APPLY_TIMEOUT)
        ours = [_namespace(team) for team in (*_TEAMS, _REFUSED)]
        gone = ["wait", "--for=delete", "--timeout=120s", *(f"namespace/{name}" for name in ours)]
        self.shell.run("kubectl", *gone, timeout=150)
        shutil.rmtree(FOLDER)
        print(f"  {FOLDER.name} is removed, too")

    def _serve(self, command: list[str]) -> None:
        """Starts the page's server, reads it as a browser without JavaScript would, and ends it."""
        print(f"  $ {shlex.join(command)} &", flush=True)
        log = FOLDER / "serve.log"
        with log.open("w") as output:
            server = subprocess.Popen(command, cwd=FOLDER, env=self.shell.environment, stderr=output)
        try:
            url = _address(server, log)
            for team in _TEAMS:
                print(f"  $ curl '{url}?q={team}'", flush=True)
                _look_for((team,), _answer(f"{url}?q={team}", _namespace(team)), url)
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def _as(self, team: str) -> Shell:
        print(f"  $ export KUBECONFIG={team}.kubeconfig", flush=True)
        return Shell({**self.shell.environment, "KUBECONFIG": str(FOLDER / f"{team}.kubeconfig")}, FOLDER)

    def _build_line(self, team: str, builders_of: str) -> list[str]:
        """What `access` prints, with the image's name, and the base image of the local registry."""
        environment = self.shell.environment
        return [
            "buildclient", "build", "--from-cluster", f"{_namespace(builders_of)}/main",
            "--platform", _PLATFORMS[team], "--build-arg", f"BASE_IMAGE={environment['BASE_IMAGE']}",
            "--push", "-t", f"{environment['REGISTRY']}/demo-claims-{team}:1", "hello",
        ]  # fmt: skip


def _namespace(team: str) -> str:
    return f"demo-claims-{team}"


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while not (found := re.search(r"http://\S+", log.read_text())):
        if server.poll() is not None or time.monotonic() > deadline:
            raise DemoError(f"builders serve does not answer: {log.read_text().strip()}")
        time.sleep(0.1)
    return found[0]


def _answer(url: str, wanted: str) -> str:
    """A page, once it has `wanted`: the server answers at once, and has looked at its first builders a little later."""
    deadline = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(url, timeout=30) as answer:
            found: str = answer.read().decode()
        if wanted in found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def _look_for(teams: tuple[str, ...], page: str, where: str) -> None:
    for team in teams:
        if _namespace(team) not in page:
            raise DemoError(f"{where} does not show the builder of team {team}")
        print(f"  {where} shows {_namespace(team)}/main")
