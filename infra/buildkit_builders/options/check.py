"""Parses options: reads every value, checks options against each other, and lists all problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from buildkit_builders.options.autoscale import AutoscaleOptions, check_autoscale
from buildkit_builders.options.buildkitd import BuildkitdOptions, check_buildkitd
from buildkit_builders.options.claim import check_claim
from buildkit_builders.options.disruption import DisruptionOptions, check_disruption
from buildkit_builders.options.network import NetworkOptions, check_network
from buildkit_builders.options.pairs import Toleration
from buildkit_builders.options.podspec import DEFAULT_REQUESTS, PodOptions, check_pod
from buildkit_builders.options.problems import InvalidValue, Problems, nearest
from buildkit_builders.options.quantity import Quantity
from buildkit_builders.options.rest import RestOptions, check_rest
from buildkit_builders.options.sharing import SharingOptions
from buildkit_builders.options.table import ROOTLESS_IMAGE, TABLE, OptionTable
from buildkit_builders.options.text import read_text

__all__ = ["Options", "build_options", "check_together", "parse_driver_opts", "read_given", "read_values"]

# Names from buildx's documentation or Kubernetes that are too different to be found by similarity.
_ALIASES = {
    "buildkit-root-folder-memory": "buildkit-root-volume-memory",
    "cpu": "requests.cpu",
    "memory": "requests.memory",
    "scheduler": "schedulername",
    "load": "default-load",
    "qemu": "qemu.install",
    "env": "env.NAME",
}
_ELSEWHERE = {
    "platform": "platforms are the node's, not among its driver-opts",
    "platforms": "platforms are the node's, not among its driver-opts",
    "name": "the name is the node's, not among its driver-opts",
}
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


@dataclass(frozen=True)
class Options(
    AutoscaleOptions, RestOptions, DisruptionOptions, PodOptions, NetworkOptions, BuildkitdOptions, SharingOptions
):
    """The options of one node, every one with its value; names and units as in docs/options.md."""

    image: str
    namespace: str
    default_load: bool
    replicas: int
    requests_cpu: Quantity | None
    requests_memory: Quantity | None
    requests_ephemeral_storage: Quantity | None
    limits_cpu: Quantity | None
    limits_memory: Quantity | None
    limits_ephemeral_storage: Quantity | None
    buildkit_root_volume_memory: Quantity | None
    persistent_volume_claim_requests_storage: Quantity | None
    persistent_volume_claim_storage_class: str
    persistent_volume_claim_access_mode: str
    persistent_volume_claim_when_scaled: str
    persistent_volume_claim_when_deleted: str
    nodeselector: Mapping[str, str]
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    tolerations: tuple[Toleration, ...]
    serviceaccount: str
    schedulername: str
    timeout: float
    """Seconds."""
    rootless: bool
    loadbalance: str
    qemu_install: bool
    qemu_image: str

    @property
    def is_persistent(self) -> bool:
        """Whether each pod keeps BuildKit's state on a persistent volume."""
        return self.persistent_volume_claim_requests_storage is not None

    def counts(self) -> dict[str, Any]:
        """How many pods there are and may be, as the builder output has it: arguments of NodeOutput."""
        if not self.is_autoscaled:
            return {"replicas": self.replicas, **({"min_replicas": 0} if self.rests else {})}
        return {
            "replicas": max(1, self.autoscale_min_replicas),
            "min_replicas": 0 if self.rests else self.autoscale_min_replicas,
            "max_replicas": self.autoscale_max_replicas,
            # KEDA takes away pods that none of its triggers has asked for.
            "cluster_starts": bool(self.autoscale_keda),
        }

    def requests(self) -> dict[str, str]:
        """The requests by Kubernetes' resource name, in canonical form."""
        # Kubernetes makes a limit the request where there is none.
        defaults = {name: one for name, one in DEFAULT_REQUESTS.items() if name not in self.limits()}
        return {**(defaults if self.default_requests else {}), **self._resources("requests")}

    def limits(self) -> dict[str, str]:
        """The limits by Kubernetes' resource name, in canonical form."""
        return self._resources("limits")

    def _resources(self, what: str) -> dict[str, str]:
        found = ((name, getattr(self, f"{what}_{name.replace('-', '_')}")) for name in _RESOURCES)
        return {name: str(quantity) for name, quantity in found if quantity is not None}


