"""The guardrails of builders, one list: each looks at Kubernetes objects as they are to be, and says what is wrong.

The same list checks claims, by the objects that they come to (`policies.py`), and is the policy pack of Pulumi.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeGuard

from buildkit_builders.options.network import wants_certificates
from buildkit_builders.options.quantity import parse_quantity

__all__ = ["GUARDRAILS", "Finding", "Guardrail", "Rules", "find"]

Object = Mapping[str, Any]
"""A Kubernetes object, as in its manifest."""
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
_BUILDKIT = "buildkitd"
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")
_TOML = "buildkitd.toml"


class Rules(NamedTuple):
    """What guardrails need to know of the platform's file."""

    required_labels: tuple[str, ...] = ()
    may_be_privileged: Callable[[str], bool] = lambda namespace: False
    """Whether pods of a namespace may be privileged."""


class Guardrail(NamedTuple):
    """One guardrail."""

    name: str
    """As in `policies` of the platform's file."""
    about: str
    check: Callable[[Object, Sequence[Object], Rules], Iterator[str]]
    """What is wrong with an object among others; empty for objects that it is not about."""
    claim_key: str = ""
    """The key of a claim that decides it; empty where the platform's file does."""
    platform_key: str = ""
    """The key of the platform's file that decides it, `{size}` for the name of the claim's size class."""
    needs_others: bool = False
    """Whether it looks at the other objects of the stack."""


class Finding(NamedTuple):
    """What a guardrail has found."""

    guardrail: Guardrail
    object: Object
    text: str
    """What is wrong, in a line."""


def find(objects: Sequence[Object], rules: Rules) -> Iterator[Finding]:
    """What all guardrails find in a builder's objects."""
    for guardrail in GUARDRAILS:
        for one in objects:
            for text in guardrail.check(one, objects, rules):
                yield Finding(guardrail, one, text)


def _template(one: Object) -> Mapping[str, Any] | None:
    """The pod template of a workload; None for any other object."""
    spec = one.get("spec") or {}
    if one.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    elif one.get("kind") == "Pod":
        return one
    elif one.get("kind") not in _WORKLOADS:
        return None
    return spec.get("template") or {}


def _containers(one: Object, *, init: bool = True) -> Iterator[Mapping[str, Any]]:
    spec = (_template(one) or {}).get("spec") or {}
    for key in ("initContainers", "containers") if init else ("containers",):
        yield from spec.get(key) or ()


def _buildkit(one: Object) -> Mapping[str, Any] | None:
    """The container of a workload that runs BuildKit."""
    found = (container for container in _containers(one, init=False) if container.get("name") == _BUILDKIT)
    return next(found, None)


def _namespace(one: Object) -> str:
    return str((one.get("metadata") or {}).get("namespace") or "default")


def _requests(one: Object, others: Sequence[Object], rules: Rules) -> Iterator[str]:
    for container in _containers(one, init=False):
        resources = container.get("resources") or {}
        given = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        missing = [name for name in ("cpu", "memory") if not given.get(name)]
        if missing:
            yield f"container {container.get('name')} requests no {' and no '.join(missing)}"


def _image_digest(one: Object, others: Sequence[Object], rules: Rules) -> Iterator[str]:
    for container in _containers(one):
        image = str(container.get("image") or "")
        if not _DIGEST.search(image):
            yield f"image {image} of container {container.get('name')} has no digest: name@sha256:…"


def _disruption_budget(one: Object, others: Sequence[Object], rules: Rules) -> Iterator[str]:
    if one.get("kind") not in ("Deployment", "StatefulSet") or _buildkit(one) is None:
        return
    labels = ((_template(one) or {}).get("metadata") or {}).get("labels") or {}
    budgets = [other for other in others if _covers(other, labels, _namespace(one))]
    if not budgets:
        yield "there is no PodDisruptionBudget: a drain may evict all its pods at once"
    for budget in budgets:
        spec = budget["spec"]
        most, fewest = spec.get("maxUnavailable"), spec.get("minAvailable")
        replicas = (one.get("spec") or {}).get("replicas")
        if str(most) in ("0", "0%"):
            yield "its PodDisruptionBudget lets no pod be evicted (maxUnavailable 0): a drain waits for ever"
        elif str(fewest) == "100%" or (
            isinstance(fewest, int) and isinstance(replicas, int) and 0 < replicas <= fewest
        ):
            yield f"its PodDisruptionBudget lets no pod be evicted (minAvailable {fewest}): a drain waits for ever"


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int | float)


