"""The rights to build with a builder: Roles with the verbs that the client uses, and bindings of who may build.

What a client may do is a table of grants; another right is another row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from buildclient.contract.output import config_map_name
from buildkit_builders.clients import ClientSpec, merged_clients
from buildkit_builders.manifests.child import Child
from buildkit_builders.manifests.rbac import Rule, role_and_binding, rule
from buildkit_builders.spec import BuilderSpec, NodeSpec

__all__ = ["client_access"]


class _Grant(NamedTuple):
    """A right that some clients have: one Role and one RoleBinding in each namespace where any of them has it."""

    name: str
    """Part of the objects' names; empty for the right to build."""
    wanted: Callable[[BuilderSpec, ClientSpec, str], bool]
    """Whether the client has it in that namespace."""
    rules: Callable[[BuilderSpec, str], list[Rule]]
    """The Role's rules in that namespace."""


def client_access(spec: BuilderSpec) -> tuple[Child, ...]:
    """The ServiceAccount of `clientServiceAccount`, unless it is in a namespace of its own; the Roles and RoleBindings.

    Empty if the builder names no clients.
    """
    children: list[Child] = []
    clients = list(spec.clients)
    if spec.client_service_account:
        elsewhere, _, account = spec.client_service_account.rpartition("/")
        clients.insert(0, ClientSpec("ServiceAccount", account, elsewhere or spec.namespace))
        if not elsewhere:
            metadata = {"name": account, "namespace": spec.namespace}
            children.append(_child(spec, "", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}))
    every = merged_clients(clients)
    for namespace in spec.namespaces:
        for grant in _GRANTS:
            subjects = [client.subject for client in every if grant.wanted(spec, client, namespace)]
            rules = grant.rules(spec, namespace)
            if subjects and rules:
                name = "-".join(filter(None, [spec.name.replace("_", "-"), "client", grant.name]))
                made = role_and_binding(name, namespace, rules, subjects)
                children += [_child(spec, grant.name, one) for one in made]
    return tuple(children)


def _child(spec: BuilderSpec, grant: str, manifest: dict[str, Any]) -> Child:
    namespace = manifest["metadata"]["namespace"]
    elsewhere = "" if namespace == spec.namespace else namespace
    return Child("-".join(filter(None, ["client", grant, manifest["kind"].lower(), elsewhere])), manifest)


def _nodes(spec: BuilderSpec, namespace: str) -> list[NodeSpec]:
    return [node for node in spec.nodes if node.namespace == namespace]


def _uses(spec: BuilderSpec, client: ClientSpec, namespace: str) -> bool:
    """Whether the client may use nodes in that namespace."""
    return any(not client.nodes or node.name in client.nodes for node in _nodes(spec, namespace))


def _output(spec: BuilderSpec, namespace: str) -> list[Rule]:
    """Where the pods are."""
    return [rule("configmaps", ["get"], [config_map_name(spec.name)])] if namespace == spec.namespace else []


def _build(spec: BuilderSpec, namespace: str) -> list[Rule]:
    rules = _output(spec, namespace)
    if _nodes(spec, namespace):
        # Which pods are ready, and which become so.
        rules.append(rule("pods", ["list", "watch"]))
        # An exec over WebSocket is a GET request; since Kubernetes 1.35 it needs create as well.
        rules.append(rule("pods/exec", ["get", "create"]))
    if any(node.options.max_parallel_builds for node in _nodes(spec, namespace)):
        # The places in the queues of full nodes; the place of a client that has died is taken away by another.
        verbs = ["list", "watch", "create", "patch", "delete"]
        rules.append(rule("leases", verbs, group="coordination.k8s.io"))
    return rules


def _workloads(
    spec: BuilderSpec, namespace: str, what: str, verbs: list[str], wanted: Callable[[NodeSpec], bool] = lambda _: True
) -> list[Rule]:
    """The same verbs for the workloads of the nodes there, by name, one rule a kind."""
    names: dict[str, list[str]] = {}
    for node in filter(wanted, _nodes(spec, namespace)):
        names.setdefault(f"{node.workload_kind.lower()}s{what}", []).append(node.workload)
    return [rule(resource, verbs, named, "apps") for resource, named in names.items()]


def _events(spec: BuilderSpec, namespace: str) -> list[Rule]:
    # The workload has conditions and the pods' labels; a quota or an admission policy is told in events alone.
    return [*_workloads(spec, namespace, "", ["get"]), rule("events", ["list"])] if _nodes(spec, namespace) else []


def _scale(spec: BuilderSpec, namespace: str) -> list[Rule]:
    return _workloads(spec, namespace, "/scale", ["get", "patch"])


def _wake(spec: BuilderSpec, namespace: str) -> list[Rule]:
    """Who may build may start the nodes that go to no pods by themselves."""
    return _workloads(spec, namespace, "/scale", ["get", "patch"], lambda node: node.options.rests)


_GRANTS = (
    _Grant(
        "",
        lambda spec, client, namespace: (
            _uses(spec, client, namespace) or (namespace == spec.namespace and not client.nodes)
        ),
        _build,
    ),
    _Grant(
        "output",
        lambda spec, client, namespace: (
            namespace == spec.namespace and bool(client.nodes) and not _uses(spec, client, namespace)
        ),
        _output,
    ),
    _Grant("events", lambda spec, client, namespace: client.events and _uses(spec, client, namespace), _events),
    _Grant("wake", lambda spec, client, namespace: not client.scale and _uses(spec, client, namespace), _wake),
    _Grant("scale", lambda spec, client, namespace: client.scale and _uses(spec, client, namespace), _scale),
)
