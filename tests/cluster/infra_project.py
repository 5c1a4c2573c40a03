"""A Pulumi project of one's own for a test: the repository's program, a config and a state beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]


class Done(NamedTuple):
    """How a command ended."""

    status: int
    output: str
    """Standard output and standard error."""


class PulumiProject:
    """The project copied to a folder, with a file backend there and one stack `test`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        (folder / "state").mkdir(parents=True)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        shutil.copy(ROOT / "Pulumi.yaml", folder)
        (folder / "stacks").mkdir()
        shutil.copy(ROOT / "stacks" / "__main__.py", folder / "stacks")
        self.environment = {
            **environment,
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "BUILDX_CONFIG": f"{folder}/buildx",
            "DOCKER_CONFIG": f"{folder}/docker",
        }

    def configure(self, **config: Any) -> None:
        """Write the stack's config, without the `builder:` before each key."""
        value = {"config": {f"builder:{key}": value for key, value in config.items()}}
        (self.folder / "stacks" / "Pulumi.test.yaml").write_text(yaml.safe_dump(value))

    def run(self, *command: str, timeout: float = 240) -> Done:
        """Run a command in the project's folder."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            timeout=timeout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        return Done(done.returncode, done.stdout)

    def pulumi(self, *arguments: str) -> Done:
        """Run `pulumi … --stack test`."""
        return self.run("pulumi", *arguments, "--stack", "test", "--non-interactive", "--color", "never")

    def up(self, *arguments: str) -> Done:
        """Bring the stack up. Fails the test if Pulumi does."""
        done = self.pulumi("up", "--yes", "--skip-preview", *arguments)
        assert done.status == 0, done.output
        return done

    def kubectl(self, *arguments: str) -> str:
        """Standard output of kubectl. Fails the test if it does."""
        done = self.run("kubectl", *arguments)
        assert done.status == 0, done.output
        return done.output

    def objects(self, namespace: str, kinds: str = "deploy,rs,pods,cm,sa,role,rolebinding") -> set[str]:
        """What is in a namespace, as kind/name, but for what Kubernetes puts into each."""
        names = self.kubectl("-n", namespace, "get", kinds, "-o", "name").split()
        own = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
        return set(names) - own

    def output(self) -> Any:
        """Stack output `builder`."""
        done = subprocess.run(
            ["pulumi", "stack", "output", "builder", "--json", "--stack", "test"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)


def is_stored(wanted: Any, live: Any) -> bool:
    """Whether the apiserver has stored every field as it was sent; it adds others."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(key in live and is_stored(one, live[key]) for key, one in wanted.items())
    if isinstance(wanted, list):
        return len(wanted) == len(live) and all(map(is_stored, wanted, live))
    return bool(wanted == live)