def _covers(budget: Object, labels: Mapping[str, Any], namespace: str) -> bool:
    if budget.get("kind") != "PodDisruptionBudget" or _namespace(budget) != namespace:
        return False
    wanted = ((budget.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def _cache_limit(one: Object, others: Sequence[Object], rules: Rules) -> Iterator[str]:
    volume = _volume(one) if _buildkit(one) is not None else None
    if volume is None:
        return
    most = _most_cache(one, others)
    if most is None:
        yield f"no limit of the cache is set (buildkitd.gc.max-used-space), and its volume holds {volume[0]}"
    elif most >= volume[1]:
        yield f"the cache may be {most} bytes, and its volume holds {volume[0]}: it fills before anything is deleted"


def _volume(one: Object) -> tuple[str, Fraction] | None:
    """What holds BuildKit's state, where that is a volume of its own: its size as text, and in bytes."""
    sizes = [
        (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
        for claim in (one.get("spec") or {}).get("volumeClaimTemplates") or ()
    ]
    try:
        return next(((str(size), parse_quantity(str(size)).value) for size in sizes if size), None)
    except ValueError:
        return None


def _most_cache(one: Object, others: Sequence[Object]) -> int | None:
    """The largest amount that garbage collection leaves, in bytes; None where it is a share, or not said."""
    text = _configuration(one, others)
    try:
        settings = tomllib.loads(text) if text else {}
    except tomllib.TOMLDecodeError:
        return None
    worker = settings.get("worker")
    oci = worker.get("oci") if isinstance(worker, dict) else None
    given = [oci.get("maxUsedSpace")] if isinstance(oci, dict) else []
    policies = oci.get("gcpolicy") if isinstance(oci, dict) else None
    given += [one.get("maxUsedSpace") for one in policies or () if isinstance(one, dict)]
    amounts = [int(one) for one in given if isinstance(one, int) or (isinstance(one, str) and one.isdigit())]
    return max(amounts, default=None)


def _configuration(one: Object, others: Sequence[Object]) -> str:
    """The contents of buildkitd.toml; empty for none."""
    names = set()
    for volume in ((_template(one) or {}).get("spec") or {}).get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        names |= {source["configMap"].get("name") for source in sources if source.get("configMap")}
    for other in others:
        metadata = other.get("metadata") or {}
        if other.get("kind") == "ConfigMap" and metadata.get("name") in names and _namespace(other) == _namespace(one):
            return str((other.get("data") or {}).get(_TOML) or "")
    return ""


def _no_open_tcp(one: Object, others: Sequence[Object], rules: Rules) -> Iterator[str]:
    container = _buildkit(one)
    if container is None:
        return
    words = [str(word) for key in ("command", "args") for word in container.get(key) or ()]
    try:
        grpc = tomllib.loads(_configuration(one, others)).get("grpc")
    except tomllib.TOMLDecodeError:
        grpc = None
    grpc = grpc if isinstance(grpc, dict) else {}
    given = grpc.get("address")
    addresses = [*words, *(given if isinstance(given, list) else [given] if isinstance(given, str) else [])]
    asks = wants_certificates(words) or bool((grpc.get("tls") or {}).get("ca"))
    for address in addresses:
        if "tcp://" in str(address) and not asks:
            yield f"BuildKit listens on {address} without asking for certificates: anyone who reaches it may build"


def _privileged(one: Object, others: Sequence[Object], rules: Rules) -> Iterator[str]:
    template = _template(one)
    if template is None or rules.may_be_privileged(_namespace(one)):
        return
    spec = template.get("spec") or {}
    where = f"namespace {_namespace(one)} may not have such pods"
    for container in _containers(one):
        if (container.get("securityContext") or {}).get("privileged"):
            yield f"container {container.get('name')} is privileged: {where}"
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"its pods have {name}: {where}"
    for volume in spec.get("volumes") or ():
        if volume.get("hostPath"):
            yield f"volume {volume.get('name')} is a folder of the Kubernetes node: {where}"


def _required_labels(one: Object, others: Sequence[Object], rules: Rules) -> Iterator[str]:
    if one.get("kind") not in ("Deployment", "StatefulSet"):
        return
    labels = (one.get("metadata") or {}).get("labels") or {}
    missing = [name for name in rules.required_labels if not labels.get(name)]
    if missing:
        yield f"it needs {'labels' if len(missing) > 1 else 'label'} {', '.join(missing)}"


GUARDRAILS = (
    Guardrail("requests", "Every container requests CPU and memory.", _requests, platform_key="sizes.{size}"),
    Guardrail("image-digest", "Every image is named by its digest.", _image_digest, platform_key="images"),
    Guardrail(
        "disruption-budget",
        "A builder has a PodDisruptionBudget, and one that a drain gets past.",
        _disruption_budget,
        platform_key="driver-opts",
        needs_others=True,
    ),
    Guardrail(
        "cache-limit",
        "The cache has a limit below the size of its volume.",
        _cache_limit,
        platform_key="sizes.{size}",
        needs_others=True,
    ),
    Guardrail(
        "no-open-tcp",
        "BuildKit listens on no port without asking clients for a certificate.",
        _no_open_tcp,
        platform_key="driver-opts",
        needs_others=True,
    ),
    Guardrail("privileged", "Pods are privileged only where they may be.", _privileged, claim_key="privileged"),
    Guardrail(
        "required-labels", "Workloads have the labels that the platform requires.", _required_labels, claim_key="labels"
    ),
)
"""The guardrails, in the order in which they are told."""
