"""Provenance for the metadata file.

The daemon records a provenance for each platform, as SLSA 1 or 0.2; the metadata file holds SLSA 0.2, as docker
buildx writes it. Reference: build/provenance.go of buildx 0.38; solver/llbsolver/provenance/types of BuildKit.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildclient.base.errors import BuildFailed
from buildclient.base.gotext import is_bool, parse_bool
from buildclient.contract.jsontext import read_json

__all__ = ["Provenance", "metadata_mode", "provenance_entries"]

_KEY = "buildx.build.provenance"
_SLSA_1 = "https://slsa.dev/provenance/v1"
_BUILD_TYPE = "https://mobyproject.org/buildkit@v1"
# Fields of SLSA 1's internal parameters with a field of their own in 0.2; all others go into its environment.
_NOT_ENVIRONMENT = ("buildConfig", "builderPlatform", "targetPlatform")


class Provenance(NamedTuple):
    """A provenance as stored by the daemon."""

    predicate_type: str
    data: bytes


def metadata_mode(value: str) -> str:
    """Returns the mode in BUILDX_METADATA_PROVENANCE: `min` (the default), `max`, or empty for none."""
    if value == "disabled" or (is_bool(value) and not parse_bool(value)):
        return ""
    return "max" if value == "max" else "min"


def provenance_entries(found: Mapping[str, Provenance], mode: str) -> dict[str, str]:
    """Returns entries of an exporter's response; `found` is by platform, with an empty key for a result without one.

    Raises BuildFailed for data that is not a provenance.
    """
    return {
        f"{_KEY}/{platform}" if platform else _KEY: _encoded(provenance, mode) for platform, provenance in found.items()
    }


def _encoded(provenance: Provenance, mode: str) -> str:
    try:
        value = read_json(provenance.data)
        if provenance.predicate_type == _SLSA_1:
            value = _older(value)
        if not isinstance(value, dict):
            raise ValueError("no object")
    except (ValueError, AttributeError, TypeError):
        raise BuildFailed("the daemon's record of the build has a provenance that cannot be read") from None
    if mode == "min":
        value.pop("buildConfig", None)
        value.pop("metadata", None)
    return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def _older(value: Mapping[str, Any]) -> dict[str, Any]:
    """Converts SLSA 1 to 0.2, with the fields in Go's order."""
    definition, details = value.get("buildDefinition") or {}, value.get("runDetails") or {}
    outer, inner = definition.get("externalParameters") or {}, definition.get("internalParameters") or {}
    source = outer.get("configSource") or {}
    environment = {key: item for key, item in inner.items() if key not in _NOT_ENVIRONMENT}
    environment["platform"] = inner.get("builderPlatform", "")
    older = {
        "builder": {"id": (details.get("builder") or {}).get("id", "")},
        "buildType": _BUILD_TYPE,
        "materials": [_kept(uri=one.get("uri"), digest=one.get("digest")) for one in _listed(definition)],
        "invocation": {
            "configSource": _kept(uri=source.get("uri"), digest=source.get("digest"), entryPoint=source.get("path")),
            "parameters": outer.get("request") or {},
            "environment": dict(sorted(environment.items())),
        },
        "buildConfig": inner.get("buildConfig"),
        "metadata": _metadata(details["metadata"]) if details.get("metadata") else None,
    }
    if not older["materials"]:
        del older["materials"]
    return _kept(**older)


def _listed(definition: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(definition.get("resolvedDependencies") or ())


def _metadata(value: Mapping[str, Any]) -> dict[str, Any]:
    complete = value.get("buildkit_completeness") or {}
    found = _kept(
        buildInvocationID=value.get("invocationId"),
        buildStartedOn=value.get("startedOn"),
        buildFinishedOn=value.get("finishedOn"),
    )
    found["completeness"] = {
        "parameters": bool(complete.get("request")),
        "environment": True,
        "materials": bool(complete.get("resolvedDependencies")),
    }
    found["reproducible"] = bool(value.get("buildkit_reproducible"))
    found[f"{_BUILD_TYPE}#metadata"] = value.get("buildkit_metadata") or {}
    if value.get("buildkit_hermetic"):
        found[f"{_BUILD_TYPE}#hermetic"] = True
    return found


def _kept(**fields: Any) -> dict[str, Any]:
    return {key: item for key, item in fields.items() if item not in (None, "", {})}
