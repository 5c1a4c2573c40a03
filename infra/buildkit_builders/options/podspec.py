"""The options of a node's pods beyond those that docker buildx has; `env.*` alone is docker buildx's too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from buildkit_builders.options import podshapes, values
from buildkit_builders.options.kinds import BOOLEAN, SUBDOMAIN
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.row import Kind, OptionRow
from buildkit_builders.options.structure import plain

__all__ = ["DEFAULT_REQUESTS", "POD_ROWS", "PodOptions", "check_pod"]

DEFAULT_REQUESTS: Mapping[str, str] = MappingProxyType({"cpu": "250m", "memory": "512Mi"})
"""What an idle BuildKit needs and a small build begins with; a node's own requests and limits come first."""
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]{0,252}\Z")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_PROFILE = re.compile(r"Localhost/[^/\s][^\s]{0,252}\Z")
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class PodOptions:
    """The values of these options; those that are part of a manifest are as in the manifest."""

    env: Mapping[str, str]
    imagepullsecrets: tuple[str, ...]
    affinity: Mapping[str, Any]
    topologyspreadconstraints: list[dict[str, Any]]
    priorityclass: str
    runtimeclass: str
    hostnetwork: bool
    hostusers: bool | None
    hostaliases: Mapping[str, tuple[str, ...]]
    dnspolicy: str
    dnsconfig: Mapping[str, Any]
    volumes: list[dict[str, Any]]
    volumemounts: list[dict[str, Any]]
    sidecars: list[dict[str, Any]]
    initcontainers: list[dict[str, Any]]
    securitycontext: Mapping[str, Any]
    seccomp: str
    apparmor: str
    serviceaccount_token: bool | None
    termination_grace_period: int
    """Seconds."""
    wait_for_builds: bool
    default_requests: bool
    pod_patch: Mapping[str, Any]


def _variable(name: str) -> None:
    if not _VARIABLE.match(name):
        raise InvalidValue('give the name of a variable: letters, digits, "_", "-" and ".", no digit first', given=name)


