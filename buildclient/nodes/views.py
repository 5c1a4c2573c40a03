"""The output of `ls` and `inspect`: views of a builder, as tables and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from buildclient.base.units import human_size
from buildclient.base.visible import one_line, visible
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.contract.platform import Platform
from buildclient.daemon.worker import Worker
from buildclient.kube.pod import Pod, several
from buildclient.kube.reasons import LEFT_TO_CLUSTER, STOPPED

__all__ = [
    "BuilderView",
    "NodeView",
    "PodLoad",
    "PodView",
    "inspect_lines",
    "ls_lines",
    "status_of",
    "to_json",
    "wanted_pods",
]


class PodLoad(NamedTuple):
    """What a daemon is busy with and keeps; None where it does not say."""

    builds: int | None = None
    """Running builds."""
    cache: int | None = None
    """Bytes of its build cache."""
    reclaimable: int | None = None
    """Bytes of the cache that no build is using."""


class PodView(NamedTuple):
    """A pod, with its daemon's version and workers."""

    pod: Pod
    workers: tuple[Worker, ...] = ()
    error: str = ""
    """Why its daemon could not be asked."""
    load: PodLoad | None = None
    """None if it was not asked for."""


class NodeView(NamedTuple):
    """The current state of a node of the builder."""

    node: NodeOutput
    pods: tuple[PodView, ...] = ()
    error: str = ""
    """Why its pods could not be listed, or did not become ready."""

    @property
    def name(self) -> str:
        """The node's name in its builder."""
        return self.node.name


class BuilderView(NamedTuple):
    """The current state of a builder."""

    output: BuilderOutput
    kube_context: str = ""
    """The kubeconfig context used; empty without Kubernetes."""
    nodes: tuple[NodeView, ...] = ()
    error: str = ""
    current: bool = False
    """Whether it is the default builder."""


