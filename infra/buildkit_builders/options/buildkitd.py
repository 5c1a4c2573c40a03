"""The options of BuildKit's own configuration: flags and buildkitd.toml (BuildKit 0.34, docs/buildkitd.toml.md)."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from buildkit_builders.options import values
from buildkit_builders.options.kinds import BOOLEAN
from buildkit_builders.options.problems import InvalidValue, Problems, nearest
from buildkit_builders.options.quantity import BYTES, Quantity, read_quantity
from buildkit_builders.options.row import Kind, OptionRow
from buildkit_builders.options.structure import ANY, plain, structure

__all__ = ["BUILDKITD_ROWS", "ENTITLEMENT_FLAG", "BuildkitdOptions", "check_buildkitd"]

ENTITLEMENT_FLAG = "--allow-insecure-entitlement"
_OURS = (
    "addr",
    "config",
    "root",
    "rootless",
    "oci-worker-no-process-sandbox",
    "tlscert",
    "tlskey",
    "tlscacert",
    "tlsdir",
)
"""Flags on which the pod's probes, volumes and options rest."""
_PORT = "a port is for clients with a certificate alone: endpoint.secret or endpoint.issuer opens it"
_HINTS = dict.fromkeys(("addr", "address", "tls", "tlscert", "tlskey", "tlscacert", "tlsdir"), _PORT)
_LONGEST = 64 * 1024
"""Of a config, in characters; a ConfigMap has 1 MiB at most."""
_NONE: Mapping[str, Any] = MappingProxyType({})
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?\Z")
_PERCENT = re.compile(r"([0-9]{1,3})%\Z")
_ENTITLEMENT = re.compile(r"network\.host|security\.insecure|device(?:=\S+)?")
_TOP = (
    "cache", "cdi", "compaction", "debug", "dns", "frontend", "grpc", "history", "insecure-entitlements", "log", "otel",
    "provenanceEnvDir", "proxyNetwork", "registry", "root", "system", "trace", "worker",
)  # fmt: skip
_FROM = {"secret": str, "configmap": str, "key": str}
_REGISTRY = structure(
    {"mirrors": [str], "http": bool, "insecure": bool, "ca": ANY, "keypair": ANY}, '{"mirrors":["mirror.example"]}'
)
_CA = structure(_FROM, '{"secret":"registry-ca"}')
_DNS = structure({"nameservers": [str], "options": [str], "searchDomains": [str]}, '{"nameservers":["10.0.0.10"]}')
_POLICIES = structure(
    [{
        "all": bool, "filters": [str], "keepDuration": str, "reservedSpace": ANY, "maxUsedSpace": ANY,
        "minFreeSpace": ANY,
    }],
    '[{"all":true,"maxUsedSpace":"40G"}]',
)  # fmt: skip
_SPACES = ("reservedSpace", "maxUsedSpace", "minFreeSpace")


@dataclass(frozen=True)
class BuildkitdOptions:
    """The values of these options."""

    buildkitd_flags: tuple[str, ...]
    buildkitd_config: Mapping[str, Any]
    """The user's own buildkitd.toml, read."""
    buildkitd_registry: Mapping[str, Mapping[str, Any]]
    """By host: `mirrors`, `http`, `insecure`; `ca`, a list of PEM texts, paths, and references to Secrets and
    ConfigMaps; `keypair`, names of Secrets."""
    buildkitd_gc_enabled: bool | None
    buildkitd_gc_reserved_space: str
    """Bytes, or a percentage; so are the next two."""
    buildkitd_gc_max_used_space: str
    buildkitd_gc_min_free_space: str
    buildkitd_gc_policies: list[dict[str, Any]]
    buildkitd_max_parallelism: int | None
    buildkitd_dns: Mapping[str, Any]
    buildkitd_entitlements: tuple[str, ...] | None
    buildkitd_log_format: str
    buildkitd_log_level: str
    buildkitd_history_max_age: float | None
    """Seconds."""
    buildkitd_history_max_entries: int | None
    buildkitd_otel_socket_path: str


