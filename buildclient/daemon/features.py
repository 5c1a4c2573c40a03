"""What older daemons lack. Pure: a request and a version in, a message out.

A daemon ignores fields and attributes that it does not know, so a build that needs a newer one would succeed with
something else. The versions are those of BuildKit's tags in which the feature's code first stands. Oldest daemon that
is served: v0.13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from buildclient.contract.patterns import pattern
from buildclient.request.solve import SolveRequest

__all__ = [
    "BUILD_FEATURES",
    "DISK_USAGE_AGE_LIMIT",
    "HISTORY_FILTERS",
    "HISTORY_FINALIZE",
    "PRUNE_SPACE_LIMITS",
    "Feature",
    "common_attrs",
    "known_version",
    "lacking",
    "refusal",
    "used_features",
]

Version = tuple[int, int]
"""Major and minor."""
_VERSION = pattern(r"v?(\d{1,6})\.(\d{1,6})(?:[.+-].*)?")
_UNKNOWN = (0, 0)
"""What a daemon built without its version says: `v0.0.0+unknown`."""
_ANCIENT = (0, 10)
"""Of a daemon that names no version: those before v0.11 cannot."""
_RESOURCES = ("memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "cpusetcpus", "cpusetmems")


class Feature(NamedTuple):
    """Something that not every daemon has."""

    text: str
    """For the message: `… has no TEXT`."""
    since: Version
    """The first version that has it."""
    used: Callable[[SolveRequest], bool] = lambda request: False
    """Whether a solve needs it; a query's feature is checked by who sends the query."""


BUILD_FEATURES: tuple[Feature, ...] = (
    Feature("several outputs in one build", (0, 13), lambda request: len(request.exporters) > 1),
    Feature("rewrite-timestamp of outputs", (0, 13), lambda request: _on(request, "rewrite-timestamp")),
    Feature(
        "contexts from another session", (0, 16), lambda request: _has_attr(request, "local-sessionid:")
    ),
    Feature("oci-artifact of outputs", (0, 19), lambda request: _on(request, "oci-artifact")),
    Feature("entitlement for devices", (0, 20), lambda request: any(map(_is_device, request.entitlements))),
    Feature(
        "provenance in SLSA's version 1", (0, 23),
        lambda request: "version=v1" in request.frontend_attrs.get("attest:provenance", "").split(","),
    ),
    Feature("mode=delete of outputs", (0, 31), lambda request: _exports(request, "local", "mode", "delete")),
    Feature("limits of resources", (0, 31), lambda request: any(name in request.frontend_attrs for name in _RESOURCES)),
)  # fmt: skip
"""What a build may need, oldest first."""
HISTORY_FINALIZE = Feature("traces in build records", (0, 15))
PRUNE_SPACE_LIMITS = Feature("limits of used and free space for pruning", (0, 17))
HISTORY_FILTERS = Feature("filters of build records", (0, 20))
DISK_USAGE_AGE_LIMIT = Feature("age limit of disk usage", (0, 22))


def used_features(request: SolveRequest) -> list[Feature]:
    """Returns the features that a solve needs; empty for nearly every build."""
    return [feature for feature in BUILD_FEATURES if feature.used(request)]


def known_version(text: str) -> Version | None:
    """Returns major and minor of a daemon's version; None for a build that does not know its own.

    `v0.31.0-rc1` counts as 0.31. A daemon that names none is older than v0.11.
    """
    if not text:
        return _ANCIENT
    found = _VERSION.fullmatch(text)
    version = (int(found[1]), int(found[2])) if found else _UNKNOWN
    return None if version == _UNKNOWN else version


def lacking(features: Sequence[Feature], version: str) -> list[Feature]:
    """Returns those of the features that a daemon of that version has not; none if the version is unknown."""
    known = known_version(version)
    return [] if known is None else [feature for feature in features if known < feature.since]


def refusal(features: Sequence[Feature], version: str, node: str) -> str:
    """Returns the message for features that a node's daemon lacks."""
    texts = dict.fromkeys(feature.text for feature in features)
    newest = max(feature.since for feature in features)
    daemon = f"BuildKit {version}" if version else "BuildKit, older than v0.11,"
    needed = ".".join(map(str, newest))
    return f"the builder's {daemon} has no {' and no '.join(texts)}: needs v{needed} or newer (node {node})"


def common_attrs(versions: Sequence[str]) -> Mapping[str, str]:
    """Returns attributes of image exporters that make nodes of these versions write the same kind of image.

    Since v0.31 an image's media types are OCI's, since v0.32 its attestations are OCI artifacts. Where only some nodes
    do so, all write OCI media types, and no artifacts. Empty where the nodes agree by themselves.
    """
    known = [version for text in versions if (version := known_version(text))]
    attrs = {}
    if len({version >= (0, 31) for version in known}) > 1:
        attrs["oci-mediatypes"] = "true"
    if len({version >= (0, 32) for version in known}) > 1:
        attrs["oci-artifact"] = "false"
    return attrs


def _has_attr(request: SolveRequest, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in request.frontend_attrs)


def _is_device(entitlement: str) -> bool:
    return entitlement.partition("=")[0] == "device"


def _exports(request: SolveRequest, kind: str, key: str, value: str) -> bool:
    return any(one.type == kind and one.attrs.get(key) == value for one in request.exporters)


def _on(request: SolveRequest, key: str) -> bool:
    return any(one.attrs.get(key, "false").lower() in ("true", "1", "t") for one in request.exporters)
