"""What a changed option does to the objects of a stack that is up: docs/changes.md.

`make options` writes the page. It compares the objects before and after; which field replaces an object instead of
updating it is the Kubernetes provider's table, as our stand-in has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from buildkit_builders.manifests import Child
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.row import OptionRow
from buildkit_builders.options.table import TABLE
from buildkit_builders.rendering import builder_objects
from buildkit_builders.spec import check_builder

from buildclient.contract.output import Cluster
from standins.provider.replace_table import replacing_paths
from tests.needs import NEEDED

__all__ = ["render"]

_KINDS: Mapping[str, Mapping[str, str]] = {
    "Deployment": {},
    "StatefulSet": {"persistent-volume-claim.requests.storage": "500Gi"},
}
# Without these an option is accepted and changes nothing.
_SEEN_WITH: Mapping[str, Mapping[str, str]] = {"qemu.image": {"qemu.install": "true"}}
# Options that come together: without one of them there are none.
_TOGETHER = (
    "scale-to-zero.after",
    "scale-to-zero.image",
    "endpoint.secret",
    "endpoint.issuer",
    "autoscale.max-replicas",
)
_HEAD = """\
# What a changed option does

<!-- Made by `make options`; a test holds it to the objects that the components make. -->

What `builders up` does to a stack that is up when one option is given, or changed, as in its example in
[options.md](options.md). `builders preview` shows the same for your stack, field by field.

- **pods**: the pods are replaced, one at a time, and [finish their builds](reliability.md).
- **in place**: the object is updated; no pod is touched.
- **replaced**: the object is deleted and made again. Of a StatefulSet the pods go and come, the volumes stay with
  `when-deleted: Retain`; of a Deployment all pods go.
- **clients**: what clients read of the builder (ConfigMap `NAME-builder`, the stack's output) changes.

| Option | Deployment | StatefulSet |
|---|---|---|
"""


def render() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(_line(row) for row in TABLE.rows)


def _line(row: OptionRow) -> str:
    cells = [f"`{row.name}*`" if row.is_family else f"`{row.name}`"]
    for kind, base in _KINDS.items():
        cells.append(_effect(row, kind, base))
    return f"| {' | '.join(cells)} |\n"


def _effect(row: OptionRow, kind: str, base: Mapping[str, str]) -> str:
    beside = _SEEN_WITH.get(row.name) or NEEDED.get(row.name, {})
    others = {**base, **beside}
    without = {name: value for name, value in others.items() if name not in row.sample or name in base}
    if row.name in _TOGETHER:
        without = {name: value for name, value in without.items() if name not in beside or name.startswith("requests.")}
    before, after = _objects(without), _objects({**others, **row.sample})
    if before is None or after is None:
        return "not with it"
    return ", ".join(dict.fromkeys(_changes(before, after))) or "nothing"


def _objects(options: Mapping[str, str]) -> dict[str, Child] | None:
    """The objects by their resources' names; None for options that do not go together."""
    problems = Problems()
    raw = {"name": "kube", "namespace": "builds", "nodes": [{"name": "node", "driver-opts": dict(options)}]}
    spec = check_builder(raw, "builds", problems)
    if problems.found:
        return None
    found = builder_objects(spec, Cluster())
    (node,) = found.nodes
    children = [*found.namespaces, *node.objects, *node.companions, found.output_config_map, *found.access]
    return {child.role: child for child in children}


def _changes(before: Mapping[str, Child], after: Mapping[str, Child]) -> Iterator[str]:
    for role in dict.fromkeys([*before, *after]):
        old, new = before.get(role), after.get(role)
        if new is None or old is None:
            one = new or old
            assert one is not None
            yield f"{one.manifest['kind']} {'made' if old is None else 'deleted'}"
            continue
        paths = list(_paths(old.manifest, new.manifest))
        if not paths:
            continue
        kind = str(new.manifest["kind"])
        replacing = replacing_paths(dict(new.manifest), mutable_config_maps=True, mutable_secrets=True)
        if role == "output":
            yield "clients"
        elif any(path == one or path.startswith((f"{one}.", f"{one}[")) for path in paths for one in replacing):
            yield f"{kind} replaced"
        elif any(path.startswith("spec.template") for path in paths) and kind in _KINDS:
            yield "pods"
        else:
            yield f"{kind} in place"


def _paths(old: Any, new: Any, path: str = "") -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _paths(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _paths(left, right, f"{path}[{number}]")
    elif old != new:
        yield path


if __name__ == "__main__":
    print(render(), end="")
