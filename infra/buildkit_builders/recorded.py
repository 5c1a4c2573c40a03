"""Reads a builder's recorded cluster from the stack's state, while the program runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pulumi

from buildclient.contract.cluster import Cluster
from buildclient.contract.output import BuilderOutput, OutputError

__all__ = [
    "BUILDER_TYPE",
    "NODE_TYPE",
    "PROVIDER_TYPE",
    "WORKLOAD_TYPES",
    "Recorded",
    "Resource",
    "kind_of",
    "only_mocks",
    "read_recorded",
    "read_short_names",
    "read_workloads",
    "recorded_in",
    "short_names_in",
]

BUILDER_TYPE = "builder:index:Builder"
NODE_TYPE = "builder:index:BuilderNode"
PROVIDER_TYPE = "pulumi:providers:kubernetes"
WORKLOAD_TYPES = ("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet")
_AUTOSCALER_TYPES = (
    "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
    "kubernetes:keda.sh/v1alpha1:ScaledObject",
)
_FUNCTION = "pulumi:pulumi:readStackResourceOutputs"
"""A function of Pulumi's engine: the outputs of all resources in a stack's last checkpoint, by URN."""

Resource = tuple[str, str, Mapping[str, Any]]
"""URN, type and outputs of a resource in a state."""

_states: dict[Any, tuple[Resource, ...] | None] = {}
"""By the engine's connection, since a script may run one program after another."""


class Recorded(NamedTuple):
    """A builder's cluster, as of the last update."""

    cluster: Cluster
    identifier: str = ""
    """`clusterIdentifier` of the builder's provider: another one would replace every object."""
    context: str = ""
    """The context that the provider is bound to; empty for one that follows the current context."""
    kubeconfig: str = ""
    """The path of the provider's kubeconfig, if it was given one."""
    own_kubeconfig: bool = False
    """Whether the provider carries the contents of a kubeconfig, and so goes nowhere else."""


def read_recorded(name: str) -> Recorded | None:
    """What is recorded of Builder `name` in the stack that runs; None where there is nothing, or only mocks run."""
    return dict(recorded_in(_read() or ())).get(name)


def read_short_names(name: str, nodes: Iterable[str]) -> frozenset[str]:
    """Which `nodes` of Builder `name` may be recorded without the builder's name before theirs (see `short_names_in`).

    All of them where the state cannot be read.
    """
    resources = _read()
    return frozenset(nodes) if resources is None else short_names_in(resources, name, nodes)


def kind_of(type_: str) -> str:
    """The kind of an object by its resource's type, such as `kubernetes:apps/v1:Deployment`."""
    return type_.rpartition(":")[2]


def read_workloads() -> frozenset[tuple[str, str, str]]:
    """Kind, namespace and name of the workloads in the stack that runs; empty where the state cannot be read.

    Without those that have an autoscaler of the stack's own: once no option asks for it, it goes.
    """
    found, autoscaled = set(), set()
    for _, type_, outputs in _read() or ():
        metadata, spec = outputs.get("metadata"), outputs.get("spec")
        if not isinstance(metadata, Mapping):
            continue
        namespace = _text(metadata.get("namespace"))
        if type_ in WORKLOAD_TYPES:
            found.add((kind_of(type_), namespace, _text(metadata.get("name"))))
        elif type_ in _AUTOSCALER_TYPES and isinstance(spec, Mapping):
            target = spec.get("scaleTargetRef")
            target = target if isinstance(target, Mapping) else {}
            autoscaled.add((_text(target.get("kind")), namespace, _text(target.get("name"))))
    return frozenset(found - autoscaled)


