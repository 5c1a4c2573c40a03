"""The reference of claims, docs/claims.md, made from the keys that the readers know.

`make options` runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from buildkit_builders.claims.claim import CLAIM
from buildkit_builders.claims.guardrails import GUARDRAILS
from buildkit_builders.claims.platform_file import PLATFORM
from buildkit_builders.claims.shapes import Key, ListOf, MapOf, Record

__all__ = ["render"]

_HEAD = """\
# Claims: builders that teams ask for in a file

<!-- Made by `make options` from the keys that are read; a test holds the two together. -->

A team asks for a builder in a few lines, `claims/<team>.yaml`:

```yaml
# yaml-language-server: $schema=../schemas/claim.json
name: main
owner: ada@example.com
contact: "#payments"
size: medium
architectures: [amd64, arm64]
scaling: {min: 1, max: 4, to-zero-after: 30m}
clients: [group:payments]
expires: 2027-06-30
labels: {cost-center: 4711}
```

The platform team says in `platform.yaml` what there is and what is allowed:

```yaml
# yaml-language-server: $schema=schemas/platform.json
clusters:
  main: {context: prod-eu, architectures: [amd64, arm64]}
sizes:
  small:
    requests: {cpu: 500m, memory: 1Gi}
    limits: {memory: 2Gi}
    volume: 20Gi
    replicas: {max: 2}
  medium:
    requests: {cpu: 2, memory: 4Gi}
    limits: {memory: 8Gi}
    volume: 100Gi
    replicas: {max: 4}
limits:
  total: {cpu: 64, memory: 128Gi, storage: 4Ti}
  team: {cpu: 16, memory: 32Gi, builders: 3}
  teams:
    payments: {cpu: 32, memory: 64Gi}
images:
  buildkit: registry.example/buildkit@sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
  client: registry.example/buildclient@sha256:1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e
registries:
  docker.io: {mirrors: [mirror.example]}
  registry.example: {ca: {configmap: registry-ca}}
privileged: ["builders-*"]
defaults: {size: small, privileged: true}
required-labels: [cost-center]
expiry: {most-days: 400}
policies: {required-labels: warning}
```

`builders claims plan` shows what would be made of them, `apply` makes it:
[claims-operations.md](claims-operations.md), and in CI [claims-ci.md](claims-ci.md).

Both are read together, with every problem of every file at once. Each names file and line, the key, what was given, and
what is allowed; a wrong claim keeps no other one back:

```
claims/payments.yaml:5: payments/main: size: there is no size "meduim" (did you mean "medium"?)
claims/search.yaml:9: search/main: scaling.max: 9 is refused: size small allows at most 2 pods on each architecture
```

In Python:

```python
from pathlib import Path
from buildkit_builders.claims import read_claims, resolve

found = read_claims(Path("platform.yaml"), Path("claims"))
for problem in found.problems:
    print(problem)
for claim in found.claims:
    print(claim.stack, resolve(claim, found.platform).args)  # the arguments of Builder, as in stack config
```

## A team's file

It is named after the team, and holds one builder as a mapping, or several as a list or as YAML documents (`---`).
Anchors and `<<` may share lines among them. A claim's stack is `<team>-<name>`; its nodes are `<name>-<architecture>`,
each on machines of that architecture (`kubernetes.io/arch`). All workloads and pods have the label `team`.

| Key | Type | Default | Example | What it says |
|---|---|---|---|---|
"""
_PLATFORM = """
An expired claim's builder has no pods, and no build starts it; its volumes are kept. Take the claim out to delete it.
Its `clients` may build, and read why pods are not ready; so may CI jobs as its ServiceAccount.

## The platform's file

| Key | Type | Default | Example | What it says |
|---|---|---|---|---|
"""
_TAIL = """
`sizes.NAME.volume` is the volume of each pod, of which at most 90% may be cache (`max-cache`). Driver options of the
platform are overridden by those of a size class, and both by what a claim says. A problem of this file keeps all claims
back.

With `{name}` in `namespaces` each builder has a namespace of its own, which its stack makes. Otherwise a team's
builders share one, which no stack makes or deletes: `builders claims apply` does.

A CA among `registries` is best given as text (`ca: |` and the PEM): a `secret` or `configmap` must be in the namespace
of every builder.

## Limits

What counts is every builder scaled up: the requests (a limit, where there is no request), limits and volumes of
BuildKit's pods, `scaling.max` of them on each architecture. Claims are taken in the order of file and line. One with
which a limit would be broken is refused, and those after it are still tried. Expired claims count with their volumes.

## Policies

| Policy | What it holds to |
|---|---|
"""
_END = """
Each is `error` by default, which keeps the claim back; `warning` tells it, `off` does not look. What a claim decides is
told at its line, what the platform's file decides there, once. They judge the Kubernetes objects that a claim comes to,
before Pulumi is run.

The same list is a policy pack of Pulumi, for builders that are no claims, and for other programs that make workloads:

```sh
pip install --no-deps pulumi-policy
export BUILDERS_PLATFORM=$PWD/platform.yaml
pulumi preview --policy-pack "$(command -v builders-policies)"
```

`error` is mandatory there, `warning` advisory. Policies of single objects look at workloads of any kind; budgets, cache
and ports are looked for where a container is called `buildkitd`. Pulumi's policy SDK is installed without its
dependencies, because version 1.21 asks for protobuf 5; it works with the protobuf 6 that builders need.

What was run: the pack is tested under the engine of Pulumi 3.259, which starts it as the program that it is. A pack as
a folder with `PulumiPolicy.yaml`, as `pulumi policy publish` takes it, needs Pulumi's own language host; that was not
run.

## Editors

The JSON Schemas of both files are in the package, `buildkit_builders/claims/schemas/`. Write them beside your claims
and name them in the first line, as above, for completion and checks while typing (the YAML extension of VS Code,
and any editor with yaml-language-server):

```sh
python -m buildkit_builders.claims.schema schemas
```

They know keys, types and names of policies. What depends on the other file, such as names of size classes, is told by
the reader alone.
"""


def render() -> str:
    """The page as Markdown."""
    policies = "".join(f"| `{one.name}` | {one.about} |\n" for one in GUARDRAILS)
    return _HEAD + _table(CLAIM) + _PLATFORM + _table(PLATFORM) + _TAIL + policies + _END


def _table(record: Record[Any]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in _rows(record, "", {}))


def _rows(record: Record[Any], before: str, shown: dict[int, str]) -> Iterator[list[str]]:
    """The rows of a record's keys; a record that has been shown already is named by its place."""
    for key in record.keys:
        name = before + key.name
        inner: Any = key.shape
        if isinstance(inner, MapOf):
            inner, name = inner.item, f"{name}.NAME"
        if not isinstance(inner, Record):
            yield [f"`{name}`", _type(inner), _default(key), _code(key.example), key.about]
            continue
        first = shown.setdefault(id(inner), name)
        kind = "mapping" if first == name else f"mapping, as `{first}`"
        yield [f"`{name}`", kind, _default(key), _code(key.example), key.about]
        if first == name:
            yield from _rows(inner, f"{name}.", shown)


def _type(shape: Any) -> str:
    named: Any = shape.item if isinstance(shape, ListOf) else shape
    return f"list, each: {named.name}" if named is not shape else str(named.name)


def _default(key: Key) -> str:
    return "required" if key.required else key.default or "none"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    print(render(), end="")
