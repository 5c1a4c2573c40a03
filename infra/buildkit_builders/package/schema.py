"""The package's schema, infra/plugin/schema.json, made from the table of options and the classes of the args.

`make options` runs it. Pulumi's form: https://www.pulumi.com/docs/iac/extending-pulumi/schema/
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from buildclient.version import VERSION
from buildkit_builders import argtypes
from buildkit_builders.args import BuilderArgs, NodeArgs
from buildkit_builders.options.row import OptionRow
from buildkit_builders.options.table import TABLE
from buildkit_builders.options.text import as_text
from buildkit_builders.options.typed import described
from buildkit_builders.options.values import Choice
from buildkit_builders.package.names import camel

__all__ = ["PACKAGE", "render", "schema"]

PACKAGE = "builder"
"""The package's name: that of the components' types, so that a stack's state is the same from every language."""
NAMESPACE = "buildkit-builders"

Json = dict[str, Any]

_STRING: Json = {"type": "string"}
_INTEGER: Json = {"type": "integer"}
_BOOLEAN: Json = {"type": "boolean"}
_ANY: Json = {"$ref": "pulumi.json#/Any"}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _map(values: Json) -> Json:
    return {"type": "object", "additionalProperties": values}


def _plain(type_: Json) -> Json:
    return {**type_, "plain": True}


def _type(name: str) -> Json:
    return {"$ref": f"#/types/{PACKAGE}:index:{name}"}


_OBJECT = _map(_ANY)
_BY_PYTHON: Mapping[str, Json] = {
    "Affinity": _OBJECT,
    "Containers": _list(_OBJECT),
    "DnsConfig": _OBJECT,
    "HostAliases": _map(_STRING),
    "Pairs": _map(_STRING),
    "Part": _OBJECT,
    "Parts": _list(_OBJECT),
    "RegistryArgs": _type("Registry"),
    "Scalar": _STRING,
    "SecurityContext": _OBJECT,
    "SpreadConstraints": _list(_OBJECT),
    "Texts": _list(_STRING),
    "Tolerations": _list(_type("Toleration")),
    "VolumeMounts": _list(_OBJECT),
    "Volumes": _list(_OBJECT),
}
"""The types of options by their type in Python: of the spellings that an option takes the most telling."""
_BY_JSON: Mapping[str, Json] = {"string": _STRING, "integer": _INTEGER, "boolean": _BOOLEAN}

_ENUM_NAMES: Mapping[str, str] = {
    "dnspolicy": "DnsPolicy",
    "persistent-volume-claim.when-deleted": "Retention",
    "persistent-volume-claim.when-scaled": "Retention",
}

_NODE: Mapping[str, Json] = {
    "name": _plain(_STRING),
    "platforms": _list(_STRING),
    "driver_opts": _type("DriverOpts"),
    "namespace": _STRING,
    "loadbalance": _type("Loadbalance"),
    "default_load": _BOOLEAN,
}
_BUILDER: Mapping[str, Json] = {
    "name": _plain(_STRING),
    "namespace": _STRING,
    "nodes": _list(_type("Node")),
    "driver_opts": _type("DriverOpts"),
    "loadbalance": _type("Loadbalance"),
    "default_load": _BOOLEAN,
    "context": _plain(_STRING),
    "kubeconfig": {**_STRING, "secret": True},
    "create_namespace": _plain(_BOOLEAN),
    "client_service_account": _STRING,
    "clients": _list(_type("Client")),
}
_SMALL: Mapping[str, tuple[type, Mapping[str, Json], tuple[str, ...]]] = {
    "Certificate": (argtypes.CertificateArgs, dict.fromkeys(("secret", "configmap", "key"), _STRING), ()),
    "Client": (
        argtypes.ClientArgs,
        {"subject": _STRING, "nodes": _list(_STRING), "events": _BOOLEAN, "scale": _BOOLEAN},
        ("subject",),
    ),
    "Registry": (
        argtypes.RegistryArgs,
        {
            "mirrors": _list(_STRING),
            "http": _BOOLEAN,
            "insecure": _BOOLEAN,
            "ca": _list({"oneOf": [_STRING, _type("Certificate")]}),
            "keypair": _list(_STRING),
        },
        (),
    ),
    "Toleration": (
        argtypes.TolerationArgs,
        {**dict.fromkeys(("key", "operator", "value", "effect"), _STRING), "tolerationSeconds": _INTEGER},
        (),
    ),
}
"""The types beside options: their class, their properties, and which of these are required."""
_BUILDER_OUTPUTS: Mapping[str, Json] = {
    "output": {**_ANY, "description": "What build clients find the builder by; export it as output `builder`."}
}
_NODE_OUTPUTS: Mapping[str, Json] = {
    "name": {**_STRING, "description": "The name of the workload in Kubernetes."},
    "namespace": {**_STRING, "description": "The namespace of the workload."},
    "kind": {**_STRING, "description": "The kind of the workload: `Deployment` or `StatefulSet`."},
}


