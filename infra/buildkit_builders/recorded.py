"""What the stack's state says of the cluster that a builder went to, read by the program while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pulumi

from buildclient.contract.cluster import Cluster
from buildclient.contract.output import BuilderOutput, OutputError

__all__ = ["BUILDER_TYPE", "PROVIDER_TYPE", "Recorded", "only_mocks", "read_recorded", "recorded_in"]

BUILDER_TYPE = "builder:index:Builder"
PROVIDER_TYPE = "pulumi:providers:kubernetes"
_FUNCTION = "pulumi:pulumi:readStackResourceOutputs"
"""A function of Pulumi's engine: the outputs of all resources in a stack's last checkpoint, by URN."""


class Recorded(NamedTuple):
    """A builder's cluster, as the last update left it."""

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
    if only_mocks():
        return None
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        answer = pulumi.runtime.invoke(_FUNCTION, {"stackName": stack}).value
    except Exception as error:
        pulumi.log.warn(f"the stack's state cannot be read, so its cluster is not compared with this one: {error}")
        return None
    outputs = answer.get("outputs") if isinstance(answer, Mapping) else None
    resources = (
        (str(urn), str(one.get("type")), one.get("outputs") or {})
        for urn, one in (outputs or {}).items()
        if isinstance(one, Mapping)
    )
    return dict(recorded_in(resources)).get(name)


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
