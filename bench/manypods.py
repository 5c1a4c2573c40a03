"""`ls` of a node of 1,000 pods. Eight of them run BuildKit; the others are objects of the API server alone.

They are Pods as the Deployment's own, said to run on machines that there are not. The cluster takes such pods away
after a minute, which is more than this takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.ground import Ground
from bench.measure import BenchError, Ran
from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import load_kubeconfig
from buildclient.kube.pods import KubernetesPods

__all__ = ["GOAL", "MEMORY", "listed"]

GOAL = 1.5
"""Seconds."""
MEMORY = 120 << 20
"""Bytes."""
_REAL = 8
_LABEL = "bench.buildclient/many"
_THREADS = 16
_READY = 120
"""Seconds until the pods that run are ready."""


def listed(ground: Ground, pods: int = 1000, rounds: int = 5) -> list[Ran]:
    """Runs `buildclient ls` of such a node, after one run that is not counted. Raises BenchError."""
    try:
        with _pods(ground, pods) as node:
            output = {**ground.output(), "nodes": [node]}
            ground.output_file("many").write_text(json.dumps(output))
            return [ground.client("ours", "many", ["ls"]) for _ in range(rounds + 1)][1:]
    except UnreachableError as error:
        raise BenchError(f"{pods} pods: {error}") from None


@contextlib.contextmanager
def _pods(ground: Ground, count: int) -> Iterator[dict[str, Any]]:
    """The node as the output has it."""
    kubeconfig = load_kubeconfig(ground.environment)
    api = KubeApi(kubeconfig.access(kubeconfig.current), ground.environment)
    path = f"/api/v1/namespaces/{ground.namespace}"
    node: dict[str, Any] = ground.output()["nodes"][0]
    deployment = f"/apis/apps/v1/namespaces/{ground.namespace}/deployments/{node['workload']['name']}"
    model = api.read(deployment, {}, "cannot read the Deployment")["spec"]["template"]
    with contextlib.ExitStack() as stack:
        owner = api.create(f"{path}/configmaps", {}, {"metadata": {"generateName": "many-"}}, "cannot make the owner")
        name = owner["metadata"]["name"]
        stack.callback(api.delete, f"{path}/configmaps/{name}", {}, "cannot delete the owner")
        # No machine would say of the invented ones that they have stopped.
        at_once, labelled = {"gracePeriodSeconds": 0}, {"labelSelector": _LABEL}
        stack.callback(api.delete, f"{path}/pods", labelled, "cannot delete the pods", at_once)
        pod = _pod(model, name, owner["metadata"]["uid"])
        running = [_named(pod, f"a-{number}") for number in range(_REAL)]
        for one in running:
            api.create(f"{path}/pods", {}, one, "cannot create a pod")
        asyncio.run(_ready(api, ground.namespace))
        status = api.read(f"{path}/pods/a-0", {}, "cannot read a pod")["status"]

        def invent(number: int) -> None:
            invented = _named(pod, f"b-{number:04}")
            invented["spec"]["nodeName"] = f"machine-{number % 40:02}"
            made = api.create(f"{path}/pods", {}, invented, "cannot create a pod")
            api.patch(f"{path}/pods/{made['metadata']['name']}/status", {"status": status}, "cannot set its status")

        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(invent, range(count - _REAL)))
        yield {**node, "selector": {_LABEL: "true"}, "replicas": count}


async def _ready(api: KubeApi, namespace: str) -> None:
    deadline = asyncio.get_running_loop().time() + _READY
    await KubernetesPods(api).wait_ready(namespace, {_LABEL: "true"}, _REAL, deadline)


def _pod(model: Mapping[str, Any], owner: str, uid: str) -> dict[str, Any]:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "controller": True}
    annotations = model["metadata"].get("annotations") or {}
    metadata = {"labels": {_LABEL: "true"}, "annotations": annotations, "ownerReferences": [reference]}
    return {"metadata": metadata, "spec": copy.deepcopy(model["spec"])}


def _named(pod: Mapping[str, Any], name: str) -> dict[str, Any]:
    named: dict[str, Any] = copy.deepcopy(dict(pod))
    named["metadata"]["name"] = name
    return named
