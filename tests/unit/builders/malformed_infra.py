"""A corpus of wrong input for the Pulumi side, each with the name that its message must contain."""

from __future__ import annotations

from typing import Any

LONG = "a" * 64


def _each(name: str, *values: str) -> list[tuple[str, str]]:
    """One option with each of several wrong values."""
    return [(f"{name}={value}", name) for value in values]


# (option text, the option that the message names)
TEXTS: list[tuple[str, str]] = [
    # quoting and shape
    ('nodeselector="a=b', "driver-opts"),
    ('"nodeselector=a=b', "driver-opts"),
    ('"replicas=2"x', "driver-opts"),
    ('replicas="2"x', "driver-opts"),
    ('repl"icas=2', "driver-opts"),
    ('replicas=2"', "driver-opts"),
    ('"replicas=2",,', "driver-opts"),
    ("replicas", "replicas"),
    ("replicas=2,rootless", "rootless"),
    (",", "driver-opts"),
    ("=", "driver-opts"),
    ("=2", "driver-opts"),
    ("replicas:2", "replicas"),
    ("replicas=2;rootless=true", "replicas"),
    ("'replicas=2'", "driver-opts"),
    # names
    ("replica=2", "replicas"),
    ("Replicas=2", "replicas"),
    ("buildkit-root-folder-memory=6G", "buildkit-root-volume-memory"),
    ("buildkit_root_volume_memory=6G", "buildkit-root-volume-memory"),
    ("nodeSelector=a=b", "nodeselector"),
    ("node-selector=a=b", "nodeselector"),
    ("request.cpu=1", "requests.cpu"),
    ("requests.mem=1Gi", "requests.memory"),
    ("limit.memory=1Gi", "limits.memory"),
    ("limits.ephemeral=1Gi", "limits.ephemeral-storage"),
    ("toleration=key=a,value=b", "tolerations"),
    ("service-account=ci", "serviceaccount"),
    ("scheduler-name=x", "schedulername"),
    ("load-balance=sticky", "loadbalance"),
    ("qemu_install=true", "qemu.install"),
    ("qemu=true", "qemu.install"),
    ("qemu.img=x", "qemu.image"),
    ("cpu=2", "requests.cpu"),
    ("memory=2Gi", "requests.memory"),
    ("defaultload=true", "default-load"),
    ("time-out=1s", "timeout"),
    ("root-less=true", "rootless"),
    ("env.1FOO=bar", "env.1FOO"),
    ("persistent-volume-claim=1Gi", "persistent-volume-claim"),
    ("persistent-volume-claim.storageclass=x", "persistent-volume-claim.storage-class"),
    ("persistent-volume-claim.storage-class=x", "persistent-volume-claim.requests.storage"),
    ("persistent-volume-claim.when-scaled=Delete", "persistent-volume-claim.requests.storage"),
    (
        "persistent-volume-claim.requests.storage=1Gi,buildkit-root-volume-memory=1Gi",
        "persistent-volume-claim.requests.storage",
    ),
    ("platform=linux/amd64", "platform"),
    ("--driver-opt=replicas=2", "--driver-opt"),
    ("network=host", "network"),
    ("\x1b=,", "driver-opts"),
    ("\x1b[31mred=1,x", "driver-opts"),
    ("a" * 3000 + "=1,x", "driver-opts"),
    ("labels=a=b," + "c" * 3000, "labels"),
    ("nodeselector=a=b,c=d", "nodeselector"),
    ("tolerations=key=a,value=b", "tolerations"),
    ("labels=a=b,c=d", "labels"),
    ("annotations=a=b,c", "annotations"),
    # whole numbers
    *_each("replicas", "", "-1", "two", "1.5", "0x2", "1e3", "2147483648", "99999999999999999999"),
    *_each("replicas", "٣", "1_000", "+", "--1", "1 2", "true", "NaN", "∞"),
    # booleans
    *[
        (f"{name}={v}", name)
        for name in ("rootless", "default-load", "qemu.install")
        for v in ("", "yes", "no", "2", "on", "TrUe", "ture", "nil")
    ],
    # durations
    *[
        (f"timeout={v}", "timeout")
        for v in ("", "120", "0", "0s", "-5s", "5 s", "5sec", "1d", "m", "1h2", "1.2.3s", "inf", "s5", "9999999h", "5S")
    ],
    # quantities
    *[
        (f"{name}={v}", name)
        for name in ("requests.memory", "limits.memory", "requests.ephemeral-storage", "limits.ephemeral-storage")
        for v in ("4gb", "500m", "-1Gi", "1GiB", "1 Gi")
    ],
    *_each("requests.memory", "Gi", "1K", "1e", "1e1000", "9Ei9", "0x10", "1,5Gi", "1..5Gi"),
    *_each("requests.memory", "9223372036854775808", "16Ei", "1.5", "½Gi", "1" * 80),
    *_each("requests.cpu", "two", "0.0001", "1u", "-1", "100mm", "1%"),
    *_each("limits.cpu", "two", "0.0001", "1u", "-1", "100mm", "1%"),
    *_each("persistent-volume-claim.requests.storage", "0", "lots", "6g", "6GB", "-1G", "500m"),
    *_each("persistent-volume-claim.storage-class", "Fast", "a b", "-a"),
    *_each("persistent-volume-claim.access-mode", "ReadOnlyMany", "RWO", "rw"),
    *_each("persistent-volume-claim.when-scaled", "keep", "true"),
    *_each("persistent-volume-claim.when-deleted", "keep", "Recycle"),
    *_each("buildkit-root-volume-memory", "0", "lots", "6g", "6GB", "-1G"),
    ("requests.cpu=2,limits.cpu=1", "requests.cpu"),
    ("requests.memory=2Gi,limits.memory=2G", "requests.memory"),
    ("requests.ephemeral-storage=2,limits.ephemeral-storage=1", "requests.ephemeral-storage"),
    # names of objects
    *_each("namespace", "", "Build_Kit", "-a", "a-", "a.b", "a b", LONG, "ü", "a/b", "a\tb"),
    *_each("serviceaccount", "CI", "a_b", ".a", "a..b", "-", "a/b", "a" * 254),
    *_each("schedulername", "a b", "ü", "a" * 254),
    *_each("image", "https://a/b", "A/B:C", "a:b:c", "a@sha256:12", "a b", ":tag", "a//b", "a:", "@"),
    *_each("image", "docker-image://a", "a:" + "t" * 129),
    *_each("qemu.image", "Tonistiigi/Binfmt", "binfmt:", "/binfmt", "binfmt@latest", "b" * 600 + "!"),
    *_each("loadbalance", "", "stiky", "Random", "round-robin", "sticky;random", "1"),
    # pairs
    *[
        (f'{name}="{v}"', name)
        for name in ("nodeselector", "labels", "annotations")
        for v in ("", "a", "a=b,", "a=b,,c=d", "=b", "a=b,c", "/a=b", "a/=b", "a b=c", "A_/b=c", "-a=b", LONG + "=b")
    ],
    *_each("nodeselector", "a=b=c", "a=b;c=d", "a=b c", "a=" + LONG, "a=-b"),
    *_each("labels", "a=b=c", "a=b;c=d", "a=b c", "a=" + LONG, "a=-b"),
    ("labels=app=mine", "labels"),
    ("annotations=buildx.docker.com/platform=linux/amd64", "annotations"),
    ("annotations=buildx.docker.com/anything=x", "annotations"),
    # tolerations
    *[
        (f'tolerations="{v}"', "tolerations")
        for v in (
            "", "foo", "key", ";", "key=a;", "key=a,effect=Never", "key=a,operator=In", "keys=a", "value=b",
            "key=a,operator=exists,value=b", "operator=Equal,value=a", "key=a,tolerationSeconds=5",
            "key=a,effect=NoExecute,tolerationSeconds=five", "key=a b", "key=a,value=b c", "key=a,,value=b",
            "key=a,value=b,c=d", "effect=NoSchedule", "key=/a", "key=" + LONG,
        )
    ],
]  # fmt: skip