def short_names_in(resources: Iterable[Resource], name: str, nodes: Iterable[str]) -> frozenset[str]:
    """The `nodes` of Builder `name` whose resources a state holds as `<node>` and `<node>-…`, not `<builder>-<node>…`.

    Such a name is no builder's own: of several, the one whose output lists the node has it.
    """
    listed: set[str] | None = None
    taken: set[str] = set()
    names: set[str] = set()
    for urn, kind, outputs in resources:
        last = urn.rpartition("::")[2]
        if kind == BUILDER_TYPE and last == name:
            listed = set(_listed_nodes(outputs))
        elif kind == BUILDER_TYPE:
            taken |= set(_listed_nodes(outputs))
        elif f"{BUILDER_TYPE}${NODE_TYPE}" in urn:
            # a child is <node>-<kind>, and may be left alone by an update that was interrupted
            names.add(last if kind == NODE_TYPE else f"{last} {kind.rpartition(':')[2].lower()}")
    if listed is None:
        return frozenset()

    def is_short(node: str) -> bool:
        kinds = {one.partition(" ")[2] for one in names} - {""}
        pairs = [(node, f"{name}-{node}"), *((f"{node}-{k} {k}", f"{name}-{node}-{k} {k}") for k in kinds)]
        return any(short in names and long not in names for short, long in pairs)

    mine = listed or set(nodes) - taken  # an update that failed may have left no output
    return frozenset(node for node in nodes if node in mine and is_short(node))


def _listed_nodes(outputs: Mapping[str, Any]) -> Iterator[str]:
    output = outputs.get("output")
    nodes = output.get("nodes") if isinstance(output, Mapping) else None
    for node in nodes if isinstance(nodes, list | tuple) else ():
        if isinstance(node, Mapping) and isinstance(node.get("name"), str):
            yield node["name"]


def _read() -> tuple[Resource, ...] | None:
    """The resources of the stack that runs, as its last checkpoint has them; None where they cannot be read.

    Read once a program.
    """
    from pulumi.runtime import settings

    if only_mocks():
        return None
    monitor = settings.get_monitor()
    if monitor not in _states:
        _states.clear()
        _states[monitor] = _asked()
    return _states[monitor]


def _asked() -> tuple[Resource, ...] | None:
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        answer = pulumi.runtime.invoke(_FUNCTION, {"stackName": stack}).value
    except Exception as error:
        pulumi.log.warn(f"the stack's state cannot be read, so its cluster is not compared with this one: {error}")
        return None
    outputs = answer.get("outputs") if isinstance(answer, Mapping) else None
    return tuple(
        (str(urn), str(one.get("type")), one.get("outputs") or {})
        for urn, one in (outputs or {}).items()
        if isinstance(one, Mapping)
    )


def only_mocks() -> bool:
    """Whether the program runs under `pulumi.runtime.set_mocks`, without an engine and a cluster."""
    from pulumi.runtime import mocks, settings

    return isinstance(settings.get_monitor(), mocks.MockMonitor)


def recorded_in(resources: Any) -> Iterator[tuple[str, Recorded]]:
    """Builders by name, from (URN, type, outputs) of a stack's resources; those without a provider of their own not.

    Outputs may be foreign or of an older version; what cannot be read is empty.
    """
    listed = list(resources)
    providers = {urn.rpartition("::")[2]: outputs for urn, kind, outputs in listed if kind == PROVIDER_TYPE}
    for urn, kind, outputs in listed:
        if kind != BUILDER_TYPE:
            continue
        name = urn.rpartition("::")[2]
        provider = providers.get(f"{name}-kubernetes")
        if provider is None:
            continue
        try:
            cluster = BuilderOutput.from_json(outputs.get("output")).cluster
        except (OutputError, AttributeError):
            cluster = Cluster()
        kubeconfig = provider.get("kubeconfig")
        path = kubeconfig if isinstance(kubeconfig, str) and "\n" not in kubeconfig and "{" not in kubeconfig else ""
        yield (
            name,
            Recorded(
                cluster,
                _text(provider.get("clusterIdentifier")),
                _text(provider.get("context")),
                path,
                kubeconfig is not None and not path,
            ),
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