def schema() -> Json:
    """The whole schema."""
    options, enums = _options()
    types = {"DriverOpts": options, "Node": _object(NodeArgs, _NODE), **enums}
    types |= {name: _object(kind, properties, required) for name, (kind, properties, required) in _SMALL.items()}
    return {
        "name": PACKAGE,
        "namespace": NAMESPACE,
        "version": VERSION,
        "displayName": "BuildKit builders",
        "description": "BuildKit builders on Kubernetes: nodes of BuildKit pods, and what build clients find them by.",
        "keywords": ["category/infrastructure", "kind/component", "buildkit", "kubernetes"],
        "license": "Apache-2.0",
        "meta": {"supportPack": True},
        "language": {
            **{name: {"respectSchemaVersion": True} for name in ("csharp", "go", "java", "nodejs")},
            "python": {"respectSchemaVersion": True, "pyproject": {"enabled": True}},
        },
        "types": {f"{PACKAGE}:index:{name}": types[name] for name in sorted(types)},
        "resources": {
            f"{PACKAGE}:index:Builder": _component(
                "One or more nodes of BuildKit pods, and the output that build clients find them by.",
                _object(BuilderArgs, _BUILDER)["properties"],
                _BUILDER_OUTPUTS,
            ),
            f"{PACKAGE}:index:BuilderNode": _component(
                "One node without a builder: identical BuildKit pods, managed by one workload.",
                _object(NodeArgs, _NODE)["properties"],
                _NODE_OUTPUTS,
            ),
        },
    }


def render() -> str:
    """The schema as a file's text."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _component(description: str, inputs: Json, outputs: Mapping[str, Json]) -> Json:
    return {
        "isComponent": True,
        "description": description,
        "inputProperties": inputs,
        "properties": dict(outputs),
        "required": list(outputs),
    }


def _object(kind: type, properties: Mapping[str, Json], required: tuple[str, ...] = ()) -> Json:
    """The type of one of our classes; the descriptions are its docstrings. Raises KeyError for a field without one."""
    documented = _documented(kind)
    made = {camel(field): {**type_, "description": documented[field]} for field, type_ in properties.items()}
    found = {"type": "object", "description": _prose(kind.__doc__ or ""), "properties": made}
    return {**found, "required": list(required)} if required else found


def _options() -> tuple[Json, dict[str, Json]]:
    """The type of driver options, and the enums that they have."""
    enums: dict[str, Json] = {}
    properties = {}
    for row in TABLE.rows:
        if isinstance(row.kind.read, Choice):
            name = _enum_name(row)
            enums[name] = _enum(row.kind.name, row.kind.read)
            type_ = _type(name)
        else:
            type_ = _BY_PYTHON.get(row.kind.python) or _BY_JSON[row.kind.json]
        as_option = f"As driver option: `{as_text(row.sample)}`."
        about = {"description": f"{described(row)} {as_option}"}
        properties[camel(row.field)] = {**(_map(type_) if row.is_family else type_), **about}
    whole = "The driver options of a node. Each is documented in docs/options.md."
    return {"type": "object", "description": whole, "properties": properties}, enums


def _enum_name(row: OptionRow) -> str:
    """`AccessMode` for `persistent-volume-claim.access-mode`."""
    return _ENUM_NAMES.get(row.name) or camel("_" + re.sub("-", "_", row.name.rpartition(".")[2]))


def _enum(name: str, choice: Choice) -> Json:
    values = [{"name": camel(f"_{one}".replace("-", "_")), "value": one} for one in choice.allowed]
    return {"type": "string", "description": f"{name[0].upper()}{name[1:]}.", "enum": values}


def _prose(text: str) -> str:
    """A docstring for readers in other languages: its lines joined, its example in Python left out."""
    whole = " ".join(textwrap.dedent(text).split())
    return re.sub(r": `.*`\.$", ".", whole)


def _documented(kind: type) -> dict[str, str]:
    """The docstrings below a class's fields, by field."""
    found: dict[str, str] = {}
    for definition in _classes(kind.__module__):
        if definition.name != kind.__name__:
            continue
        for one, after in zip(definition.body, definition.body[1:], strict=False):
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and (text := _text(after)):
                found[one.target.id] = _prose(text)
    return found


def _text(node: ast.stmt) -> str:
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


@lru_cache
def _classes(module: str) -> tuple[ast.ClassDef, ...]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return tuple(node for node in tree.body if isinstance(node, ast.ClassDef))


if __name__ == "__main__":
    print(render(), end="")