def _value(raw: object) -> str:
    """A variable's value: any text, also an empty one, as docker buildx takes it."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if not isinstance(raw, str | int):
        raise InvalidValue("give a string")
    return str(plain(raw))


def _profile(raw: object) -> str:
    text = raw.strip() if isinstance(raw, str) else ""
    spelled = {"unconfined": "Unconfined", "runtimedefault": "RuntimeDefault", "runtime/default": "RuntimeDefault"}
    text = spelled.get(text.lower(), re.sub(r"(?i)\Alocalhost/", "Localhost/", text))
    if text not in spelled.values() and not _PROFILE.match(text):
        raise InvalidValue("give Unconfined, RuntimeDefault or Localhost/ and a profile's name")
    return text


_PROFILE_KIND = Kind("profile", "string", _profile)
_BY_DEFAULT = "Kubernetes' own"

POD_ROWS = (
    OptionRow(
        "env.",
        Kind("text", "string", _value, "Scalar"),
        _NONE,
        example="HTTP_PROXY=http://proxy.example:3128",
        about="Variables of BuildKit's environment, among them the proxies through which it pulls and pushes: "
        "`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`. In structured config also `env`, a mapping.",
        check_key=_variable,
    ),
    OptionRow(
        "imagepullsecrets",
        Kind("list of names", "array", podshapes.read_names, "Texts"),
        (),
        example="registry-login,mirror-login",
        about="Secrets with the credentials to pull the pods' images, not those of builds.",
    ),
    OptionRow(
        "affinity",
        Kind("mapping or JSON", "object", podshapes.read_affinity, "Affinity"),
        _NONE,
        example='{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":'
        '{"matchExpressions":[{"key":"disk","operator":"In","values":["ssd"]}]}}]}}',
        about="Which Kubernetes nodes and neighbours the pods need or prefer.",
    ),
    OptionRow(
        "topologyspreadconstraints",
        Kind("list or JSON", "array", podshapes.read_spread, "SpreadConstraints"),
        [],
        example='[{"topologyKey":"topology.kubernetes.io/zone"}]',
        about="How the pods spread over zones or nodes. By default `maxSkew` is 1, `whenUnsatisfiable` is "
        "`ScheduleAnyway`, and `labelSelector` finds the node's own pods.",
    ),
    OptionRow(
        "priorityclass",
        SUBDOMAIN,
        "",
        default_text="the cluster's default class",
        example="builds",
        about="The PriorityClass of the pods.",
        empty_is_unset=True,
    ),
    OptionRow(
        "runtimeclass",
        SUBDOMAIN,
        "",
        default_text="the cluster's default runtime",
        example="kata",
        about="The RuntimeClass of the pods, for one with a sandbox.",
        empty_is_unset=True,
    ),
    OptionRow(
        "hostnetwork",
        BOOLEAN,
        False,
        default_text="`false`",
        example="true",
        about="Whether the pods, and so all builds, use the network of their Kubernetes node.",
    ),
    OptionRow(
        "hostusers",
        BOOLEAN,
        None,
        default_text=_BY_DEFAULT,
        example="false",
        about="`false` gives each pod a user namespace: its root is nobody on the Kubernetes node.",
        empty_is_unset=True,
    ),
    OptionRow(
        "hostaliases",
        Kind("name=address pairs", "object", podshapes.read_host_aliases, "HostAliases"),
        _NONE,
        example="registry.example=10.0.0.5",
        about="Lines of the pods' `/etc/hosts`, for BuildKit's own pulls and pushes. Kubernetes' list of `ip` and "
        "`hostnames` is taken too.",
    ),
    OptionRow(
        "dnspolicy",
        Kind("DNS policy", "string", values.choice(_DNS_POLICIES)),
        "",
        default_text=_BY_DEFAULT + ", with hostnetwork `ClusterFirstWithHostNet`",
        example="Default",
        about="Where the pods resolve names: " + ", ".join(f"`{one}`" for one in _DNS_POLICIES) + ".",
        empty_is_unset=True,
    ),
    OptionRow(
        "dnsconfig",
        Kind("mapping or JSON", "object", podshapes.read_dns_config, "DnsConfig"),
        _NONE,
        example='{"nameservers":["10.0.0.10"]}',
        about="Name servers, search domains and options of the pods.",
    ),
    OptionRow(
        "volumes",
        Kind("list or JSON", "array", podshapes.read_volumes, "Volumes"),
        [],
        example='[{"name":"certs","secret":{"secretName":"registry-ca"}}]',
        about="More volumes of the pods, each a name and one source.",
    ),
    OptionRow(
        "volumemounts",
        Kind("list or JSON", "array", podshapes.read_mounts, "VolumeMounts"),
        [],
        example='[{"name":"certs","mountPath":"/etc/certs","readOnly":true}]',
        about="Where BuildKit's container has those volumes.",
    ),
    OptionRow(
        "sidecars",
        Kind("list or JSON", "array", podshapes.read_containers, "Containers"),
        [],
        example='[{"name":"metrics","image":"registry.example/metrics:v1"}]',
        about="Containers that run beside BuildKit's.",
    ),
    OptionRow(
        "initcontainers",
        Kind("list or JSON", "array", podshapes.read_init_containers, "Containers"),
        [],
        example='[{"name":"prepare","image":"busybox","command":["true"]}]',
        about="Containers that run before BuildKit's, after the emulators; with `restartPolicy: Always` also beside.",
    ),
    OptionRow(
        "securitycontext",
        Kind("mapping or JSON", "object", podshapes.read_security_context, "SecurityContext"),
        _NONE,
        example='{"fsGroup":1000}',
        about="The security context of the pod; BuildKit's container keeps its own.",
    ),
    OptionRow(
        "seccomp",
        _PROFILE_KIND,
        "",
        default_text="`Unconfined`",
        example="Localhost/buildkit.json",
        about="The seccomp profile of rootless BuildKit: it must allow what runc needs (`unshare`, `mount`, …).",
        empty_is_unset=True,
    ),
    OptionRow(
        "apparmor",
        _PROFILE_KIND,
        "",
        default_text="`Unconfined`",
        example="Localhost/buildkit",
        about="The AppArmor profile of rootless BuildKit: it must allow mounts.",
        empty_is_unset=True,
    ),
    OptionRow(
        "serviceaccount.token",
        BOOLEAN,
        None,
        default_text="as the ServiceAccount says",
        example="false",
        about="Whether the pods have the token of their ServiceAccount. BuildKit needs none: `false` is safer.",
        empty_is_unset=True,
    ),
    OptionRow(
        "termination-grace-period",
        Kind("duration", "string", values.whole_seconds),
        600,
        default_text="`10m`",
        example="1h",
        about="How long a pod that is to stop may finish its builds, in whole seconds. It goes as soon as they have "
        "ended ([reliability.md](reliability.md)).",
        empty_is_unset=True,
    ),
    OptionRow(
        "wait-for-builds",
        BOOLEAN,
        True,
        default_text="`true`",
        example="false",
        about="Whether a pod that is to stop serves its clients until the last of its builds has ended (a `preStop` "
        "hook). Without it BuildKit takes no further call of the builds that it finishes.",
        empty_is_unset=True,
    ),
    OptionRow(
        "default-requests",
        BOOLEAN,
        False,
        default_text="`false`",
        example="true",
        about="Whether pods request "
        + " and ".join(f"{amount} {what}" for what, amount in DEFAULT_REQUESTS.items())
        + " where neither a request nor a limit is given: a pod without any is the first to be evicted.",
    ),
    OptionRow(
        "pod-patch",
        Kind("mapping or JSON", "object", podshapes.read_patch, "Part"),
        _NONE,
        example='{"spec":{"enableServiceLinks":false}}',
        about="A merge patch of the pod template, for what has no option: [below](#pod-patch).",
    ),
)


def check_pod(given: Mapping[str, Any], problems: Problems) -> None:
    """Check the options of pods against each other; what does not go together is added to `problems`."""
    if given.get("hostnetwork") and given.get("hostusers") is False:
        problems.at("hostusers").add(False, "a pod in its Kubernetes node's network has no user namespace of its own")
    if given.get("dnspolicy") == "None" and not given.get("dnsconfig", {}).get("nameservers"):
        problems.at("dnspolicy").add("None", "it needs dnsconfig with nameservers")
    for name in ("seccomp", "apparmor"):
        if given.get(name) and not given.get("rootless"):
            problems.at(name).add(given[name], "it needs rootless=true: a privileged container is not confined")
    _check_volumes(given, problems)
    names = [one["name"] for option in ("sidecars", "initcontainers") for one in given.get(option, [])]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        problems.at("initcontainers").add(name, "a sidecar has that name")


def _check_volumes(given: Mapping[str, Any], problems: Problems) -> None:
    names = {one["name"] for one in given.get("volumes", [])}
    rootless = given.get("rootless", False)
    state = "/home/user/.local/share/buildkit" if rootless else "/var/lib/buildkit"
    for one in given.get("volumemounts", []):
        if one["name"] not in names:
            problems.at("volumemounts").add(one["name"], "there is no such volume among volumes")
        if f"{state}/".startswith(one["mountPath"].rstrip("/") + "/"):
            problems.at("volumemounts").add(one["mountPath"], "BuildKit's state is there; mount elsewhere")
