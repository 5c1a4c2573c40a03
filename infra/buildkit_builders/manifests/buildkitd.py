"""BuildKit's configuration in a pod: buildkitd.toml and certificates in a ConfigMap, named after its contents.

A changed setting is another ConfigMap, so that the pods are rolled, and pods of before keep the one that they had.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from buildkit_builders.manifests.child import Child
from buildkit_builders.manifests.endpoint import endpoint_args
from buildkit_builders.manifests.patch import merged
from buildkit_builders.options import Options
from buildkit_builders.options.buildkitd import ENTITLEMENT_FLAG, seconds_text
from buildkit_builders.spec import NodeSpec

__all__ = ["buildkitd_args", "config_map", "config_mount", "config_volume"]

_VOLUME = "buildkitd-config"
_FOLDER = "/etc/buildkit"
_FILE = "buildkitd.toml"
# docker buildx allows it for every builder whose pods have their own network.
_ALLOWED = f"{ENTITLEMENT_FLAG}=network.host"


def buildkitd_args(options: Options) -> list[str]:
    """The arguments of buildkitd."""
    flags, config = options.buildkitd_flags, _settings(options)
    said = "insecure-entitlements" in config or any(flag.startswith(ENTITLEMENT_FLAG) for flag in flags)
    return [
        *flags,
        *([] if said else [_ALLOWED]),
        # Rootless, runc cannot make a PID namespace with a /proc of its own (BuildKit, docs/rootless.md).
        *(["--oci-worker-no-process-sandbox"] if options.rootless else []),
        *([f"--config={_FOLDER}/{_FILE}"] if config else []),
        *endpoint_args(options),
    ]


def config_map(node: NodeSpec) -> Child | None:
    """The ConfigMap with the node's configuration; None if BuildKit's own is not changed."""
    files = _files(node.options)
    if not files:
        return None
    metadata = {"name": _name(node), "namespace": node.namespace, "labels": dict(node.selector)}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": files}
    return Child("buildkitd-config", manifest, named_anew=True)


def config_volume(node: NodeSpec) -> list[dict[str, Any]]:
    """The pod's volume with the ConfigMap, and with certificates from Secrets and ConfigMaps; empty for none."""
    if not _settings(node.options):
        return []
    sources: list[dict[str, Any]] = [{"configMap": {"name": _name(node)}}]
    for kind, name, items in _references(node.options):
        sources.append({kind: {"name": name, "items": [{"key": key, "path": path} for key, path in items.items()]}})
    return [{"name": _VOLUME, "projected": {"sources": sources}}]


def config_mount(options: Options) -> list[dict[str, Any]]:
    """Where BuildKit's container has that volume; empty for none."""
    return [{"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True}] if _settings(options) else []


def _name(node: NodeSpec) -> str:
    digest = hashlib.sha256(json.dumps(_files(node.options), sort_keys=True).encode()).hexdigest()
    return f"{node.workload}-buildkitd-{digest[:10]}"


def _files(options: Options) -> dict[str, str]:
    settings = _settings(options)
    if not settings:
        return {}
    import tomli_w  # few nodes have settings

    files = {_FILE: tomli_w.dumps(_sorted(settings))}
    for host, registry in sorted(options.buildkitd_registry.items()):
        for number, certificate in enumerate(registry.get("ca", [])):
            if isinstance(certificate, str) and not certificate.startswith("/"):
                files[_certificate(host, number)] = certificate
    return files


def _sorted(value: Any) -> Any:
    """The order in which settings are given must not roll the pods."""
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def _certificate(host: str, number: int) -> str:
    """A file's name: a ConfigMap's keys have no `:`, `[` or `]`."""
    return f"ca-{''.join(c if c.isalnum() or c in '.-' else '_' for c in host)}-{number}.crt"


def _references(options: Options) -> list[tuple[str, str, dict[str, str]]]:
    """What the configuration takes from other objects: kind, name, and the file of each key."""
    found: list[tuple[str, str, dict[str, str]]] = []
    for host, registry in sorted(options.buildkitd_registry.items()):
        for number, one in enumerate(registry.get("ca", [])):
            if isinstance(one, Mapping):
                kind = "secret" if "secret" in one else "configMap"
                found.append((kind, one[kind.lower()], {one["key"]: _certificate(host, number)}))
        for number, secret in enumerate(registry.get("keypair", [])):
            pair = {f"tls.{what}": _pair(host, number, what) for what in ("crt", "key")}
            found.append(("secret", secret, pair))
    return found


def _pair(host: str, number: int, what: str) -> str:
    return f"{_certificate(host, number).removeprefix('ca-').removesuffix('.crt')}-client.{what}"


def _settings(options: Options) -> dict[str, Any]:
    """All settings, as in buildkitd.toml: those of the user's own file, and over them those of options."""
    age = options.buildkitd_history_max_age
    worker = {
        "gc": options.buildkitd_gc_enabled,
        "reservedSpace": options.buildkitd_gc_reserved_space,
        "maxUsedSpace": options.buildkitd_gc_max_used_space,
        "minFreeSpace": options.buildkitd_gc_min_free_space,
        "gcpolicy": options.buildkitd_gc_policies,
        "max-parallelism": options.buildkitd_max_parallelism,
    }
    entitlements = options.buildkitd_entitlements
    settings = {
        "log": {"format": options.buildkitd_log_format, "level": options.buildkitd_log_level},
        "worker": {"oci": worker},
        "registry": {host: _registry(host, one) for host, one in options.buildkitd_registry.items()},
        "dns": dict(options.buildkitd_dns),
        "history": {
            "maxAge": None if age is None else seconds_text(age),
            "maxEntries": options.buildkitd_history_max_entries,
        },
        "otel": {"socketPath": options.buildkitd_otel_socket_path},
    }
    given = _given(settings)
    if entitlements is not None:
        given = {"insecure-entitlements": list(entitlements), **given}
    return merged(options.buildkitd_config, given)


def _registry(host: str, registry: Mapping[str, Any]) -> dict[str, Any]:
    written = {name: value for name, value in registry.items() if name not in ("ca", "keypair")}
    paths = [
        one if isinstance(one, str) and one.startswith("/") else f"{_FOLDER}/{_certificate(host, number)}"
        for number, one in enumerate(registry.get("ca", []))
    ]
    pairs = [
        {"cert": f"{_FOLDER}/{_pair(host, number, 'crt')}", "key": f"{_FOLDER}/{_pair(host, number, 'key')}"}
        for number in range(len(registry.get("keypair", [])))
    ]
    return {**written, "ca": paths, "keypair": pairs}


def _given(value: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not set, at any depth."""
    deep = {name: _given(one) if isinstance(one, dict) else one for name, one in value.items()}
    return {name: one for name, one in deep.items() if one not in (None, "", [], {}, ())}