_HEADER = ("NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "PLATFORMS", "PODS")
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def status_of(view: NodeView) -> str:
    """`running` with a ready pod, else `starting`, without pods that stay `at rest` or `inactive`, `error`."""
    if any(pod.workers for pod in view.pods):
        return "running"
    if all(pod.pod.terminating for pod in view.pods):
        if view.error not in ("", STOPPED, LEFT_TO_CLUSTER):
            return "error"
        return "at rest" if view.node.may_rest else "inactive"
    return "error" if any(pod.error for pod in view.pods) else "starting"


def ls_lines(views: Sequence[BuilderView]) -> list[str]:
    """Returns a table of builders and nodes, with their errors below it."""
    rows: list[tuple[str, ...]] = [_HEADER]
    problems = []
    for view in views:
        rows.append((f"{view.output.name}{'*' if view.current else ''}", _driver(view.output), "", "", "", ""))
        if view.error:
            problems.append(f"{view.output.name}: {view.error}")
        for node in view.nodes:
            rows.append((rf" \_ {node.name}", *_node_cells(node)))
            problems += [f"{node.name}: {text}" for text in _problems(node)]
    rows = [tuple(map(one_line, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    table = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*table, *(["", *map(visible, problems)] if problems else [])]


def inspect_lines(view: BuilderView) -> list[str]:
    """Returns the details of a builder, as text."""
    output = view.output
    lines = _aligned(
        {
            "Name": output.name,
            "Driver": _driver(output),
            "Namespace": output.namespace,
            "Context": view.kube_context,
            "Load balance": output.loadbalance,
        }
    )
    if view.error:
        lines += ["", f"Error: {visible(view.error)}"]
    lines += ["", "Nodes:"]
    for node in view.nodes:
        lines += [*_node_lines(node), ""]
    return lines[:-1]


def to_json(view: BuilderView) -> dict[str, Any]:
    """Returns the same details as an object for JSON."""
    return {
        "name": view.output.name,
        "namespace": view.output.namespace,
        "context": view.kube_context,
        "loadbalance": view.output.loadbalance,
        "current": view.current,
        "error": view.error,
        "nodes": [
            {
                "name": node.name,
                "namespace": node.node.namespace,
                "endpoint": _endpoint(node.node),
                "status": status_of(node),
                "platforms": [str(p) for p in node.node.platforms],
                "error": node.error,
                "pods": [_pod_json(pod) for pod in node.pods],
            }
            for node in view.nodes
        ],
    }


def _node_cells(view: NodeView) -> tuple[str, ...]:
    workers = [worker for pod in view.pods for worker in pod.workers]
    versions = dict.fromkeys(worker.buildkit_version for worker in workers if worker.buildkit_version)
    ready = sum(pod.pod.ready and not pod.pod.terminating for pod in view.pods)
    places = dict.fromkeys(pod.pod.kubernetes_node for pod in view.pods if pod.pod.kubernetes_node)
    pods = f"{ready}/{wanted_pods(view.node)} ready" + (f" on {', '.join(_few(list(places)))}" if places else "")
    return (
        rf" \_ {_endpoint(view.node)}",
        status_of(view),
        ", ".join(versions),
        _platforms(view.node.platforms, workers, few=True),
        "" if view.node.address else pods,
    )


def wanted_pods(node: NodeOutput) -> str:
    """How many pods there are to be: `2`, or of a node that is scaled `0-4`."""
    least = node.replicas if node.min_replicas is None else node.min_replicas
    most = node.replicas if node.max_replicas is None else node.max_replicas
    return str(least) if least == most else f"{least}-{most}"


def _driver(output: BuilderOutput) -> str:
    return "kubernetes" if any(node.workload for node in output.nodes) else "remote"


def _endpoint(node: NodeOutput) -> str:
    if node.address:
        return node.address
    kind = node.workload.kind.lower() if node.workload else "workload"
    return f"kubernetes:///{node.namespace}?{kind}={node.workload.name if node.workload else ''}"


def _platforms(declared: Sequence[Platform], workers: Sequence[Worker], *, few: bool = False) -> str:
    """Returns the declared platforms with a star, then the others that the daemons report."""
    reported = dict.fromkeys(platform for worker in workers for platform in worker.platforms)
    others = [str(platform) for platform in reported if platform not in declared]
    return ", ".join([*(f"{platform}*" for platform in declared), *(_few(others) if few else others)])


def _few(names: Sequence[str]) -> Sequence[str]:
    """The first three, and how many more there are."""
    return names if len(names) <= 3 else [*names[:3], f"(+{len(names) - 3})"]


def _problems(view: NodeView) -> Iterator[str]:
    """Returns the node's errors; one that several pods have is said once, with their number."""
    if status_of(view) == "at rest":
        return
    if view.error:
        yield view.error
    found: dict[str, list[str]] = {}
    for pod in view.pods:
        if pod.error:
            found.setdefault(pod.error, []).append(pod.pod.name)
        elif not pod.pod.ready and not view.error:
            why = "terminating" if pod.pod.terminating else pod.pod.reason or pod.pod.phase
            found.setdefault(why, []).append(pod.pod.name)
    for text, names in found.items():
        yield f"{several(names)}: {text}"


def _node_lines(view: NodeView) -> list[str]:
    node = view.node
    facts = {
        "Name": node.name,
        "Endpoint": _endpoint(node),
        "Status": status_of(view),
        "Error": view.error,
        "Driver Options": "" if node.address else _options(node),
        "Platforms": ", ".join(f"{platform}*" for platform in node.platforms),
    }
    lines = _aligned(facts)
    for pod in view.pods:
        lines += _pod_lines(pod)
    return lines


def _options(node: NodeOutput) -> str:
    """Returns the driver options in the builder output, as docker buildx writes them."""
    seconds = node.timeout_seconds
    told = {
        "loadbalance": node.loadbalance,
        "namespace": node.namespace,
        "replicas": str(node.replicas),
        "rootless": "true" if node.rootless else "",
        "timeout": f"{seconds:g}s",
    }
    return " ".join(f'{key}="{value}"' for key, value in told.items() if value)


def _pod_lines(view: PodView) -> list[str]:
    pod = view.pod
    state = "terminating" if pod.terminating else "ready" if pod.ready else pod.reason or pod.phase
    facts = {"Pod": pod.name, "State": state, "Kubernetes node": pod.kubernetes_node, "Error": view.error}
    lines = _aligned({**facts, **_load(view.load)}, 1)
    for worker in view.workers:
        facts = {
            "BuildKit version": worker.buildkit_version,
            "Platforms": ", ".join(map(str, worker.platforms)),
            "Devices": ", ".join(worker.devices),
        }
        lines += _aligned(facts, 1)
        if worker.labels:
            lines.append(" Labels:")
            lines += _aligned(dict(sorted(worker.labels.items())), 2)
        for number, policy in enumerate(worker.gc_policies):
            lines.append(f" GC Policy rule#{number}:")
            lines += _aligned(_policy(policy), 2)
    return lines


def _load(load: PodLoad | None) -> dict[str, str]:
    if load is None:
        return {}
    cache = "" if load.cache is None else human_size(load.cache)
    if load.cache and load.reclaimable is not None:
        cache += f" ({human_size(load.reclaimable)} reclaimable)"
    return {"Running builds": "" if load.builds is None else str(load.builds), "Build cache": cache}


def _policy(policy: Mapping[str, Any]) -> dict[str, str]:
    filters = policy.get("filters") or ()
    amounts = {"reservedSpace": "Reserved Space", "maxUsedSpace": "Max Used Space", "minFreeSpace": "Min Free Space"}
    kept = int(policy.get("keepDuration") or 0) // 1_000_000_000
    return {
        "All": str(bool(policy.get("all"))).lower(),
        "Filters": " ".join(map(str, filters)),
        "Keep Duration": f"{kept // 3600}h{kept % 3600 // 60}m{kept % 60}s" if kept else "",
        **{text: _binary(int(policy[key])) for key, text in amounts.items() if policy.get(key)},
    }


def _binary(count: int) -> str:
    """Bytes in units of 1024, four digits of them: `9.313GiB`."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_BINARY_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.4g}{_BINARY_UNITS[unit]}"


def _pod_json(view: PodView) -> dict[str, Any]:
    pod = view.pod
    return {
        "name": pod.name,
        "ready": pod.ready and not pod.terminating,
        "terminating": pod.terminating,
        "reason": pod.reason,
        "kubernetesNode": pod.kubernetes_node,
        "error": view.error,
        **({"load": view.load._asdict()} if view.load else {}),
        "workers": [
            {
                "id": worker.id,
                "buildkit": worker.buildkit_version,
                "platforms": [str(platform) for platform in worker.platforms],
                "labels": dict(worker.labels),
                "gcPolicies": [dict(policy) for policy in worker.gc_policies],
            }
            for worker in view.workers
        ],
    }


def _aligned(facts: Mapping[str, str], indent: int = 0) -> list[str]:
    # Labels of a daemon's name their keys, too.
    shown = {one_line(key): one_line(value) for key, value in facts.items() if value}
    width = max((len(key) for key in shown), default=0) + 1
    return [f"{' ' * indent}{key + ':':<{width}} {value}" for key, value in shown.items()]
