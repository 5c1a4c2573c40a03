"""Where each option of pods is in the manifest, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from buildkit_builders.manifests.workload import deployment
from buildkit_builders.options.check import read_given, read_values
from buildkit_builders.options.podspec import POD_ROWS
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.text import as_text
from buildkit_builders.spec import check_node

_CERTS = {"name": "certs", "secret": {"secretName": "ca"}}
_METRICS = {"name": "metrics", "image": "registry.example/metrics:v1"}
_ZONE = "topology.kubernetes.io/zone"


def _problems(opts: Any) -> list[str]:
    problems = Problems()
    check_node("n", {"driver-opts": opts}, problems)
    return [str(one).removeprefix("driver-opts.") for one in problems.found]


def _pod(**opts: Any) -> dict[str, Any]:
    problems = Problems()
    node = check_node("n", {"driver-opts": {key.replace("_", "-"): one for key, one in opts.items()}}, problems)  # type: ignore[typeddict-item]
    assert not problems.found, problems.found
    pod: dict[str, Any] = deployment(node)["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize(
    ("opts", "field", "value"),
    [
        ({"imagepullsecrets": "a,b"}, "imagePullSecrets", [{"name": "a"}, {"name": "b"}]),
        ({"affinity": {"podAntiAffinity": {}}}, "affinity", {"podAntiAffinity": {}}),
        (
            {"topologyspreadconstraints": [{"topologyKey": _ZONE}]},
            "topologySpreadConstraints",
            [
                {
                    "labelSelector": {"matchLabels": {"app": "n"}},
                    "maxSkew": 1,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "topologyKey": _ZONE,
                }
            ],
        ),
        ({"priorityclass": "builds"}, "priorityClassName", "builds"),
        ({"runtimeclass": "kata"}, "runtimeClassName", "kata"),
        ({"hostnetwork": True}, "hostNetwork", True),
        ({"hostnetwork": "true"}, "dnsPolicy", "ClusterFirstWithHostNet"),
        ({"hostnetwork": True, "dnspolicy": "Default"}, "dnsPolicy", "Default"),
        ({"hostusers": False}, "hostUsers", False),
        ({"hostaliases": {"a.example": "10.0.0.5"}}, "hostAliases", [{"ip": "10.0.0.5", "hostnames": ["a.example"]}]),
        (
            {"hostaliases": "a.example=10.0.0.5,b.example=10.0.0.5"},
            "hostAliases",
            [{"ip": "10.0.0.5", "hostnames": ["a.example", "b.example"]}],
        ),
        (
            {"hostaliases": [{"ip": "fd00::5", "hostnames": ["a"]}]},
            "hostAliases",
            [{"ip": "fd00::5", "hostnames": ["a"]}],
        ),
        ({"dnsconfig": {"searches": ["a.example"]}}, "dnsConfig", {"searches": ["a.example"]}),
        ({"securitycontext": {"fsGroup": 1000.0}}, "securityContext", {"fsGroup": 1000}),
        ({"serviceaccount.token": "false"}, "automountServiceAccountToken", False),
        ({"termination-grace-period": "30m"}, "terminationGracePeriodSeconds", 1800),
        ({"pod-patch": {"spec": {"enableServiceLinks": False}}}, "enableServiceLinks", False),
    ],
)
def test_each_option_is_a_field_of_the_pod(opts: dict[str, Any], field: str, value: Any) -> None:
    """The pod's spec has the value; a pod without the option does not."""
    assert _pod(**opts)[field] == value
    assert _pod().get(field) != value


def test_variables_are_sorted_and_texts() -> None:
    """The order in which they are given does not change the manifest; an empty value is none to the apiserver."""
    pod = _pod(**{"env.B": "", "env": {"A": 1}})
    assert pod["containers"][0]["env"] == [{"name": "A", "value": "1"}, {"name": "B"}]


