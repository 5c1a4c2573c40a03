"""Programs such as users have stacks of, and all that each registers with the engine, as plain JSON.

`python -m tests.preview.stored_stacks PACKAGE` prints what the components of an importable package register.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime.config import set_all_config

from tests.preview.mocked import KUBECONFIG, run

# What the engine compares with a stack's state, or acts on. Left out: what an SDK says of itself and its program.
_COMPARED = (
    "type", "name", "urn", "parent", "custom", "object", "outputs", "provider", "providers", "version", "aliases",
    "aliasURNs", "importId", "dependencies", "customTimeouts", "protect", "retainOnDelete", "deletedWith",
    "deleteBeforeReplace", "replaceOnChanges", "replaceWith", "ignoreChanges", "hideDiffs", "additionalSecretOutputs",
)  # fmt: skip

Program = Callable[[Any], Any]
"""Takes the package; returns what the stack exports as `builder`, if anything."""


def _builder(name: str = "kube", **args: Any) -> Program:
    return lambda package: package.Builder(name, args).output


def _at_path(package: Any) -> Any:
    return package.Builder("kube", {"kubeconfig": os.environ["KUBECONFIG"]}).output


def _node(name: str, **args: Any) -> Program:
    def program(package: Any) -> None:
        mine = pulumi.ProviderResource("kubernetes", "mine", {})
        package.BuilderNode(name, args, pulumi.ResourceOptions(providers=[mine]))

    return program


def _given_provider(**args: Any) -> Program:
    def program(package: Any) -> Any:
        mine = pulumi.ProviderResource("kubernetes", "mine", {})
        options = pulumi.ResourceOptions(provider=mine, protect=True)
        return package.Builder("kube", args, options).output

    return program


def _from_config(**config: str) -> Program:
    def program(package: Any) -> Any:
        set_all_config({f"builder:{key}": value for key, value in config.items()})
        args = importlib.import_module(f"{package.__name__}.config").builder_args()
        return package.Builder(str(args.get("name") or "kube"), args, where="builder:").output

    return program


_EVERY_OPTION = {
    "image": "registry.example/buildkit:v1",
    "default-load": True,
    "replicas": 3,
    "requests.cpu": 0.5,
    "requests.memory": "1024Mi",
    "requests.ephemeral-storage": "10G",
    "limits.cpu": "2",
    "limits.memory": "4Gi",
    "limits.ephemeral-storage": "100G",
    "buildkit-root-volume-memory": "6G",
    "nodeselector": {"kubernetes.io/arch": "arm64"},
    "annotations": {"team": "build"},
    "labels": "team=build",
    "tolerations": "key=foo,value=bar;key=foo2,operator=exists",
    "serviceaccount": "buildkit",
    "schedulername": "batch",
    "timeout": "2m30s",
    "loadbalance": "random",
    "qemu.install": True,
    "qemu.image": "registry.example/binfmt:v10",
}

PROGRAMS: Mapping[str, Program] = {
    "nothing given": _builder(),
    "every option": _builder(nodes=[{"name": "a_b", "platforms": ["linux/arm64"], "driver-opts": _EVERY_OPTION}]),
    "rootless": _builder(**{"driver-opts": "rootless=true,namespace=buildkit"}),
    "several nodes and namespaces": _builder(
        name="team_builder",
        namespace="buildkit",
        nodes=[
            {"name": "amd", "platforms": "linux/amd64,linux/386"},
            {"name": "arm", "platforms": ["linux/arm64", "linux/arm/v7"], "namespace": "arm"},
            {"loadbalance": "random", "driver-opts": "replicas=0"},
        ],
        createNamespace=True,
        clientServiceAccount="ci",
    ),
    "a client's account elsewhere": _builder(clientServiceAccount="ci/runner", nodes=[{}, {"namespace": "other"}]),
    "a named context": _builder(context="team"),
    "contents of a kubeconfig": _builder(kubeconfig=KUBECONFIG, context="team"),
    "a kubeconfig's path": _at_path,
    "a provider of the caller's": _given_provider(),
    "a provider of the caller's and its cluster": _given_provider(context="team", createNamespace="true"),
    "a node alone": _node("solo", **{"driver-opts": {"replicas": 2, "timeout": "90s"}, "platforms": ["linux/amd64"]}),
    "a node alone in a namespace": _node("solo_2", namespace="team"),
    "stack config": _from_config(
        name="staging",
        namespace="buildkit",
        nodes='[{"name": "n1", "driver-opts": "replicas=2"}, {"name": "n2", "driver-opts": {"rootless": true}}]',
        createNamespace="true",
        loadbalance="",
    ),
}


def registered(package: str, program: Program) -> dict[str, Any]:
    """What one program registers through the components of `package`: resources, their outputs, the export."""
    loaded = importlib.import_module(package)
    requests: list[dict[str, Any]] = []
    exported: list[Any] = []

    def main() -> None:
        _watch(requests)
        set_all_config({})
        output = program(loaded)
        if output is not None:
            output.apply(exported.append)

    with _kubeconfig() as path:
        run(main, preview=False)
        text = json.dumps({"registered": requests, "builder": exported}, sort_keys=True)
    text = text.replace(path, "$KUBECONFIG").replace(metadata.version("pulumi_kubernetes"), "$PULUMI_KUBERNETES")
    # The mocks of older SDKs leave the stack and the project out of URNs.
    text = text.replace("urn:pulumi:stack::project::", "urn:pulumi:test::builder::")
    result: dict[str, Any] = json.loads(text)
    # Pulumi registers side by side: only the order that dependencies make is the program's.
    # The stack itself is registered once a process, by the mocks.
    result["registered"] = [one for one in result["registered"] if not _is_stack(one)]
    result["registered"].sort(key=lambda one: json.dumps(one, sort_keys=True))
    return result


def _watch(requests: list[dict[str, Any]]) -> None:
    from pulumi.runtime import settings

    monitor: Any = settings.get_monitor()
    for method in ("RegisterResource", "RegisterResourceOutputs"):
        inner = getattr(monitor, method)

        def record(request: Any, method: str = method, inner: Callable[[Any], Any] = inner) -> Any:
            fields = json_format.MessageToDict(request)
            kept = {key: fields[key] for key in _COMPARED if fields.get(key)}
            kept["dependencies"] = sorted(kept.get("dependencies", []))
            kept["aliases"] = [alias for alias in kept.get("aliases", []) if not _of_the_sdk(alias)]
            requests.append({"request": method, **kept})
            return inner(request)

        setattr(monitor, method, record)


def _is_stack(request: Mapping[str, Any]) -> bool:
    kind = request.get("type") or str(request.get("urn", "")).split("::")[2]
    return bool(kind == "pulumi:pulumi:Stack")


def _of_the_sdk(alias: Any) -> bool:
    """Whether an alias is one of those that pulumi-kubernetes gives its classes: an older API version of the type."""
    spec = dict(alias.get("spec", {}))
    return str(spec.pop("type", "")).startswith("kubernetes:") and not any(spec.values())


@contextmanager
def _kubeconfig() -> Iterator[str]:
    """A kubeconfig that KUBECONFIG names, at a path of its own."""
    before = os.environ.get("KUBECONFIG")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config"
        path.write_text(KUBECONFIG)
        os.environ["KUBECONFIG"] = str(path)
        try:
            yield str(path)
        finally:
            if before is None:
                del os.environ["KUBECONFIG"]
            else:
                os.environ["KUBECONFIG"] = before


if __name__ == "__main__":
    print(json.dumps({name: registered(sys.argv[1], one) for name, one in PROGRAMS.items()}, indent=1, sort_keys=True))