def _flags(raw: object) -> tuple[str, ...]:
    allowed = "give flags of buildkitd, such as --debug"
    if isinstance(raw, str):
        try:
            raw = shlex.split(raw)
        except ValueError:
            raise InvalidValue("the quote is never closed") from None
    if not isinstance(raw, list | tuple) or not all(isinstance(one, str) and one for one in raw):
        raise InvalidValue(allowed)
    for flag in raw:
        name = flag.lstrip("-").partition("=")[0]
        if flag.startswith("-") and name in _OURS:
            raise InvalidValue("the pod sets this flag itself", _HINTS.get(name, ""), given=flag)
        if any(not char.isprintable() for char in flag):
            raise InvalidValue(allowed, given=flag)
    if raw and not raw[0].startswith("-"):
        raise InvalidValue(allowed, given=raw[0])
    return tuple(raw)


def _config(raw: object) -> dict[str, Any]:
    """A mapping, or TOML."""
    if isinstance(raw, str):
        if len(raw) > _LONGEST:
            raise InvalidValue(f"give at most {_LONGEST // 1024} KiB")
        try:
            raw = tomllib.loads(raw)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            raise InvalidValue(f"give the contents of a buildkitd.toml: {error}"[:200]) from None
    found = plain(raw)
    if not isinstance(found, dict):
        raise InvalidValue("give a mapping, or the contents of a buildkitd.toml")
    for name in found:
        if name not in _TOP:
            near = nearest(name, _TOP)
            hint = f'did you mean "{near}"?' if near else f"known: {', '.join(_TOP)}"
            raise InvalidValue("buildkitd.toml has no such setting", hint, given=name)
    for path in (("root",), ("grpc", "address"), ("grpc", "tls")):
        if _get(found, path) is not None:
            raise InvalidValue("the pod sets this itself", _HINTS.get(path[-1], ""), given=".".join(path))
    _no_nulls(found, "")
    return found


def _no_nulls(value: Any, path: str) -> None:
    """TOML has no null."""
    if value is None:
        raise InvalidValue(f"give {path} a value")
    for name, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        _no_nulls(one, f"{path}.{name}".lstrip("."))