def test_containers_and_volumes_are_added_behind_ours() -> None:
    """BuildKit's container stays the first, the emulators are installed first."""
    resources = {"requests": {"cpu": 0.1, "memory": "1024Mi"}}
    pod = _pod(
        sidecars=[{**_METRICS, "resources": resources}],
        initcontainers=[{"name": "first", "image": "busybox"}],
        volumes=[_CERTS],
        volumemounts=[{"name": "certs", "mountPath": "/certs"}],
        **{"qemu.install": True},
    )
    assert [one["name"] for one in pod["containers"]] == ["buildkitd", "metrics"]
    assert pod["containers"][1]["resources"] == {"requests": {"cpu": "100m", "memory": "1Gi"}}
    assert [one["name"] for one in pod["initContainers"]] == ["qemu", "first"]
    assert [one["name"] for one in pod["volumes"]] == ["state", "certs"]
    assert pod["containers"][0]["volumeMounts"][1] == {"name": "certs", "mountPath": "/certs"}


@pytest.mark.parametrize(
    ("text", "profile"),
    [
        ("unconfined", {"type": "Unconfined"}),
        ("runtime/default", {"type": "RuntimeDefault"}),
        ("localhost/a/b.json", {"type": "Localhost", "localhostProfile": "a/b.json"}),
    ],
)
def test_profiles_confine_rootless_buildkit(text: str, profile: dict[str, str]) -> None:
    """Each profile is a field of the container's security context, and only rootless BuildKit can have one."""
    context = _pod(rootless=True, seccomp=text, apparmor=text)["containers"][0]["securityContext"]
    assert context == {"seccompProfile": profile, "appArmorProfile": profile}
    assert "it needs rootless=true" in _problems({"seccomp": text})[0]


@pytest.mark.parametrize(
    ("opts", "requests"),
    [
        ({}, {"cpu": "250m", "memory": "512Mi"}),
        ({"requests.cpu": "2"}, {"cpu": "2", "memory": "512Mi"}),
        ({"limits.memory": "64Mi"}, {"cpu": "250m"}),
    ],
)
def test_default_requests_leave_what_is_given(opts: dict[str, Any], requests: dict[str, str]) -> None:
    """A request or limit of one's own takes the place of the default, which never is above a limit."""
    pod = _pod(**{"default-requests": True, **opts})
    assert pod["containers"][0]["resources"]["requests"] == requests
    assert "resources" not in _pod()["containers"][0]


def test_a_digest_pins_the_image() -> None:
    """An image with a digest stays as it is written."""
    image = "moby/buildkit:v0.34.2@sha256:" + "0" * 64
    assert _pod(image=image)["containers"][0]["image"] == image


def test_the_patch_has_the_last_word() -> None:
    """It changes what options said, by the container's name, and adds what has no option."""
    patch = {
        "metadata": {"annotations": {"a": "b"}},
        "spec": {"dnsPolicy": None, "containers": [{"name": "buildkitd", "envFrom": [{"secretRef": {"name": "p"}}]}]},
    }
    pod = _pod(dnspolicy="Default", pod_patch=json.dumps(patch))
    assert "dnsPolicy" not in pod
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "p"}}]
    assert pod["containers"][0]["image"]


@pytest.mark.parametrize("row", POD_ROWS, ids=lambda row: row.name)
def test_text_and_structured_values_are_the_same(row: Any) -> None:
    """Each example is read alike from buildx's text and from the mapping that its JSON is."""
    (name, text), *_ = row.sample.items()
    problems = Problems()
    from_text = read_values(read_given(as_text(row.sample), problems), problems)
    natural = json.loads(text) if text[:1] in "[{" else text
    assert from_text == read_values({name: natural}, problems)
    assert not problems.found
    assert from_text


