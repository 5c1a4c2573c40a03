"""The driver options of a node as typed args: a class with names in snake_case, and a mapping with buildx's names.

Made by `make options` from the table of options; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from buildkit_builders.argtypes import (
        Affinity,
        Containers,
        DnsConfig,
        HostAliases,
        Pairs,
        Part,
        Parts,
        RegistryArgs,
        Scalar,
        SecurityContext,
        SpreadConstraints,
        Texts,
        Tolerations,
        VolumeMounts,
        Volumes,
    )

__all__ = ["DriverOptsArgs", "DriverOptsArgsDict"]

DriverOptsArgsDict = TypedDict(
    "DriverOptsArgsDict",
    {
        "image": "pulumi.Input[str]",
        "namespace": "pulumi.Input[str]",
        "default-load": "pulumi.Input[bool | str]",
        "replicas": "pulumi.Input[int | str]",
        "requests.cpu": "pulumi.Input[str | int | float]",
        "requests.memory": "pulumi.Input[str | int]",
        "requests.ephemeral-storage": "pulumi.Input[str | int]",
        "limits.cpu": "pulumi.Input[str | int | float]",
        "limits.memory": "pulumi.Input[str | int]",
        "limits.ephemeral-storage": "pulumi.Input[str | int]",
        "buildkit-root-volume-memory": "pulumi.Input[str | int]",
        "persistent-volume-claim.requests.storage": "pulumi.Input[str | int]",
        "persistent-volume-claim.storage-class": "pulumi.Input[str]",
        "persistent-volume-claim.access-mode": "pulumi.Input[str]",
        "persistent-volume-claim.when-scaled": "pulumi.Input[str]",
        "persistent-volume-claim.when-deleted": "pulumi.Input[str]",
        "nodeselector": "pulumi.Input[Pairs]",
        "annotations": "pulumi.Input[Pairs]",
        "labels": "pulumi.Input[Pairs]",
        "tolerations": "pulumi.Input[Tolerations]",
        "serviceaccount": "pulumi.Input[str]",
        "schedulername": "pulumi.Input[str]",
        "timeout": "pulumi.Input[str]",
        "rootless": "pulumi.Input[bool | str]",
        "loadbalance": "pulumi.Input[str]",
        "max-parallel-builds": "pulumi.Input[int | str]",
        "cache-fallback": "pulumi.Input[str]",
        "qemu.install": "pulumi.Input[bool | str]",
        "qemu.image": "pulumi.Input[str]",
        "disruption-budget.enabled": "pulumi.Input[bool | str]",
        "disruption-budget.max-unavailable": "pulumi.Input[str | int]",
        "disruption-budget.min-available": "pulumi.Input[str | int]",
        "autoscale.max-replicas": "pulumi.Input[int | str]",
        "autoscale.min-replicas": "pulumi.Input[int | str]",
        "autoscale.cpu": "pulumi.Input[int | str]",
        "autoscale.memory": "pulumi.Input[int | str]",
        "autoscale.scale-down-after": "pulumi.Input[str]",
        "autoscale.behavior": "pulumi.Input[Part]",
        "autoscale.metrics": "pulumi.Input[Parts]",
        "autoscale.keda": "pulumi.Input[Part]",
        "scale-to-zero.after": "pulumi.Input[str]",
        "scale-to-zero.image": "pulumi.Input[str]",
        "scale-to-zero.schedule": "pulumi.Input[str]",
        "env": "Mapping[str, pulumi.Input[Scalar]]",
        "imagepullsecrets": "pulumi.Input[Texts]",
        "affinity": "pulumi.Input[Affinity]",
        "topologyspreadconstraints": "pulumi.Input[SpreadConstraints]",
        "priorityclass": "pulumi.Input[str]",
        "runtimeclass": "pulumi.Input[str]",
        "hostnetwork": "pulumi.Input[bool | str]",
        "hostusers": "pulumi.Input[bool | str]",
        "hostaliases": "pulumi.Input[HostAliases]",
        "dnspolicy": "pulumi.Input[str]",
        "dnsconfig": "pulumi.Input[DnsConfig]",
        "volumes": "pulumi.Input[Volumes]",
        "volumemounts": "pulumi.Input[VolumeMounts]",
        "sidecars": "pulumi.Input[Containers]",
        "initcontainers": "pulumi.Input[Containers]",
        "securitycontext": "pulumi.Input[SecurityContext]",
        "seccomp": "pulumi.Input[str]",
        "apparmor": "pulumi.Input[str]",
        "serviceaccount.token": "pulumi.Input[bool | str]",
        "termination-grace-period": "pulumi.Input[str]",
        "wait-for-builds": "pulumi.Input[bool | str]",
        "default-requests": "pulumi.Input[bool | str]",
        "pod-patch": "pulumi.Input[Part]",
        "network-policy": "pulumi.Input[bool | str]",
        "endpoint.secret": "pulumi.Input[str]",
        "endpoint.issuer": "pulumi.Input[str]",
        "endpoint.client-ca": "pulumi.Input[str]",
        "endpoint.port": "pulumi.Input[int | str]",
        "endpoint.service-type": "pulumi.Input[str]",
        "endpoint.address": "pulumi.Input[str]",
        "buildkitd.flags": "pulumi.Input[Texts]",
        "buildkitd.config": "pulumi.Input[Part]",
        "buildkitd.registry": "Mapping[str, pulumi.Input[RegistryArgs]]",
        "buildkitd.gc.enabled": "pulumi.Input[bool | str]",
        "buildkitd.gc.reserved-space": "pulumi.Input[str | int]",
        "buildkitd.gc.max-used-space": "pulumi.Input[str | int]",
        "buildkitd.gc.min-free-space": "pulumi.Input[str | int]",
        "buildkitd.gc.policies": "pulumi.Input[Parts]",
        "buildkitd.max-parallelism": "pulumi.Input[int | str]",
        "buildkitd.dns": "pulumi.Input[Part]",
        "buildkitd.entitlements": "pulumi.Input[Texts]",
        "buildkitd.log-format": "pulumi.Input[str]",
        "buildkitd.log-level": "pulumi.Input[str]",
        "buildkitd.history.max-age": "pulumi.Input[str]",
        "buildkitd.history.max-entries": "pulumi.Input[int | str]",
        "buildkitd.otel-socket-path": "pulumi.Input[str]",
    },
    total=False,
)
"""The driver options of a node, with docker buildx's names: `{"replicas": 2, "requests.cpu": "500m"}`."""