# (options as structured config, the option that the message names)
MAPPINGS: list[tuple[Any, str]] = [
    ({"replicas": True}, "replicas"),
    ({"replicas": 1.5}, "replicas"),
    ({"replicas": -1}, "replicas"),
    ({"replicas": None}, "replicas"),
    ({"replicas": [2]}, "replicas"),
    ({"replicas": {}}, "replicas"),
    ({"replicas": float("inf")}, "replicas"),
    ({"rootless": 2}, "rootless"),
    ({"rootless": None}, "rootless"),
    ({"rootless": []}, "rootless"),
    ({"timeout": 120}, "timeout"),
    ({"timeout": 1.5}, "timeout"),
    ({"timeout": True}, "timeout"),
    ({"timeout": {"seconds": 5}}, "timeout"),
    ({"requests.cpu": True}, "requests.cpu"),
    ({"requests.cpu": {"min": 1}}, "requests.cpu"),
    ({"requests.cpu": float("nan")}, "requests.cpu"),
    ({"requests.memory": 1.5}, "requests.memory"),
    ({"requests.memory": -1}, "requests.memory"),
    ({"requests": {"cpu": 1}}, "requests.cpu"),
    ({"limits": {"cpu": 1}}, "limits.cpu"),
    ({"image": True}, "image"),
    ({"image": 1.5}, "image"),
    ({"image": ["a"]}, "image"),
    ({"namespace": 1.5}, "namespace"),
    ({"namespace": ["a"]}, "namespace"),
    ({"serviceaccount": {"name": "a"}}, "serviceaccount"),
    ({"loadbalance": True}, "loadbalance"),
    ({"loadbalance": ["sticky"]}, "loadbalance"),
    ({"nodeselector": 5}, "nodeselector"),
    ({"nodeselector": True}, "nodeselector"),
    ({"nodeselector": {"a": None}}, "nodeselector"),
    ({"nodeselector": {"a": 1.10}}, "nodeselector"),
    ({"nodeselector": {"a": ["b"]}}, "nodeselector"),
    ({"nodeselector": {"a b": "c"}}, "nodeselector"),
    ({"nodeselector": ["a"]}, "nodeselector"),
    ({"nodeselector": [{"a": "b"}]}, "nodeselector"),
    ({"labels": {"app": "x"}}, "labels"),
    ({"labels": {"a": "x" * 64}}, "labels"),
    ({"labels": {"": "x"}}, "labels"),
    ({"annotations": {"buildx.docker.com/x": "y"}}, "annotations"),
    ({"annotations": {"a": {"b": "c"}}}, "annotations"),
    ({"annotations": {"a": "x" * 300_000}}, "annotations"),
    ({"tolerations": 5}, "tolerations"),
    ({"tolerations": [5]}, "tolerations"),
    ({"tolerations": [{}]}, "tolerations"),
    ({"tolerations": [{"key": "a", "operators": "Exists"}]}, "tolerations"),
    ({"tolerations": [{"key": "a", "effect": "NoScedule"}]}, "tolerations"),
    ({"tolerations": [{"key": ["a"]}]}, "tolerations"),
    ({"tolerations": [{"key": "a", "effect": "NoExecute", "tolerationSeconds": "soon"}]}, "tolerations"),
    ({"tolerations": {"key": "a", "operator": "exists", "value": "b"}}, "tolerations"),
    ({"": 1}, "driver-opts"),
    ({5: 1}, "driver-opts"),
    ({"replicas\n": 1}, "replicas"),
    (5, "driver-opts"),
    (True, "driver-opts"),
    ([1, 2], "driver-opts"),
    ([{"replicas": 2}], "driver-opts"),
]