def _get(found: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _host(text: str) -> None:
    if not _HOST.match(text):
        raise InvalidValue("give a registry's host, with its port if it has one", given=text)


def _registry(raw: object) -> dict[str, Any]:
    found: dict[str, Any] = _REGISTRY(raw)
    for mirror in found.get("mirrors", []):
        _host(mirror.partition("/")[0])
    if "ca" in found:
        given = found["ca"] if isinstance(found["ca"], list) else [found["ca"]]
        found["ca"] = [_certificate(one) for one in given]
    if "keypair" in found:
        given = found["keypair"] if isinstance(found["keypair"], list) else [found["keypair"]]
        found["keypair"] = [values.dns_subdomain(one.get("secret") if isinstance(one, dict) else one) for one in given]
    return found


def _certificate(raw: Any) -> str | dict[str, str]:
    """A PEM text, a path in the container, or where in the namespace the certificate is."""
    if isinstance(raw, str):
        if raw.startswith("/") or raw.lstrip().startswith("-----BEGIN CERTIFICATE-----"):
            return raw.strip() + ("" if raw.startswith("/") else "\n")
        raise InvalidValue('give a PEM certificate, a path in the container, or {"secret": NAME}', given=raw)
    found: dict[str, str] = {"key": "ca.crt", **_CA(raw)}
    if ("secret" in found) == ("configmap" in found):
        raise InvalidValue("ca needs either secret or configmap", given=raw)
    values.dns_subdomain(found.get("secret", found.get("configmap")))
    if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", found["key"]):
        raise InvalidValue("key must be one of a Secret or ConfigMap", given=found["key"])
    return found


def _space(raw: object) -> str:
    """Bytes as Kubernetes writes them, in digits, or a percentage of the disk: BuildKit's own `MB` means MiB."""
    if isinstance(raw, str) and (percent := _PERCENT.match(raw.strip())):
        if not 1 <= int(percent[1]) <= 100:
            raise InvalidValue("give 1% to 100%", given=raw)
        return raw.strip()
    try:
        return str(int(read_quantity(raw, BYTES).value))
    except InvalidValue as error:
        raise InvalidValue(error.allowed + ", or a percentage of the disk such as 60%", error.hint) from None


def _gc_policies(raw: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _POLICIES(raw)
    for policy in found:
        for name in _SPACES:
            if name in policy:
                policy[name] = _space(policy[name])
        if "keepDuration" in policy:
            policy["keepDuration"] = seconds_text(values.duration(policy["keepDuration"]))
    return found


def seconds_text(seconds: float) -> str:
    """A duration as Go reads it: whole seconds."""
    return f"{max(round(seconds), 1)}s"


def _entitlements(raw: object) -> tuple[str, ...]:
    """The entitlements that builds may ask for; an empty list or `none` for not even network.host."""
    parts = raw.strip().strip('"').split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise InvalidValue("give a list of network.host, security.insecure, device")
    for one in parts if list(parts) != ["none"] else ():
        if not isinstance(one, str) or not _ENTITLEMENT.fullmatch(one.strip()):
            raise InvalidValue("give a list of network.host, security.insecure, device, or none", given=one)
    return () if list(parts) == ["none"] else tuple(dict.fromkeys(one.strip() for one in parts))


def _path(raw: object) -> str:
    text = values.text_of(raw, "give an absolute path")
    if not text.startswith("/") or not text.isprintable():
        raise InvalidValue("give an absolute path")
    return text


_SPACE = Kind("bytes or percentage", "string", _space, "str | int")
_LEVELS = ("trace", "debug", "info", "warn", "error")


def _row(name: str, kind: Kind, default: Any, example: str, about: str, default_text: str = "") -> OptionRow:
    text = default_text or "BuildKit's own"
    return OptionRow(f"buildkitd.{name}", kind, default, example, about, text, kind.json not in ("object", "array"))


BUILDKITD_ROWS = (
    _row(
        "flags", Kind("flags", "array", _flags, "Texts"), (), "--debug --oci-worker-net=host",
        "Flags of buildkitd, as of docker buildx's `--buildkitd-flags`.",
        f"`{ENTITLEMENT_FLAG}=network.host`, unless entitlements are given",
    ),
    _row(
        "config", Kind("mapping or TOML", "object", _config, "Part"), _NONE, "worker.oci.snapshotter = 'native'",
        "The whole buildkitd.toml, or what the options below do not have; they override it one by one.", "none",
    ),
    OptionRow(
        "buildkitd.registry.", Kind("mapping or JSON", "object", _registry, "RegistryArgs"), _NONE,
        'docker.io={"mirrors":["mirror.example"]}',
        "What BuildKit does with the registry of that host: `mirrors`, `http`, `insecure`, `ca`, `keypair`. In "
        "structured config also `buildkitd.registry`, a mapping by host.",
        check_key=_host,
    ),
    _row("gc.enabled", BOOLEAN, None, "false", "Whether BuildKit deletes old cache."),
    _row("gc.reserved-space", _SPACE, "", "10G", "Cache that garbage collection never goes below."),
    _row("gc.max-used-space", _SPACE, "", "40G", "Cache above it is deleted."),
    _row("gc.min-free-space", _SPACE, "", "10%", "How much of the disk garbage collection tries to keep free."),
    _row(
        "gc.policies", Kind("list or JSON", "array", _gc_policies, "Parts"), [],
        '[{"all":true,"maxUsedSpace":"40G"}]',
        "Rules of garbage collection, tried in order: `all`, `filters`, `keepDuration`, `reservedSpace`, "
        "`maxUsedSpace`, `minFreeSpace`.",
    ),
    _row(
        "max-parallelism", Kind("whole number", "integer", values.integer(1, 2**31 - 1)), None, "4",
        "How many steps each pod runs at the same time.", "no limit",
    ),
    _row(
        "dns", Kind("mapping or JSON", "object", _DNS, "Part"), _NONE, '{"nameservers":["10.0.0.10"]}',
        "What builds resolve names with: `nameservers`, `options`, `searchDomains`.", "as the pod",
    ),
    _row(
        "entitlements", Kind("list of entitlements", "array", _entitlements, "Texts"), None,
        "network.host,security.insecure",
        "What builds may be allowed beyond the ordinary: `network.host`, `security.insecure`, `device`; or `none`.",
        "`network.host`",
    ),
    _row("log-format", Kind("text or json", "string", values.choice(("text", "json"))), "", "json", "BuildKit's log."),
    _row(
        "log-level", Kind("log level", "string", values.choice(_LEVELS)), "", "debug",
        "What is logged: " + ", ".join(f"`{one}`" for one in _LEVELS) + ".",
    ),
    _row(
        "history.max-age", Kind("duration", "string", values.duration), None, "48h",
        "How long builds are kept in the history.",
    ),
    _row(
        "history.max-entries", Kind("whole number", "integer", values.integer(0, 2**31 - 1)), None, "200",
        "How many builds are kept in the history.",
    ),
    _row(
        "otel-socket-path", Kind("path", "string", _path), "", "/run/otel/otel-grpc.sock",
        "The socket of an OpenTelemetry collector, mounted by `volumemounts`.", "none",
    ),
)  # fmt: skip


def check_buildkitd(given: Mapping[str, Any], problems: Problems) -> None:
    """Check these options against each other and the size of the state; what is wrong is added to `problems`."""
    by_flag = any(flag.startswith(ENTITLEMENT_FLAG) for flag in given.get("buildkitd.flags", ()))
    for name, there in (
        ("buildkitd.entitlements", given.get("buildkitd.entitlements")),
        ("buildkitd.config", given.get("buildkitd.config", {}).get("insecure-entitlements")),
    ):
        if by_flag and there is not None:
            problems.at(name).add(None, f"buildkitd.flags have {ENTITLEMENT_FLAG}, which overrides it; say it once")
    least, most = _bytes(given, "reserved-space"), _bytes(given, "max-used-space")
    if least is not None and most is not None and least > most:
        problems.at("buildkitd.gc.reserved-space").add(str(least), f"it is at most buildkitd.gc.max-used-space, {most}")
    _check_size(given, problems)


def _check_size(given: Mapping[str, Any], problems: Problems) -> None:
    """Garbage collection that begins above what the volume holds never begins."""
    sizes = ("persistent-volume-claim.requests.storage", "buildkit-root-volume-memory", "limits.ephemeral-storage")
    name = next((one for one in sizes if given.get(one) is not None), "")
    if not name:
        return
    size: Quantity = given[name]
    places = [(f"buildkitd.gc.{one}", _bytes(given, one)) for one in ("reserved-space", "max-used-space")]
    for number, policy in enumerate(given.get("buildkitd.gc.policies", [])):
        places += [(f"buildkitd.gc.policies[{number}].{one}", _digits(policy.get(one, ""))) for one in _SPACES[:2]]
    for place, amount in places:
        if amount is not None and amount >= size.value:
            problems.at(place).add(str(amount), f"it must be less than what there is, {name}={size}")


def _bytes(given: Mapping[str, Any], name: str) -> int | None:
    return _digits(given.get(f"buildkitd.gc.{name}", ""))


def _digits(text: str) -> int | None:
    return int(text) if text.isdigit() else None