def parse_driver_opts(given: str | Iterable[str] | Mapping[str, object], namespace: str = "default") -> Options:
    """Frozen options from buildx's `--driver-opt` text, several such texts, or a mapping of option names.

    `namespace` is that of options which name none. Raises OptionErrors with every problem: each names the option,
    what was given and what is allowed.

        >>> parse_driver_opts("replicas=2,requests.memory=1024Mi").requests()
        {'memory': '1Gi'}
    """
    problems = Problems(whole="driver-opts")
    values = read_values(read_given(given, problems), problems)
    check_together(values, problems)
    problems.raise_any()
    return build_options({"namespace": namespace, **values})


def read_given(given: object, problems: Problems) -> dict[str, object]:
    """What was given for each option, not yet looked at, from text or structured config."""
    if given is None or given == "":
        return {}
    if isinstance(given, str):
        return read_text(given, problems)
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    if isinstance(given, Iterable) and not isinstance(given, bytes):
        texts = list(given)
        if all(isinstance(text, str) for text in texts):
            return read_text(texts, problems)
    problems.add(given, "give a mapping of options, or text such as namespace=buildkit,replicas=2")
    return {}


def read_values(given: Mapping[str, object], problems: Problems, table: OptionTable = TABLE) -> dict[str, Any]:
    """The value of each option that was given, by name; unknown names and refused values become problems."""
    values: dict[str, Any] = {}
    for name, raw in _spread_families(given, table):
        row = table.row(name)
        if row is None:
            problems.unknown(name, table.names, "option", _hint(name, table))
        elif raw is None:
            problems.at(name).add(None, f"give a value, such as {row.example}")
        elif not (row.empty_is_unset and raw == ""):
            try:
                row.check_key(name.removeprefix(row.name))
                values[name] = row.kind.read(raw)
            except InvalidValue as error:
                problems.at(name).refused(raw, error)
    return values


def _spread_families(given: Mapping[str, object], table: OptionTable) -> Iterator[tuple[str, object]]:
    """The options by whole names: of a family that is given as a mapping, `env: {A: b}`, each as `env.A`."""
    for name, raw in given.items():
        family = table.row(f"{name}.x") if isinstance(raw, Mapping) and table.row(name) is None else None
        if isinstance(raw, Mapping) and family and family.name == f"{name}.":
            yield from ((f"{name}.{key}", value) for key, value in raw.items())
        else:
            yield name, raw


def check_together(values: Mapping[str, Any], problems: Problems) -> None:
    """Check options against each other; what does not go together, as a request above its limit, becomes a problem."""
    check_pod(values, problems)
    check_claim(values, problems)
    check_network(values, problems)
    check_disruption(values, problems)
    check_autoscale(values, problems)
    check_rest(values, problems)
    check_buildkitd(values, problems)
    for resource in _RESOURCES:
        least, most = values.get(f"requests.{resource}"), values.get(f"limits.{resource}")
        if least is not None and most is not None and least.value > most.value:
            allowed = f"a request is at most its limit, limits.{resource}={most}"
            problems.at(f"requests.{resource}").add(str(least), allowed)


def build_options(values: Mapping[str, Any]) -> Options:
    """Options from the values read, defaults filled in. The namespace, which no default is right for, must be there."""
    fields = TABLE.fields(values)
    if fields["rootless"] and "image" not in values:
        fields["image"] = ROOTLESS_IMAGE
    return Options(**{**fields, "namespace": values["namespace"]})


def _hint(name: str, table: OptionTable) -> str:
    """Suggests an option for an unknown name."""
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    if name.lstrip("'\"").startswith("--driver-opt"):
        return "leave out --driver-opt"
    near = _ALIASES.get(name.lower()) or nearest(name, table.names)
    return f'did you mean "{near}"?' if near else "docs/options.md lists them"
