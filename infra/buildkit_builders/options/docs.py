"""The reference of options, docs/options.md, made from the table.

`make options` runs it.
"""

from __future__ import annotations

from buildkit_builders.options.table import TABLE, OptionRow
from buildkit_builders.options.text import as_text

__all__ = ["render"]

_HEAD = """\
# Options of a builder node

<!-- Made by `make options` from the table of options; a test holds the two together. -->

They are the driver options of docker buildx's Kubernetes driver, with its names, and ours: those of
`persistent-volume-claim` but for the size, and from `imagepullsecrets` on. Give them as a mapping, or as buildx's own
text:

```yaml
config:
  builder:nodes:
    - name: builder-amd64
      driver-opts: {replicas: 2, nodeselector: {kubernetes.io/arch: amd64}, requests.cpu: "2"}
    - name: builder-arm64
      driver-opts: replicas=2,"nodeselector=kubernetes.io/arch=arm64",requests.cpu=2
```

Options under `builder:driver-opts` are those of every node; a node's own override them one by one. In a program they
may be classes with fields in snake_case, and have Outputs of other resources among them: [pulumi.md](pulumi.md).

| Option | Type | Default | Example | What it does |
|---|---|---|---|---|
"""
_TAIL = """
## Types

- **boolean**: `true` or `false`; as text also what Go's ParseBool takes (`1`, `t`, `T`, `TRUE`, `True`, …).
- **whole number**: 0 to 2147483647.
- **CPU units**: a number of CPUs, in steps of a thousandth: `2`, `0.5`, `500m`. **bytes**: a number with a suffix of
  Kubernetes (`k M G T P E`, `Ki Mi Gi Ti Pi Ei`) or none. Both are kept as Kubernetes would store them: `0.5` as
  `500m`, `1024Mi` as `1Gi`, so that a second update has nothing to change.
- **duration**: numbers with a unit, as Go's ParseDuration takes them: `120s`, `2m30s`, `1.5h`. A bare `120` is refused.
- **name**: as Kubernetes wants it: lower-case letters, digits and `-`, and `.` in a DNS subdomain.
- **key=value pairs**: a mapping, a list of `key=value`, or text with commas: `a=b,c=d`.
- **tolerations**: a list of mappings (`key`, `operator`, `value`, `effect`, `tolerationSeconds`), or text:
  commas within a toleration, `;` between them. Operators and effects in any case.

- **mapping or JSON**, **list or JSON**: the part of a pod's manifest with Kubernetes' field names, in structured config
  as it stands in a manifest, as text its JSON: `'"dnsconfig={""nameservers"":[""10.0.0.10""]}"'`. A field that
  Kubernetes does not have is refused.
- **percentage**: `80` or `80%`. **cron schedule**: five fields, or `@hourly` and the like; times are the cluster's.
- **bytes or percentage**, and all else of `buildkitd.*`: [buildkitd.md](buildkitd.md).
- **profile**: `Unconfined`, `RuntimeDefault` or `Localhost/NAME`.

## Variables

`env.NAME` is docker buildx's spelling, for one variable each; structured config takes `env: {NAME: value}` as well. A
node's variables are added to the builder's. They stand in the workload for all to read: keep passwords in a Secret and
refer to it with `pod-patch` (`envFrom`, or `valueFrom`). Kubernetes replaces `$(OTHER)` by another variable's value;
`$$(OTHER)` is the text itself. With proxies, name in `NO_PROXY` the registries and the domains of the cluster.

## pod-patch

The patch is merged into the pod template (`metadata`, `spec`) once all options are in it. A mapping is merged field by
field, `null` takes a field away (RFC 7386), and a list replaces the one that is there. As in a strategic merge patch of
Kubernetes, some lists are merged item by item: `containers`, `initContainers`, `ephemeralContainers`, `volumes`, `env`,
`imagePullSecrets` and `resourceClaims` by `name`, `volumeMounts` by `mountPath`, `volumeDevices` by `devicePath`,
`hostAliases` by `ip`, `ports` by `containerPort`, `topologySpreadConstraints` by `topologyKey`. An item with
`$patch: delete` takes away the one of its name.

```yaml
config:
  builder:driver-opts:
    pod-patch:
      spec:
        enableServiceLinks: false
        containers:
          - name: buildkitd
            envFrom: [{secretRef: {name: proxy-login}}]
```

The label `app`, by which the pods are found, and the container `buildkitd` stay. A node's patch replaces the builder's.

## Requests and the ServiceAccount's token

`default-requests` and `serviceaccount.token=false` are what new stacks should have. They are off by default, because
switching them on replaces the pods of stacks that are there.

## Text

Options are separated by commas. One whose value has commas itself is quoted, as a whole
(`"nodeselector=a=b,c=d"`, CSV's way, `""` for a quote within) or its value alone (`nodeselector="a=b,c=d"`, as in
buildx's documentation). Of an option given twice the last counts. Several lines, or a list, are several `--driver-opt`.

Everything wrong is told at once, each with the option, what was given and what is allowed.

## Where this differs from docker buildx 0.38

| | docker buildx | here |
|---|---|---|
| `requests.ephemeral-storage` | written into the limits | a request |
| `rootless=false` | takes the rootless image | takes the ordinary one |
| `labels` | also in the workload's selector, which can never change | on workload and pods only |
| `replicas=-1`, malformed tolerations | accepted, and refused by Kubernetes later, or dropped | refused |
| `nodeselector="a=b,c=d"` outside a shell | refused | read |
| `operator=exists` | passed on, and refused by Kubernetes | stored as `Exists` |
| `persistent-volume-claim.requests.storage` | drops other mounts, such as that of `buildkitd.toml` | keeps them |
| the same beside `buildkit-root-volume-memory` | taken, and one is ignored | refused |
| `rootless`, with a persistent volume | the volume's root stays root's | it is given to BuildKit's user (`fsGroup`) |
| annotations under `buildx.docker.com/` | one of them is reserved | all are reserved |
| readiness | looked at after 5 s, then every 30 s | every second until BuildKit is up |
"""


def render() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(_line(row) for row in TABLE.rows) + _TAIL


def _line(row: OptionRow) -> str:
    cells = [
        f"`{row.name}*`" if row.is_family else f"`{row.name}`",
        row.kind.name,
        row.default_text or "none",
        f"`{as_text(row.sample)}`",
        row.about,
    ]
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    print(render(), end="")
