"""The options of a node whose number of pods an autoscaler sets.

References: HorizontalPodAutoscaler of autoscaling/v2 (Kubernetes 1.36), ScaledObject of keda.sh/v1alpha1 (KEDA 2.17).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from buildkit_builders.options import values
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.row import Kind, OptionRow
from buildkit_builders.options.structure import ANY, structure

__all__ = ["AUTOSCALE", "AUTOSCALE_ROWS", "KEDA", "MAX_REPLICAS", "AutoscaleOptions", "check_autoscale"]

AUTOSCALE = "autoscale."
_MIN, MAX_REPLICAS, _CPU, _MEMORY = (AUTOSCALE + name for name in ("min-replicas", "max-replicas", "cpu", "memory"))
_DOWN, _BEHAVIOR, _METRICS, KEDA = (AUTOSCALE + name for name in ("scale-down-after", "behavior", "metrics", "keda"))
_LONGEST_WINDOW = 3600
"""Seconds that Kubernetes allows for `stabilizationWindowSeconds`."""
_MOST = 2**31 - 1
_PERCENT = re.compile(r"([0-9]{1,4})%?\Z")
_NONE: Mapping[str, Any] = MappingProxyType({})
_RULES = {
    "stabilizationWindowSeconds": int,
    "selectPolicy": str,
    "policies": [{"type!": str, "value!": int, "periodSeconds!": int}],
    "tolerance": ANY,
}
_METRIC = {
    "type!": str, "resource": ANY, "containerResource": ANY, "pods": ANY, "object": ANY, "external": ANY,
}  # fmt: skip
_TRIGGER = {
    "type!": str, "name": str, "metadata": ANY, "metricType": str, "authenticationRef": {"name!": str, "kind": str},
    "useCachedMetrics": bool,
}  # fmt: skip
_SCALED_OBJECT = {
    "triggers!": [_TRIGGER], "pollingInterval": int, "cooldownPeriod": int, "initialCooldownPeriod": int,
    "idleReplicaCount": int, "fallback": ANY, "advanced": ANY,
}  # fmt: skip
_KEDA_EXAMPLE = '{"triggers":[{"type":"cron","metadata":{"timezone":"UTC","start":"0 7 * * 1-5",' + (
    '"end":"0 19 * * 1-5","desiredReplicas":"4"}}]}'
)
_read_keda = structure(_SCALED_OBJECT, '{"triggers":[…]}')


@dataclass(frozen=True)
class AutoscaleOptions:
    """The values of these options."""

    autoscale_min_replicas: int
    autoscale_max_replicas: int | None
    """None where no autoscaler is asked for."""
    autoscale_cpu: int | None
    """Percent of the request; so is the next one."""
    autoscale_memory: int | None
    autoscale_scale_down_after: int | None
    """Seconds."""
    autoscale_behavior: Mapping[str, Any]
    autoscale_metrics: list[dict[str, Any]]
    autoscale_keda: Mapping[str, Any]

    @property
    def is_autoscaled(self) -> bool:
        """Whether an autoscaler sets the number of pods."""
        return self.autoscale_max_replicas is not None


def _percent(raw: object) -> int:
    allowed = "give a percentage of the request, from 1 to 1000, such as 80"
    found = _PERCENT.match(values.text_of(int(raw) if isinstance(raw, float) and raw.is_integer() else raw, allowed))
    if not found or not 1 <= int(found[1]) <= 1000:
        raise InvalidValue(allowed)
    return int(found[1])


def _window(raw: object) -> int:
    seconds = values.whole_seconds(raw)
    if seconds > _LONGEST_WINDOW:
        raise InvalidValue("give at most 1h, Kubernetes' limit")
    return seconds


def _keda(raw: object) -> dict[str, Any]:
    found: dict[str, Any] = _read_keda(raw)
    if not found["triggers"]:
        raise InvalidValue("give at least one trigger")
    for number, trigger in enumerate(found["triggers"]):
        metadata = trigger.get("metadata", {})
        if not isinstance(metadata, dict) or any(isinstance(one, dict | list) for one in metadata.values()):
            raise InvalidValue(f"triggers[{number}].metadata must be a mapping of texts", given=metadata)
        # KEDA takes texts alone, and YAML makes numbers and booleans of some.
        trigger["metadata"] = {key: _text(one) for key, one in metadata.items()}
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


_COUNT = Kind("whole number", "integer", values.integer(0, _MOST))
_MOST_COUNT = Kind("whole number", "integer", values.integer(1, _MOST))
_SHARE = Kind("percentage", "integer", _percent)

AUTOSCALE_ROWS = (
    OptionRow(
        MAX_REPLICAS,
        _MOST_COUNT,
        None,
        default_text="no autoscaler",
        example="8",
        about="The most pods that an autoscaler may start; it makes a HorizontalPodAutoscaler, which then sets the "
        "number of pods ([scaling.md](scaling.md)).",
        empty_is_unset=True,
    ),
    OptionRow(
        _MIN,
        _COUNT,
        1,
        default_text="`1`",
        example="2",
        about="The fewest pods that the autoscaler leaves; with `autoscale.keda` also 0.",
        empty_is_unset=True,
    ),
    OptionRow(
        _CPU,
        _SHARE,
        None,
        default_text="`80` without another metric",
        example="70",
        about="The share of BuildKit's CPU request that is used on average, in percent: above it pods are added.",
        empty_is_unset=True,
    ),
    OptionRow(
        _MEMORY,
        _SHARE,
        None,
        example="80",
        about="The same for memory.",
        empty_is_unset=True,
    ),
    OptionRow(
        _DOWN,
        Kind("duration", "string", _window),
        None,
        default_text="Kubernetes' 5 minutes",
        example="15m",
        about="How long fewer pods must have been enough before some are taken away "
        "(`stabilizationWindowSeconds`), at most `1h`.",
        empty_is_unset=True,
    ),
    OptionRow(
        _BEHAVIOR,
        Kind(
            "mapping or JSON",
            "object",
            structure({"scaleUp": _RULES, "scaleDown": _RULES}, '{"scaleDown":{…}}'),
            "Part",
        ),
        _NONE,
        example='{"scaleDown":{"policies":[{"type":"Pods","value":1,"periodSeconds":60}]}}',
        about="The autoscaler's `behavior`: how fast it adds pods and takes them away.",
    ),
    OptionRow(
        _METRICS,
        Kind("list or JSON", "array", structure([_METRIC], '[{"type":"External",…}]'), "Parts"),
        [],
        example='[{"type":"External","external":{"metric":{"name":"ci_jobs_waiting"},'
        '"target":{"type":"AverageValue","averageValue":"2"}}}]',
        about="More `metrics` of the HorizontalPodAutoscaler.",
    ),
    OptionRow(
        KEDA,
        Kind("mapping or JSON", "object", _keda, "Part"),
        _NONE,
        example=_KEDA_EXAMPLE,
        about="Makes a ScaledObject of KEDA instead, with these `triggers` and, if given, `pollingInterval`, "
        "`cooldownPeriod`, `idleReplicaCount`, `fallback`, `advanced`.",
    ),
)


def check_autoscale(given: Mapping[str, Any], problems: Problems) -> None:
    """Check these options against each other and the rest; what does not go together is added to `problems`."""
    if given.get(MAX_REPLICAS) is None:
        for name in given:
            if name.startswith(AUTOSCALE):
                problems.at(name).add(None, f"it needs {MAX_REPLICAS}, such as 8")
    else:
        _check_counts(given, problems)
        _check_metrics(given, problems)


def _check_counts(given: Mapping[str, Any], problems: Problems) -> None:
    least, most = given.get(_MIN, 1), given[MAX_REPLICAS]
    if "replicas" in given:
        fewest = max(1, given["replicas"])
        allowed = f"an autoscaler sets the number of pods: leave out replicas, and give {_MIN}={fewest}"
        problems.at("replicas").add(given["replicas"], allowed)
    if least > most:
        problems.at(_MIN).add(least, f"give at most {MAX_REPLICAS}, {most}")
    if not least and not given.get(KEDA):
        allowed = f"a HorizontalPodAutoscaler keeps at least 1 pod; for none, give scale-to-zero.after, or {KEDA}"
        problems.at(_MIN).add(0, allowed)
    idle = given.get(KEDA, {}).get("idleReplicaCount")
    if idle is not None and idle >= least:
        problems.at(KEDA).at("idleReplicaCount").add(idle, f"give fewer than {_MIN}, {least}")


def _check_metrics(given: Mapping[str, Any], problems: Problems) -> None:
    keda = given.get(KEDA)
    if keda and given.get(_METRICS):
        problems.at(_METRICS).add(None, f"KEDA has no such list: give them as triggers of {KEDA}")
    others = given.get(_MEMORY) is not None or given.get(_METRICS) or keda
    for name, resource, default in ((_CPU, "cpu", None if others else 80), (_MEMORY, "memory", None)):
        share = given.get(name, default)
        if share is not None and not _requested(given, resource):
            allowed = f"it is a share of the request: give requests.{resource}"
            problems.at(name).add(share, allowed, "or default-requests=true")
    window = given.get(_BEHAVIOR, {}).get("scaleDown", {}).get("stabilizationWindowSeconds")
    if window is not None and given.get(_DOWN) is not None:
        problems.at(_DOWN).add(f"{given[_DOWN]}s", f"{_BEHAVIOR} says {window} s; say it once")


def _requested(given: Mapping[str, Any], resource: str) -> bool:
    """Whether BuildKit's container has a request; what a patch does to it is not looked at."""
    names = (f"requests.{resource}", f"limits.{resource}")
    return bool(given.get("default-requests") or given.get("pod-patch")) or any(given.get(name) for name in names)