_NODE = {"name": "a"}
# (a builder's config, the path that the message names)
CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"name": "Kube"}, "builder:name"),
    ({"name": "1kube"}, "builder:name"),
    ({"name": "ku be"}, "builder:name"),
    ({"name": "kube-"}, "builder:name"),
    ({"name": "a" * 64}, "builder:name"),
    ({"name": 5}, "builder:name"),
    ({"name": ["kube"]}, "builder:name"),
    ({"name": "kube/x"}, "builder:name"),
    ({"name": ""}, "builder:name"),
    ({}, "builder:name"),
    ({"name": "kube", "node": []}, "nodes"),
    ({"name": "kube", "replicas": 2}, "driver-opts"),
    ({"name": "kube", "create-namespace": True}, "createNamespace"),
    ({"name": "kube", "nodes": {}}, "builder:nodes"),
    ({"name": "kube", "nodes": "builder-amd64"}, "builder:nodes"),
    ({"name": "kube", "nodes": 5}, "builder:nodes"),
    ({"name": "kube", "nodes": ["a"]}, "builder:nodes[0]"),
    ({"name": "kube", "nodes": [None]}, "builder:nodes[0]"),
    ({"name": "kube", "nodes": [_NODE, 5]}, "builder:nodes[1]"),
    ({"name": "kube", "nodes": [_NODE, _NODE]}, "builder:nodes[1].name"),
    ({"name": "kube", "nodes": [{"name": "a_b"}, {"name": "a-b"}]}, "builder:nodes[1].name"),
    ({"name": "kube", "nodes": [{"name": "A"}]}, "builder:nodes[0].name"),
    ({"name": "kube", "nodes": [{"name": ""}]}, "builder:nodes[0].name"),
    ({"name": "kube", "nodes": [{"name": "a" * 64}]}, "builder:nodes[0].name"),
    ({"name": "kube", "nodes": [{"platform": "linux/amd64"}]}, "builder:nodes[0]"),
    ({"name": "kube", "nodes": [{"driver_opts": {}}]}, "driver-opts"),
    ({"name": "kube", "nodes": [{"driverOpts": {}}]}, "driver-opts"),
    ({"name": "kube", "nodes": [{"replicas": 2}]}, "driver-opts"),
    ({"name": "kube", "nodes": [{"platforms": 5}]}, "builder:nodes[0].platforms"),
    ({"name": "kube", "nodes": [{"platforms": [5]}]}, "builder:nodes[0].platforms"),
    ({"name": "kube", "nodes": [{"platforms": ["linux/"]}]}, "builder:nodes[0].platforms"),
    ({"name": "kube", "nodes": [{"platforms": ["linux/amd64/v2/x"]}]}, "builder:nodes[0].platforms"),
    ({"name": "kube", "nodes": [{"platforms": "amd46"}]}, "builder:nodes[0].platforms"),
    ({"name": "kube", "nodes": [{"platforms": {"linux": "amd64"}}]}, "builder:nodes[0].platforms"),
    ({"name": "kube", "nodes": [{"platforms": ["linux/amd46"]}]}, "builder:nodes[0].platforms"),
    ({"name": "kube", "nodes": [{"platforms": ["linus/amd64"]}]}, "builder:nodes[0].platforms"),
    ({"name": "kube", "nodes": [{"platforms": ["linux/x"]}]}, "builder:nodes[0].platforms"),
    ({"name": "a" * 63}, "builder:nodes[0].name"),
    ({"name": "kube", "builders:nodes": []}, "builder:nodes"),
    ({"name": "kube", "namespace": object()}, "builder:namespace"),
    ({"name": "kube", "nodes": [{"driver-opts": 5}]}, "builder:nodes[0].driver-opts"),
    ({"name": "kube", "nodes": [{"driver-opts": ["replicas"]}]}, "builder:nodes[0].driver-opts"),
    ({"name": "kube", "nodes": [{"driver-opts": {"replicas": -1}}]}, "builder:nodes[0].driver-opts.replicas"),
    ({"name": "kube", "nodes": [{"namespace": "A"}]}, "builder:nodes[0].namespace"),
    ({"name": "kube", "nodes": [{"loadbalance": "x"}]}, "builder:nodes[0].loadbalance"),
    ({"name": "kube", "nodes": [{"default-load": "x"}]}, "builder:nodes[0].default-load"),
    ({"name": "kube", "nodes": [{"namespace": "a", "driver-opts": "namespace=b"}]}, "builder:nodes[0].namespace"),
    ({"name": "kube", "namespace": "a b"}, "builder:namespace"),
    ({"name": "kube", "namespace": 1.5}, "builder:namespace"),
    ({"name": "kube", "namespace": "a", "driver-opts": "namespace=b"}, "builder:namespace"),
    ({"name": "kube", "loadbalance": "round"}, "builder:loadbalance"),
    ({"name": "kube", "default-load": "maybe"}, "builder:default-load"),
    ({"name": "kube", "createNamespace": "maybe"}, "builder:createNamespace"),
    ({"name": "kube", "createNamespace": []}, "builder:createNamespace"),
    ({"name": "kube", "clientServiceAccount": "A"}, "builder:clientServiceAccount"),
    ({"name": "kube", "clientServiceAccount": "a/b/c"}, "builder:clientServiceAccount"),
    ({"name": "kube", "clientServiceAccount": ["a"]}, "builder:clientServiceAccount"),
    ({"name": "kube", "clients": 5}, "builder:clients"),
    ({"name": "kube", "clients": ["ci"]}, "builder:clients[0]"),
    ({"name": "kube", "clients": ["a/b/c"]}, "builder:clients[0]"),
    ({"name": "kube", "clients": ["user:"]}, "builder:clients[0]"),
    ({"name": "kube", "clients": ["group:system:unauthenticated"]}, "builder:clients[0]"),
    ({"name": "kube", "clients": ["a/b", {"subject": "a/b"}]}, "builder:clients[1]"),
    ({"name": "kube", "clients": [{"subject": "a/b", "events": "maybe"}]}, "builder:clients[0].events"),
    ({"name": "kube", "clients": [{"subject": "a/b", "event": True}]}, "builder:clients[0]"),
    ({"name": "kube", "clients": [{"subject": "a/b", "nodes": ["kube9"]}]}, "builder:clients[0].nodes"),
    ({"name": "kube", "clients": [{"subject": "a/b", "nodes": 5}]}, "builder:clients[0].nodes"),
    (
        {"name": "kube", "clients": [{"subject": "a/b", "nodes": "kube0"}], "nodes": [{}, {}]},
        "builder:clients[0].nodes",
    ),
    (
        {"name": "kube", "nodes": [{"name": "a.b", "driver-opts": "endpoint.secret=x"}]},
        "builder:nodes[0].name",
    ),
    ({"name": "kube", "context": 5}, "builder:context"),
    ({"name": "kube", "kubeconfig": {"a": 1}}, "builder:kubeconfig"),
    ({"name": "kube", "driver-opts": "replicas=x"}, "builder:driver-opts.replicas"),
    ({"name": "kube", "driver-opts": {"requests.cpu": 2}, "nodes": [{"driver-opts": "limits.cpu=1"}]}, "requests.cpu"),
]
