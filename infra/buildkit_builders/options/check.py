"""From what was given to frozen options: reads every value, checks options against each other, lists all problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from buildkit_builders.options.pairs import Toleration
from buildkit_builders.options.problems import OptionErrors, Problems, Refused, nearest
from buildkit_builders.options.quantity import Quantity
from buildkit_builders.options.table import BY_NAME, NAMES, ROOTLESS_IMAGE, TABLE
from buildkit_builders.options.text import read_text

__all__ = ["OptionErrors", "Options", "build_options", "parse_driver_opts", "read_given", "read_values"]

# Spelt otherwise in buildx's documentation or in Kubernetes, and too far from the name for a guess by likeness.
_ALIASES = {
    "buildkit-root-folder-memory": "buildkit-root-volume-memory",
    "cpu": "requests.cpu",
    "memory": "requests.memory",
    "scheduler": "schedulername",
    "load": "default-load",
    "qemu": "qemu.install",
}
_NOT_YET = ("env.", "persistent-volume-claim.")
_ELSEWHERE = {
    "platform": "platforms are the node's, not among its driver-opts",
    "platforms": "platforms are the node's, not among its driver-opts",
    "name": "the name is the node's, not among its driver-opts",
}
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


@dataclass(frozen=True)
class Options:
    """The options of one node, every one with its value; made by `parse_driver_opts` or from config."""

    image: str
    namespace: str
    """Empty: the builder's."""
    default_load: bool
    replicas: int
    requests_cpu: Quantity | None
    requests_memory: Quantity | None
    requests_ephemeral_storage: Quantity | None
    limits_cpu: Quantity | None
    limits_memory: Quantity | None
    limits_ephemeral_storage: Quantity | None
    buildkit_root_volume_memory: Quantity | None
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

    def requests(self) -> dict[str, str]:
        """The requests by Kubernetes' resource name, in canonical form."""
        return self._resources("requests")

    def limits(self) -> dict[str, str]:
        """The limits by Kubernetes' resource name, in canonical form."""
        return self._resources("limits")

    def _resources(self, what: str) -> dict[str, str]:
        found = ((name, getattr(self, f"{what}_{name.replace('-', '_')}")) for name in _RESOURCES)
        return {name: str(quantity) for name, quantity in found if quantity is not None}


def parse_driver_opts(given: str | Iterable[str] | Mapping[str, object]) -> Options:
    """Frozen options from buildx's `--driver-opt` text, several such texts, or a mapping of option names.

    Raises OptionErrors with every problem: each names the option, what was given and what is allowed.
    """
    problems = Problems()
    values = read_values(read_given(given, "", problems), "", problems)
    options = build_options(values, "", problems)
    problems.raise_any()
    return options


def read_given(given: object, where: str, problems: Problems) -> dict[str, object]:
    """What was given for each option, not yet looked at, from text or structured config."""
    if given is None or given == "":
        return {}
    if isinstance(given, str):
        return read_text(given, where or "driver-opts", problems)
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    if isinstance(given, Iterable) and not isinstance(given, bytes):
        texts = list(given)
        if all(isinstance(text, str) for text in texts):
            return read_text(texts, where or "driver-opts", problems)
    problems.add(
        where or "driver-opts", given, "give a mapping of options, or text such as namespace=buildkit,replicas=2"
    )
    return {}


def read_values(given: Mapping[str, object], where: str, problems: Problems) -> dict[str, Any]:
    """The value of each option that was given, by name; unknown names and refused values become problems."""
    values: dict[str, Any] = {}
    for name, raw in given.items():
        row = BY_NAME.get(name)
        path = f"{where}.{name}" if where else name
        if row is None:
            _unknown(name, where or "driver-opts", problems)
        elif raw is None:
            problems.add(path, None, f"give a value, such as {row.example}")
        elif not (row.empty_is_unset and raw == ""):
            try:
                values[name] = row.kind.read(raw)
            except Refused as error:
                problems.refused(path, raw, error)
    return values


def build_options(values: Mapping[str, Any], where: str, problems: Problems) -> Options:
    """Options from the values read, defaults filled in; what does not fit together becomes a problem."""
    for resource in _RESOURCES:
        least, most = values.get(f"requests.{resource}"), values.get(f"limits.{resource}")
        if least is not None and most is not None and least.value > most.value:
            path = f"{where}.requests.{resource}" if where else f"requests.{resource}"
            problems.add(path, str(least), f"a request is at most its limit, limits.{resource}={most}")
    chosen = {row.field: values.get(row.name, row.default) for row in TABLE}
    if chosen["rootless"] and "image" not in values:
        chosen["image"] = ROOTLESS_IMAGE
    return Options(**chosen)


def _unknown(name: str, where: str, problems: Problems) -> None:
    if name.startswith(_NOT_YET):
        hint = "newer than the options known here"
    elif name in _ELSEWHERE:
        hint = _ELSEWHERE[name]
    elif name.lstrip("'\"").startswith("--driver-opt"):
        hint = "leave out --driver-opt"
    else:
        near = _ALIASES.get(name.lower()) or nearest(name, NAMES)
        hint = f'did you mean "{near}"?' if near else ""
    problems.unknown(where, name, NAMES, "option", hint)
