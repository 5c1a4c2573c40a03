"""How a build's record is shown: its name, its details as docker buildx prints them, the same as JSON."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from buildclient.base.units import short_duration
from buildclient.cli.tables import tabbed
from buildclient.daemon.buildname import build_name

if TYPE_CHECKING:
    from buildclient.upkeep import FoundRecord

__all__ = ["ATTACHMENT_TYPES", "record_json", "record_text"]

ATTACHMENT_TYPES = {
    "index": ("application/vnd.oci.image.index.v1+json",),
    "manifest": ("application/vnd.oci.image.manifest.v1+json",),
    "image": ("application/vnd.oci.image.config.v1+json",),
    "provenance": ("https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"),
    "sbom": ("https://spdx.dev/Document",),
}
"""Short names of attachments, and the types that they stand for."""
_CONFIG = {
    "force-network-mode": ("Network", "Network"),
    "hostname": ("Hostname", "Hostname"),
    "add-hosts": ("ExtraHosts", "Extra Hosts"),
    "cgroup-parent": ("CgroupParent", "Cgroup Parent"),
    "image-resolve-mode": ("ImageResolveMode", "Image Resolve Mode"),
    "multi-platform": ("MultiPlatform", "Multi-Platform"),
    "no-cache": ("NoCache", "No Cache"),
    "shm-size": ("ShmSize", "Shm Size"),
    "ulimit": ("Ulimit", "Resource Limits"),
    "memory": ("Memory", "Memory"),
    "memswap": ("MemorySwap", "Memory Swap"),
    "cpushares": ("CPUShares", "CPU Shares"),
    "cpuperiod": ("CPUPeriod", "CPU Period"),
    "cpuquota": ("CPUQuota", "CPU Quota"),
    "cpusetcpus": ("CPUSetCPUs", "CPUSet CPUs"),
    "cpusetmems": ("CPUSetMems", "CPUSet Mems"),
    "build-arg:BUILDKIT_CACHE_MOUNT_NS": ("CacheMountNS", "Cache Mount Namespace"),
    "build-arg:BUILDKIT_DOCKERFILE_CHECK": ("DockerfileCheckConfig", "Dockerfile Check Config"),
    "build-arg:SOURCE_DATE_EPOCH": ("SourceDateEpoch", "Source Date Epoch"),
    "build-arg:SANDBOX_HOSTNAME": ("SandboxHostname", "Sandbox Hostname"),
}
"""Attributes with a line of their own: their name in JSON and in text."""
_GROUPS = {"context:": ("NamedContexts", "NAMED CONTEXT"), "build-arg:": ("BuildArgs", "BUILD ARG")}
_GROUPS["label:"] = ("Labels", "LABEL")
_OWN = ("filename", "context", "target", "platform", "frontend.caps", "cache-imports")


def record_text(found: FoundRecord, sources: Sequence[str], step: tuple[str, Sequence[str]], now: float) -> str:
    """Returns the details of a record; `step` is the name and the last lines of the step that failed."""
    return "\n".join(_lines(found, sources, step, now))


def _lines(found: FoundRecord, sources: Sequence[str], step: tuple[str, Sequence[str]], now: float) -> Iterator[str]:
    record = found.record
    told = record_json(found, now)
    head = (
        ("Name", told.get("Name")),
        ("Ref", record.ref),
        ("Node", found.node),
        ("Pod", found.pod),
        ("Context", told.get("Context")),
        ("Dockerfile", told.get("Dockerfile")),
        ("VCS Repository", told.get("VCSRepository")),
        ("VCS Revision", told.get("VCSRevision")),
        ("Target", told.get("Target")),
        ("Platforms", ", ".join(told.get("Platform", []))),
    )
    yield from _facts(head)
    yield ""
    yield from _pairs(told, "context:")
    share = 100 * record.cached_steps / record.total_steps if record.total_steps else 0.0
    running = " (running)" if record.completed is None else ""
    yield from _facts(
        (
            ("Started", datetime.fromtimestamp(record.created).strftime("%Y-%m-%d %H:%M:%S")),
            ("Duration", short_duration(record.lasted(now)) + running),
            ("Status", "Canceled" if record.status == "Canceled" else ""),
            ("Error", record.error if record.status == "Error" else ""),
            ("Build Steps", f"{record.completed_steps}/{record.total_steps} ({share:.0f}% cached)"),
        )
    )
    yield ""
    config = [(text, str(told["Config"].get(name, ""))) for name, text in _CONFIG.values()]
    config += [(one["Name"], one["Value"]) for one in told["Config"].get("RestRaw", [])]
    if any(value for _, value in config):
        yield from _facts(config)
        yield ""
    yield from _pairs(told, "build-arg:")
    yield from _pairs(told, "label:")
    if record.attachments:
        yield "Attachments:"
        rows = [(one.digest, one.platform, one.type) for one in record.attachments]
        yield from tabbed([("DIGEST", "PLATFORM", "TYPE"), *rows])
        yield ""
    for source in sources:
        yield source
        yield ""
    if step[1]:
        yield from ("Logs:", f"> => {step[0]}:", *(f"> {line}" for line in step[1]), "")
    yield f"Print build logs: buildclient history logs {record.ref}"


def _facts(pairs: Sequence[tuple[str, str | None]]) -> list[str]:
    return tabbed([(f"{name}:", value) for name, value in pairs if value])


def _pairs(told: Mapping[str, Any], prefix: str) -> list[str]:
    name, title = _GROUPS[prefix]
    rows = [(one["Name"], one.get("Value", "")) for one in told.get(name, [])]
    return [*tabbed([(title, "VALUE"), *rows]), ""] if rows else []


def record_json(found: FoundRecord, now: float) -> dict[str, Any]:
    """Returns the details as an object, with docker buildx's names, and `Node` and `Pod`."""
    record, attrs = found.record, found.record.attrs
    remote = "context" in attrs
    folder = attrs.get("vcs:localdir:dockerfile", "")
    told: dict[str, Any] = {
        "Name": build_name(attrs),
        "Ref": record.ref,
        "Node": found.node,
        "Pod": found.pod,
        "Context": attrs.get("context", ""),
        "Dockerfile": posixpath.join(folder, attrs.get("filename", "")),
        "VCSRepository": "" if remote else attrs.get("vcs:source", ""),
        "VCSRevision": "" if remote else attrs.get("vcs:revision", ""),
        "Target": attrs.get("target", ""),
        "Platform": [one for one in attrs.get("platform", "").split(",") if one],
        "StartedAt": _moment(record.created),
        "CompletedAt": _moment(record.completed) if record.completed is not None else "",
        "Duration": int(record.lasted(now) * 1e9),
        "Status": {"Error": "failed"}.get(record.status, record.status.lower()),
        "Error": {"Message": record.error} if record.error else {},
        "NumCompletedSteps": record.completed_steps,
        "NumTotalSteps": record.total_steps,
        "NumCachedSteps": record.cached_steps,
        **{name: _group(attrs, prefix) for prefix, (name, _) in _GROUPS.items()},
        "Config": _config(attrs),
        "Attachments": [_attachment(one) for one in record.attachments],
    }
    kept = ("Config", "NumCompletedSteps", "NumTotalSteps", "NumCachedSteps")
    return {name: value for name, value in told.items() if value or name in kept}


def _attachment(one: Any) -> dict[str, str]:
    named = {"Digest": one.digest, "Platform": one.platform, "Type": one.type}
    return {name: value for name, value in named.items() if value}


def _group(attrs: Mapping[str, str], prefix: str) -> list[dict[str, str]]:
    chosen = sorted((key, value) for key, value in attrs.items() if key.startswith(prefix) and key not in _CONFIG)
    return [{"Name": key.removeprefix(prefix), "Value": value} for key, value in chosen]


def _config(attrs: Mapping[str, str]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for key, (name, _) in _CONFIG.items():
        if key not in attrs:
            continue
        value: Any = attrs[key]
        if name == "NoCache" and value:
            name, value = "NoCacheFilter", value.split(",")
        elif name in ("NoCache", "MultiPlatform"):
            value = value in ("", "true", "1")
        config[name] = value
    grouped = ("vcs:", "attest:", *_GROUPS)
    rest = sorted(key for key in attrs if key not in _CONFIG and key not in _OWN and not key.startswith(grouped))
    if rest:
        config["RestRaw"] = [{"Name": key, "Value": attrs[key]} for key in rest]
    return config


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat()