@dataclass(kw_only=True)
class DriverOptsArgs:
    """The driver options of a node: `DriverOptsArgs(replicas=2, requests_cpu="500m")`.

    Each has docker buildx's name, with `_` for `.` and `-`.
    """

    image: pulumi.Input[str] | None = None
    """`image`: The image that runs BuildKit. Default: `moby/buildkit:buildx-stable-1`, with rootless
    `moby/buildkit:buildx-stable-1-rootless`. Example: `image=registry.example/buildkit:v0.34.2`.
    """
    namespace: pulumi.Input[str] | None = None
    """`namespace`: The Kubernetes namespace of the node's objects. Default: the builder's, else that of the Kubernetes
    context. Example: `namespace=buildkit`.
    """
    default_load: pulumi.Input[bool | str] | None = None
    """`default-load`: Whether a build without an output loads its image into a Docker Engine, Podman or containerd.
    Default: `false`. Example: `default-load=true`.
    """
    replicas: pulumi.Input[int | str] | None = None
    """`replicas`: How many BuildKit pods the node has. Default: `1`. Example: `replicas=4`."""
    requests_cpu: pulumi.Input[str | int | float] | None = None
    """`requests.cpu`: CPU request of each pod. Example: `requests.cpu=100m`."""
    requests_memory: pulumi.Input[str | int] | None = None
    """`requests.memory`: Memory request of each pod. Example: `requests.memory=500Mi`."""
    requests_ephemeral_storage: pulumi.Input[str | int] | None = None
    """`requests.ephemeral-storage`: Disk request of each pod. (docker buildx writes it into the limits; here it is a
    request.) Example: `requests.ephemeral-storage=2Gi`.
    """
    limits_cpu: pulumi.Input[str | int | float] | None = None
    """`limits.cpu`: CPU limit of each pod. Example: `limits.cpu=2`."""
    limits_memory: pulumi.Input[str | int] | None = None
    """`limits.memory`: Memory limit of each pod; above it the pod is OOM-killed. Example: `limits.memory=4G`."""
    limits_ephemeral_storage: pulumi.Input[str | int] | None = None
    """`limits.ephemeral-storage`: Disk limit of each pod; above it the pod is evicted. Example:
    `limits.ephemeral-storage=100G`.
    """
    buildkit_root_volume_memory: pulumi.Input[str | int] | None = None
    """`buildkit-root-volume-memory`: Keeps BuildKit's state in memory, at most this much. Default: BuildKit's state is
    kept on disk. Example: `buildkit-root-volume-memory=6G`.
    """
    persistent_volume_claim_requests_storage: pulumi.Input[str | int] | None = None
    """`persistent-volume-claim.requests.storage`: Keeps BuildKit's state on a persistent volume of this size, one for
    each pod; the workload is a StatefulSet (persistent-cache.md). Default: BuildKit's state is lost with its pod.
    Example: `persistent-volume-claim.requests.storage=50Gi`.
    """
    persistent_volume_claim_storage_class: pulumi.Input[str] | None = None
    """`persistent-volume-claim.storage-class`: The StorageClass of the volumes. Default: the cluster's default class.
    Example: `persistent-volume-claim.storage-class=fast-ssd`.
    """
    persistent_volume_claim_access_mode: pulumi.Input[str] | None = None
    """`persistent-volume-claim.access-mode`: `ReadWriteOnce`, `ReadWriteOncePod` (Kubernetes then refuses a second pod
    on the volume) or `ReadWriteMany`. Default: `ReadWriteOnce`. Example:
    `persistent-volume-claim.access-mode=ReadWriteOncePod`.
    """
    persistent_volume_claim_when_scaled: pulumi.Input[str] | None = None
    """`persistent-volume-claim.when-scaled`: What becomes of the volume of a pod that a scale-down removes. Default:
    `Retain`. Example: `persistent-volume-claim.when-scaled=Delete`.
    """
    persistent_volume_claim_when_deleted: pulumi.Input[str] | None = None
    """`persistent-volume-claim.when-deleted`: What becomes of the volumes when the node is taken out or the stack
    destroyed. Default: `Retain`. Example: `persistent-volume-claim.when-deleted=Delete`.
    """
    nodeselector: pulumi.Input[Pairs] | None = None
    """`nodeselector`: Labels that a Kubernetes node must have to run the pods. Example:
    `nodeselector=kubernetes.io/arch=arm64`.
    """
    annotations: pulumi.Input[Pairs] | None = None
    """`annotations`: Annotations of the workload and its pods. Those under `buildx.docker.com/` are reserved. Example:
    `annotations=team=build`.
    """
    labels: pulumi.Input[Pairs] | None = None
    """`labels`: Labels of the workload and its pods. `app` is reserved: by it the pods are found. Example:
    `labels=team=build`.
    """
    tolerations: pulumi.Input[Tolerations] | None = None
    """`tolerations`: Taints of Kubernetes nodes that the pods tolerate. Example:
    `"tolerations=key=foo,value=bar;key=foo2,operator=Exists"`.
    """
    serviceaccount: pulumi.Input[str] | None = None
    """`serviceaccount`: The ServiceAccount that the pods run as. Default: the namespace's `default`. Example:
    `serviceaccount=buildkit`.
    """
    schedulername: pulumi.Input[str] | None = None
    """`schedulername`: The scheduler that places the pods. Default: Kubernetes' own. Example:
    `schedulername=batch-scheduler`.
    """
    timeout: pulumi.Input[str] | None = None
    """`timeout`: How long provisioning, and a build, wait for ready pods. Default: `120s`. Example: `timeout=2m30s`."""
    rootless: pulumi.Input[bool | str] | None = None
    """`rootless`: Whether BuildKit runs as an ordinary user, without `privileged`. Default: `false`. Example:
    `rootless=true`.
    """
    loadbalance: pulumi.Input[str] | None = None
    """`loadbalance`: How a build's pod is chosen: `sticky`, always the same for the same project, `random`, or
    `least-loaded` (choosing-pods.md). Default: `sticky`. Example: `loadbalance=random`.
    """
    max_parallel_builds: pulumi.Input[int | str] | None = None
    """`max-parallel-builds`: How many builds a pod runs at once. A client goes to the next pod then, and waits in a
    queue once all are full (choosing-pods.md). Default: `0`, any number. Example: `max-parallel-builds=4`.
    """
    cache_fallback: pulumi.Input[str] | None = None
    """`cache-fallback`: A registry cache that every build reads besides its own `--cache-from`, so that a pod without
    cache does not begin from nothing (choosing-pods.md). Example: `cache-fallback=registry.example/cache:main`.
    """
    qemu_install: pulumi.Input[bool | str] | None = None
    """`qemu.install`: Whether each pod first installs emulators of other architectures on its Kubernetes node. Default:
    `false`. Example: `qemu.install=true`.
    """
    qemu_image: pulumi.Input[str] | None = None
    """`qemu.image`: The image that installs the emulators. Default: `tonistiigi/binfmt:latest`. Example:
    `qemu.image=registry.example/binfmt:v10`.
    """
    disruption_budget_enabled: pulumi.Input[bool | str] | None = None
    """`disruption-budget.enabled`: Whether the node has a PodDisruptionBudget, which bounds how many of its pods may be
    evicted at a time, as by `kubectl drain` (reliability.md). Default: `true`. Example:
    `disruption-budget.enabled=false`.
    """
    disruption_budget_max_unavailable: pulumi.Input[str | int] | None = None
    """`disruption-budget.max-unavailable`: How many of the pods may be away because of evictions. `0` forbids them: a
    drain then waits for ever. Default: `1`. Example: `disruption-budget.max-unavailable=25%`.
    """
    disruption_budget_min_available: pulumi.Input[str | int] | None = None
    """`disruption-budget.min-available`: How many pods must stay, instead of how many may be away. Default: unset.
    Example: `disruption-budget.min-available=1`.
    """
    autoscale_max_replicas: pulumi.Input[int | str] | None = None
    """`autoscale.max-replicas`: The most pods that an autoscaler may start; it makes a HorizontalPodAutoscaler, which
    then sets the number of pods (scaling.md). Default: no autoscaler. Example: `autoscale.max-replicas=8`.
    """
    autoscale_min_replicas: pulumi.Input[int | str] | None = None
    """`autoscale.min-replicas`: The fewest pods that the autoscaler leaves; with `autoscale.keda` also 0. Default: `1`.
    Example: `autoscale.min-replicas=2`.
    """
    autoscale_cpu: pulumi.Input[int | str] | None = None
    """`autoscale.cpu`: The share of BuildKit's CPU request that is used on average, in percent: above it pods are
    added. Default: `80` without another metric. Example: `autoscale.cpu=70`.
    """
    autoscale_memory: pulumi.Input[int | str] | None = None
    """`autoscale.memory`: The same for memory. Example: `autoscale.memory=80`."""
    autoscale_scale_down_after: pulumi.Input[str] | None = None
    """`autoscale.scale-down-after`: How long fewer pods must have been enough before some are taken away
    (`stabilizationWindowSeconds`), at most `1h`. Default: Kubernetes' 5 minutes. Example:
    `autoscale.scale-down-after=15m`.
    """
    autoscale_behavior: pulumi.Input[Part] | None = None
    """`autoscale.behavior`: The autoscaler's `behavior`: how fast it adds pods and takes them away. Example:
    `"autoscale.behavior={""scaleDown"":{""policies"":[{""type"":""Pods"",""value"":1,""periodSeconds"":60}]}}"`.
    """
    autoscale_metrics: pulumi.Input[Parts] | None = None
    """`autoscale.metrics`: More `metrics` of the HorizontalPodAutoscaler. Example:
    `"autoscale.metrics=[{""type"":""External"",""external"":{""metric"":{""name"":""ci_jobs_waiting""},""target"":{""type"":""AverageValue"",""averageValue"":""2""}}}]"`.
    """
    autoscale_keda: pulumi.Input[Part] | None = None
    """`autoscale.keda`: Makes a ScaledObject of KEDA instead, with these `triggers` and, if given, `pollingInterval`,
    `cooldownPeriod`, `idleReplicaCount`, `fallback`, `advanced`. Example:
    `"autoscale.keda={""triggers"":[{""type"":""cron"",""metadata"":{""timezone"":""UTC"",""start"":""0 7 * *
    1-5"",""end"":""0 19 * * 1-5"",""desiredReplicas"":""4""}}]}"`.
    """
    scale_to_zero_after: pulumi.Input[str] | None = None
    """`scale-to-zero.after`: Scales the node to no pods when nothing has been built for this long; the next build
    starts it again (scaling.md). Default: never. Example: `scale-to-zero.after=30m`.
    """
    scale_to_zero_image: pulumi.Input[str] | None = None
    """`scale-to-zero.image`: The image of this project's client, which looks for builds and scales: `make image` builds
    it. Example: `scale-to-zero.image=registry.example/buildclient:1`.
    """
    scale_to_zero_schedule: pulumi.Input[str] | None = None
    """`scale-to-zero.schedule`: When it looks. Default: `*/5 * * * *`. Example: `scale-to-zero.schedule=*/10 * * *
    *`.
    """
    env: Mapping[str, pulumi.Input[Scalar]] | None = None
    """`env.NAME`: Variables of BuildKit's environment, among them the proxies through which it pulls and pushes:
    `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`. In structured config also `env`, a mapping. Example:
    `env.HTTP_PROXY=http://proxy.example:3128`.
    """
    imagepullsecrets: pulumi.Input[Texts] | None = None
    """`imagepullsecrets`: Secrets with the credentials to pull the pods' images, not those of builds. Example:
    `"imagepullsecrets=registry-login,mirror-login"`.
    """
    affinity: pulumi.Input[Affinity] | None = None
    """`affinity`: Which Kubernetes nodes and neighbours the pods need or prefer. Example:
    `"affinity={""nodeAffinity"":{""preferredDuringSchedulingIgnoredDuringExecution"":[{""weight"":1,""preference"":{""matchExpressions"":[{""key"":""disk"",""operator"":""In"",""values"":[""ssd""]}]}}]}}"`.
    """
    topologyspreadconstraints: pulumi.Input[SpreadConstraints] | None = None
    """`topologyspreadconstraints`: How the pods spread over zones or nodes. By default `maxSkew` is 1,
    `whenUnsatisfiable` is `ScheduleAnyway`, and `labelSelector` finds the node's own pods. Example:
    `"topologyspreadconstraints=[{""topologyKey"":""topology.kubernetes.io/zone""}]"`.
    """
    priorityclass: pulumi.Input[str] | None = None
    """`priorityclass`: The PriorityClass of the pods. Default: the cluster's default class. Example:
    `priorityclass=builds`.
    """
    runtimeclass: pulumi.Input[str] | None = None
    """`runtimeclass`: The RuntimeClass of the pods, for one with a sandbox. Default: the cluster's default runtime.
    Example: `runtimeclass=kata`.
    """
    hostnetwork: pulumi.Input[bool | str] | None = None
    """`hostnetwork`: Whether the pods, and so all builds, use the network of their Kubernetes node. Default: `false`.
    Example: `hostnetwork=true`.
    """
    hostusers: pulumi.Input[bool | str] | None = None
    """`hostusers`: `false` gives each pod a user namespace: its root is nobody on the Kubernetes node. Default:
    Kubernetes' own. Example: `hostusers=false`.
    """
    hostaliases: pulumi.Input[HostAliases] | None = None
    """`hostaliases`: Lines of the pods' `/etc/hosts`, for BuildKit's own pulls and pushes. Kubernetes' list of `ip` and
    `hostnames` is taken too. Example: `hostaliases=registry.example=10.0.0.5`.
    """
    dnspolicy: pulumi.Input[str] | None = None
    """`dnspolicy`: Where the pods resolve names: `ClusterFirst`, `ClusterFirstWithHostNet`, `Default`, `None`. Default:
    Kubernetes' own, with hostnetwork `ClusterFirstWithHostNet`. Example: `dnspolicy=Default`.
    """
    dnsconfig: pulumi.Input[DnsConfig] | None = None
    """`dnsconfig`: Name servers, search domains and options of the pods. Example:
    `"dnsconfig={""nameservers"":[""10.0.0.10""]}"`.
    """
    volumes: pulumi.Input[Volumes] | None = None
    """`volumes`: More volumes of the pods, each a name and one source. Example:
    `"volumes=[{""name"":""certs"",""secret"":{""secretName"":""registry-ca""}}]"`.
    """
    volumemounts: pulumi.Input[VolumeMounts] | None = None
    """`volumemounts`: Where BuildKit's container has those volumes. Example:
    `"volumemounts=[{""name"":""certs"",""mountPath"":""/etc/certs"",""readOnly"":true}]"`.
    """
    sidecars: pulumi.Input[Containers] | None = None
    """`sidecars`: Containers that run beside BuildKit's. Example:
    `"sidecars=[{""name"":""metrics"",""image"":""registry.example/metrics:v1""}]"`.
    """
    initcontainers: pulumi.Input[Containers] | None = None
    """`initcontainers`: Containers that run before BuildKit's, after the emulators; with `restartPolicy: Always` also
    beside. Example: `"initcontainers=[{""name"":""prepare"",""image"":""busybox"",""command"":[""true""]}]"`.
    """
    securitycontext: pulumi.Input[SecurityContext] | None = None
    """`securitycontext`: The security context of the pod; BuildKit's container keeps its own. Example:
    `"securitycontext={""fsGroup"":1000}"`.
    """
    seccomp: pulumi.Input[str] | None = None
    """`seccomp`: The seccomp profile of rootless BuildKit: it must allow what runc needs (`unshare`, `mount`, …).
    Default: `Unconfined`. Example: `seccomp=Localhost/buildkit.json`.
    """
    apparmor: pulumi.Input[str] | None = None
    """`apparmor`: The AppArmor profile of rootless BuildKit: it must allow mounts. Default: `Unconfined`. Example:
    `apparmor=Localhost/buildkit`.
    """
    serviceaccount_token: pulumi.Input[bool | str] | None = None
    """`serviceaccount.token`: Whether the pods have the token of their ServiceAccount. BuildKit needs none: `false` is
    safer. Default: as the ServiceAccount says. Example: `serviceaccount.token=false`.
    """
    termination_grace_period: pulumi.Input[str] | None = None
    """`termination-grace-period`: How long a pod that is to stop may finish its builds, in whole seconds. It goes as
    soon as they have ended (reliability.md). Default: `10m`. Example: `termination-grace-period=1h`.
    """
    wait_for_builds: pulumi.Input[bool | str] | None = None
    """`wait-for-builds`: Whether a pod that is to stop serves its clients until the last of its builds has ended (a
    `preStop` hook). Without it BuildKit takes no further call of the builds that it finishes. Default: `true`. Example:
    `wait-for-builds=false`.
    """
    default_requests: pulumi.Input[bool | str] | None = None
    """`default-requests`: Whether pods request 250m cpu and 512Mi memory where neither a request nor a limit is given:
    a pod without any is the first to be evicted. Default: `false`. Example: `default-requests=true`.
    """
    pod_patch: pulumi.Input[Part] | None = None
    """`pod-patch`: A merge patch of the pod template, for what has no option: below. Example:
    `"pod-patch={""spec"":{""enableServiceLinks"":false}}"`.
    """
    network_policy: pulumi.Input[bool | str] | None = None
    """`network-policy`: Whether a NetworkPolicy lets nothing into the pods and everything out (access.md). Default:
    `false`. Example: `network-policy=true`.
    """
    endpoint_secret: pulumi.Input[str] | None = None
    """`endpoint.secret`: Opens a TCP port for clients with a certificate (access.md): the Secret of type
    kubernetes.io/tls with BuildKit's certificate, and as `ca.crt` the authority of clients. Default: no port. Example:
    `endpoint.secret=buildkit-endpoint`.
    """
    endpoint_issuer: pulumi.Input[str] | None = None
    """`endpoint.issuer`: The same with a certificate of cert-manager, from this Issuer or ClusterIssuer. Default: no
    port. Example: `endpoint.issuer=ClusterIssuer/internal-ca`.
    """
    endpoint_client_ca: pulumi.Input[str] | None = None
    """`endpoint.client-ca`: The Secret whose `ca.crt` has signed the clients' certificates. Default: that of BuildKit's
    certificate. Example: `endpoint.client-ca=ci-ca`.
    """
    endpoint_port: pulumi.Input[int | str] | None = None
    """`endpoint.port`: The port of pods and Service. Default: `1234`. Example: `endpoint.port=8372`."""
    endpoint_service_type: pulumi.Input[str] | None = None
    """`endpoint.service-type`: The type of the Service: `ClusterIP`, `NodePort`, `LoadBalancer`. Default: `ClusterIP`.
    Example: `endpoint.service-type=LoadBalancer`.
    """
    endpoint_address: pulumi.Input[str] | None = None
    """`endpoint.address`: Where clients reach the port, for the builder output and a certificate of cert-manager.
    Default: the Service's name in the cluster. Example: `endpoint.address=buildkit.example:1234`.
    """
    buildkitd_flags: pulumi.Input[Texts] | None = None
    """`buildkitd.flags`: Flags of buildkitd, as of docker buildx's `--buildkitd-flags`. Default:
    `--allow-insecure-entitlement=network.host`, unless entitlements are given. Example: `buildkitd.flags=--debug
    --oci-worker-net=host`.
    """
    buildkitd_config: pulumi.Input[Part] | None = None
    """`buildkitd.config`: The whole buildkitd.toml, or what the options below do not have; they override it one by one.
    Default: none. Example: `buildkitd.config=worker.oci.snapshotter = 'native'`.
    """
    buildkitd_registry: Mapping[str, pulumi.Input[RegistryArgs]] | None = None
    """`buildkitd.registry.NAME`: What BuildKit does with the registry of that host: `mirrors`, `http`, `insecure`,
    `ca`, `keypair`. In structured config also `buildkitd.registry`, a mapping by host. Example:
    `"buildkitd.registry.docker.io={""mirrors"":[""mirror.example""]}"`.
    """
    buildkitd_gc_enabled: pulumi.Input[bool | str] | None = None
    """`buildkitd.gc.enabled`: Whether BuildKit deletes old cache. Default: BuildKit's own. Example:
    `buildkitd.gc.enabled=false`.
    """
    buildkitd_gc_reserved_space: pulumi.Input[str | int] | None = None
    """`buildkitd.gc.reserved-space`: Cache that garbage collection never goes below. Default: BuildKit's own. Example:
    `buildkitd.gc.reserved-space=10G`.
    """
    buildkitd_gc_max_used_space: pulumi.Input[str | int] | None = None
    """`buildkitd.gc.max-used-space`: Cache above it is deleted. Default: BuildKit's own. Example:
    `buildkitd.gc.max-used-space=40G`.
    """
    buildkitd_gc_min_free_space: pulumi.Input[str | int] | None = None
    """`buildkitd.gc.min-free-space`: How much of the disk garbage collection tries to keep free. Default: BuildKit's
    own. Example: `buildkitd.gc.min-free-space=10%`.
    """
    buildkitd_gc_policies: pulumi.Input[Parts] | None = None
    """`buildkitd.gc.policies`: Rules of garbage collection, tried in order: `all`, `filters`, `keepDuration`,
    `reservedSpace`, `maxUsedSpace`, `minFreeSpace`. Default: BuildKit's own. Example:
    `"buildkitd.gc.policies=[{""all"":true,""maxUsedSpace"":""40G""}]"`.
    """
    buildkitd_max_parallelism: pulumi.Input[int | str] | None = None
    """`buildkitd.max-parallelism`: How many steps each pod runs at the same time. Default: no limit. Example:
    `buildkitd.max-parallelism=4`.
    """
    buildkitd_dns: pulumi.Input[Part] | None = None
    """`buildkitd.dns`: What builds resolve names with: `nameservers`, `options`, `searchDomains`. Default: as the pod.
    Example: `"buildkitd.dns={""nameservers"":[""10.0.0.10""]}"`.
    """
    buildkitd_entitlements: pulumi.Input[Texts] | None = None
    """`buildkitd.entitlements`: What builds may be allowed beyond the ordinary: `network.host`, `security.insecure`,
    `device`; or `none`. Default: `network.host`. Example: `"buildkitd.entitlements=network.host,security.insecure"`.
    """
    buildkitd_log_format: pulumi.Input[str] | None = None
    """`buildkitd.log-format`: BuildKit's log. Default: BuildKit's own. Example: `buildkitd.log-format=json`."""
    buildkitd_log_level: pulumi.Input[str] | None = None
    """`buildkitd.log-level`: What is logged: `trace`, `debug`, `info`, `warn`, `error`. Default: BuildKit's own.
    Example: `buildkitd.log-level=debug`.
    """
    buildkitd_history_max_age: pulumi.Input[str] | None = None
    """`buildkitd.history.max-age`: How long builds are kept in the history. Default: BuildKit's own. Example:
    `buildkitd.history.max-age=48h`.
    """
    buildkitd_history_max_entries: pulumi.Input[int | str] | None = None
    """`buildkitd.history.max-entries`: How many builds are kept in the history. Default: BuildKit's own. Example:
    `buildkitd.history.max-entries=200`.
    """
    buildkitd_otel_socket_path: pulumi.Input[str] | None = None
    """`buildkitd.otel-socket-path`: The socket of an OpenTelemetry collector, mounted by `volumemounts`. Default: none.
    Example: `buildkitd.otel-socket-path=/run/otel/otel-grpc.sock`.
    """
