"""A small Pulumi project whose resources are data, run with the stand-ins on PATH."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STANDINS = Path(__file__).resolve().parents[2] / "standins" / "bin"

_PROGRAM = """
import json, pathlib, pulumi

class Raw(pulumi.CustomResource):
    def __init__(self, kind, name, inputs, options):
        super().__init__(kind, name, {**inputs, "metadata": inputs.get("metadata", {})}, options)

described = json.loads(pathlib.Path("resources.json").read_text())
made = {}
for one in described:
    raw = dict(one.get("options", {}))
    options = pulumi.ResourceOptions(version="4.34.2")
    if "timeout" in raw:
        limit = raw["timeout"]
        options.custom_timeouts = pulumi.CustomTimeouts(create=limit, update=limit, delete=limit)
    if "ignore" in raw:
        options.ignore_changes = raw["ignore"]
    if "after" in raw:
        options.depends_on = [made[name] for name in raw["after"]]
    if "provider" in raw:
        options.provider = made[raw["provider"]]
    if one["kind"] == "provider":
        made[one["name"]] = pulumi.ProviderResource("kubernetes", one["name"], one["inputs"], options)
        continue
    inputs = one["inputs"]
    for key in one.get("secret", []):
        inputs[key] = pulumi.Output.secret(inputs[key])
    made[one["name"]] = Raw(one["kind"], one["name"], inputs, options)
"""


def resource(api_version: str, kind: str, name: str, body: dict[str, Any], **extra: Any) -> dict[str, Any]:
    """A resource of the program: `body` is the manifest without apiVersion and kind."""
    module = api_version if "/" in api_version else f"core/{api_version}"
    return {
        "kind": f"kubernetes:{module}:{kind}",
        "name": name,
        "inputs": {"apiVersion": api_version, "kind": kind, **body},
        **extra,
    }


def deployment(name: str, namespace: str, *, image: str = "busybox", replicas: int = 1, **extra: Any) -> dict[str, Any]:
    """A Deployment of pods that sleep."""
    labels = {"app": name}
    container = {"name": "main", "image": image, "command": ["sleep", "3600"]}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    annotations = extra.pop("annotations", {})
    metadata = {"name": name, "namespace": namespace, **({"annotations": annotations} if annotations else {})}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return resource("apps/v1", "Deployment", name, {"metadata": metadata, "spec": spec}, **extra)


@dataclass
class Project:
    """The project in a folder of its own, with one stack."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def made(cls, folder: Path, environment: dict[str, str]) -> Project:
        """A new project with the stack `dev`."""
        (folder / "__main__.py").write_text(_PROGRAM)
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": "standins", "runtime": runtime}))
        for name in ("home", "state"):
            (folder / name).mkdir()
        project = cls(
            folder,
            {
                **{key: value for key, value in environment.items() if not key.startswith(("PULUMI_", "STANDINS_"))},
                "PATH": f"{STANDINS}:{environment['PATH']}",
                "PULUMI_HOME": str(folder / "home"),
                "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
                "PULUMI_CONFIG_PASSPHRASE": "test",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            },
        )
        project.describe([])
        project.run("stack", "init", "dev")
        return project

    def describe(self, resources: list[dict[str, Any]]) -> None:
        """What the program is to make."""
        (self.folder / "resources.json").write_text(json.dumps(resources))

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A Pulumi command, running."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            # A JSON answer must stay apart from what the plugins say.
            stderr=subprocess.DEVNULL if "--json" in arguments else subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        """The output of a Pulumi command, which must succeed, or fail, as said."""
        process = self.start(*arguments, **environment)
        try:
            output, _ = process.communicate(timeout=150)
        finally:
            if process.poll() is None:
                process.kill()
        assert (process.returncode != 0) is fails, output
        return output

    def up(self, resources: list[dict[str, Any]] | None = None, *, fails: bool = False, **environment: str) -> str:
        """`pulumi up` without a preview."""
        if resources is not None:
            self.describe(resources)
        return self.run("up", "--yes", "--skip-preview", fails=fails, **environment)

    def preview(self, resources: list[dict[str, Any]] | None = None, **environment: str) -> dict[str, Any]:
        """The steps of `pulumi preview` that change something, by resource name."""
        if resources is not None:
            self.describe(resources)
        answer = json.loads(self.run("preview", "--json", **environment))
        return {
            step["urn"].split("::")[-1]: step
            for step in answer["steps"]
            if step["op"] != "same" and "kubernetes:" in step["urn"].split("::")[2]
        }

    def state(self) -> dict[str, dict[str, Any]]:
        """The resources in the stack's state, by name."""
        exported = json.loads(self.run("stack", "export"))
        found = exported["deployment"].get("resources") or []
        return {one["urn"].split("::")[-1]: one for one in found}