@pytest.mark.parametrize(
    ("opts", "said"),
    [
        ({"env.a=b": "x"}, 'env.a=b: "a=b" is refused: give the name of a variable'),
        ({"env.A": []}, "env.A: [] is refused: give a string"),
        ({"env.A": "\0"}, "env.A: \"\\u0000\" is refused: give text that UTF-8 can hold"),
        ({"securitycontext": {"sysctls": [{"name": "a", "value": "\ud800"}]}}, "give text that UTF-8 can hold"),
        ({"affinity": {"podAffinity": 2**70}}, "give numbers of 64 bits"),
        ({"affinity": {"nodeAfinity": {}}}, 'affinity: "nodeAfinity" is refused: there is no such field (did you mean'),
        ({"affinity": "{"}, 'affinity: "{" is refused: give a mapping, or its JSON as text'),
        ({"affinity": "[" * 100000}, "give at most 64 KiB"),
        ({"affinity": "[" * 60000}, "give a mapping, or its JSON"),
        ({"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}},
         "podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0] needs podAffinityTerm"),
        ({"topologyspreadconstraints": [{}]}, "[0] needs topologyKey"),
        ({"topologyspreadconstraints": [{"topologyKey": "a", "whenUnsatisfiable": "x"}]}, "must be DoNotSchedule or"),
        ({"imagepullsecrets": "A"}, 'imagepullsecrets: "A" is refused: give a name'),
        ({"hostnetwork": True, "hostusers": False}, "hostusers: false is refused: a pod in its Kubernetes node's"),
        ({"hostaliases": "a=b"}, 'hostaliases: "b" is refused: give an IP address behind the name'),
        ({"hostaliases": "a"}, 'hostaliases: "a" is refused: give name=address pairs'),
        ({"network-policy": True, "hostnetwork": True}, "network-policy: true is refused: NetworkPolicies do not hold"),
        ({"endpoint.port": 1}, "endpoint.port: it needs endpoint.secret or endpoint.issuer: there is no port without"),
        ({"endpoint.secret": "a", "endpoint.issuer": "b"}, "endpoint.issuer: BuildKit's certificate comes from it or"),
        ({"endpoint.issuer": "Other/b"}, "give an Issuer's name, or ClusterIssuer/NAME"),
        ({"endpoint.secret": "a", "endpoint.address": "tcp://x:1"}, "give HOST or HOST:PORT"),
        ({"buildkitd.flags": "--addr tcp://0.0.0.0:1"}, "a port is for clients with a certificate alone"),
        ({"buildkitd.flags": "--tlscert=x"}, "a port is for clients with a certificate alone"),
        ({"buildkitd.config": {"grpc": {"address": ["tcp://:1"]}}}, "a port is for clients with a certificate alone"),
        ({"buildkitd.config": "[grpc.tls]\ncert='x'"}, "a port is for clients with a certificate alone"),
        (
            {"pod-patch": {"spec": {"containers": [{"name": "buildkitd", "args": ["--addr", "tcp://:1"]}]}}},
            "without client certificates anyone may build there",
        ),
        ({"dnspolicy": "None"}, 'dnspolicy: "None" is refused: it needs dnsconfig with nameservers'),
        ({"dnspolicy": "default"}, 'did you mean "Default"?'),
        ({"volumes": [{"name": "a"}]}, "a volume has a name and one source"),
        ({"volumes": [{"name": "state", "emptyDir": {}}]}, "the volume's name is reserved"),
        ({"volumemounts": [{"name": "a", "mountPath": "/a"}]}, '"a" is refused: there is no such volume among volumes'),
        ({"volumes": [_CERTS], "volumemounts": [{"name": "certs", "mountPath": "/var/lib"}]}, "BuildKit's state is"),
        ({"volumemounts": [{"name": "a", "mountPath": "a"}]}, "mountPath must be an absolute path"),
        ({"sidecars": [{"name": "buildkitd", "image": "a"}]}, "the container's name is reserved"),
        ({"sidecars": [{"name": "a", "imagee": "a"}]}, 'did you mean "image"?'),
        ({"sidecars": [_METRICS], "initcontainers": [_METRICS]}, "a sidecar has that name"),
        ({"sidecars": [_METRICS, _METRICS]}, "two have the same container"),
        ({"securitycontext": {"runAsUser": "x"}}, "runAsUser must be a whole number"),
        ({"rootless": True, "seccomp": "strict"}, "give Unconfined, RuntimeDefault or Localhost/"),
        ({"termination-grace-period": "1500ms"}, "give whole seconds"),
        ({"pod-patch": {"replicas": 1}}, 'pod-patch: "replicas" is refused: a pod template has no such field'),
        ({"pod-patch": {"spec": {"dnspolicy": 1}}}, 'spec has no such field (did you mean "dnsPolicy"?)'),
        ({"pod-patch": {"metadata": {"labels": {"app": "x"}}}}, 'the label "app" is reserved'),
        ({"pod-patch": {"spec": {"containers": [{"name": "buildkitd", "$patch": "delete"}]}}}, "buildkitd stays"),
        ({"pod-patch": {"spec": {"containers": [{}]}}}, "each with its name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(opts: dict[str, Any], said: str) -> None:
    """One problem, with the option's name, what was given, and what is allowed."""
    found = _problems(opts)
    assert len(found) == 1, found
    assert said in found[0]
