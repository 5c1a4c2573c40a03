"""A program in TypeScript with what it needs, compiled: Pulumi's SDK from npm, and ours made from the schema.

Pulumi's Node.js host is not to be had where only package registries are, so the compiled program is run by the SDK's
Automation API, which needs none: the real engine, the real SDK, the same plugin.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster.infra_project import ROOT

__all__ = ["TypescriptProject", "typescript_project"]

EXAMPLE = ROOT / "examples" / "typescript"
PLUGIN = ROOT / "infra" / "plugin"
_PACKAGES = ("@pulumi/pulumi@3.248.0", "@types/node@20", "typescript@5.9.3")
_RUN = """
const { LocalWorkspace } = require("@pulumi/pulumi/automation");
const [command, plugin, namespace] = process.argv.slice(2);
const name = "builder-in-typescript";
const plugins = { providers: [{ name: "builder", path: plugin }] };
(async () => {
  const program = async () => require("./bin/index.js");
  const stack = await LocalWorkspace.createOrSelectStack(
    { stackName: "test", projectName: name, program },
    { projectSettings: { name, runtime: "nodejs", plugins } },
  );
  await stack.setConfig("namespace", { value: namespace });
  const done = await stack[command]({ color: "never" });
  const changes = done.changeSummary ?? done.summary.resourceChanges;
  console.log(JSON.stringify({ changes, outputs: done.outputs ?? {} }));
})().catch((error) => { console.error(String(error)); process.exit(1); });
"""


class TypescriptProject(NamedTuple):
    """The example, compiled."""

    folder: Path
    environment: dict[str, str]

    def check(self, source: str) -> str:
        """What the compiler says of another program in the example's place; empty for nothing."""
        (self.folder / "other.ts").write_text(source)
        options = {"extends": "./tsconfig.json", "compilerOptions": {"noEmit": True}, "files": ["other.ts"]}
        (self.folder / "other.json").write_text(json.dumps(options))
        command = [self.folder / "node_modules" / ".bin" / "tsc", "-p", "other.json"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False).stdout

    def run(self, command: str, namespace: str) -> Any:
        """`preview`, `up` or `destroy`: the changes and outputs. Fails the test if Pulumi does."""
        done = subprocess.run(
            ["node", "run.js", command, str(PLUGIN), namespace],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def typescript_project(folder: Path, environment: dict[str, str]) -> TypescriptProject:
    """The example in a folder of its own, type-checked and compiled against the SDK of the schema in the repository."""
    shutil.copytree(EXAMPLE, folder)
    modules = folder / "node_modules"
    modules.mkdir()
    for one in (_npm_packages() / "node_modules").iterdir():
        (modules / one.name).symlink_to(one)
    sdk = modules / "@buildkit-builders" / "builder"
    made = _checked([sys.executable, "-m", "localcluster", "tools", "pulumi-sdk"], ROOT, 1200)
    _checked([made.strip(), str(PLUGIN / "schema.json"), str(sdk)], folder)
    _checked([str(modules / ".bin" / "tsc"), "-p", str(sdk)], folder)
    shutil.copy(sdk / "package.json", sdk / "bin")
    _checked([str(modules / ".bin" / "tsc")], folder)
    (folder / "run.js").write_text(_RUN)
    (folder / "state").mkdir()
    state = {"PULUMI_BACKEND_URL": f"file://{folder}/state", "PULUMI_CONFIG_PASSPHRASE": "test"}
    return TypescriptProject(folder, {**environment, **state})


def _npm_packages() -> Path:
    """A folder with the packages, of the machine's user: installed once, whole or not at all."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "buildkit-builders"
    whole = cache / f"npm-{hashlib.sha256(repr(_PACKAGES).encode()).hexdigest()[:10]}"
    if not whole.exists():
        part = cache / f"{whole.name}.{os.getpid()}"
        part.mkdir(parents=True)
        flags = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        _checked(["npm", "install", *flags, *_PACKAGES], part, 600)
        part.rename(whole)
    return whole


def _checked(command: list[str], folder: Path, timeout: float = 120) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
