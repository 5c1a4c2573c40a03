"""Outputs among the args: taken wherever no name and no structure follows from them, checked once they are known."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from buildkit_builders import Builder, BuilderArgs, BuilderNode, DriverOptsArgs, NodeArgs
from buildkit_builders.errors import ConfigError
from buildkit_builders.options.table import TABLE, OptionRow
from pulumi.runtime.config import set_all_config

from buildclient.contract.output import CONFIG_MAP_KEY, BuilderOutput
from tests.conftest import ROOT
from tests.needs import NEEDED
from tests.preview.mocked import KUBECONFIG, Registered, run
from tests.preview.test_spellings import spelled

TAKEN = (
    "image", "namespace", "replicas", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "labels",
    "annotations", "nodeselector", "tolerations", "serviceaccount", "imagepullsecrets", "env.", "qemu.image",
    "persistent-volume-claim.requests.storage", "persistent-volume-claim.storage-class", "priorityclass", "volumes",
    "buildkitd.config", "buildkitd.registry.", "buildkitd.gc.max-used-space", "buildkitd.max-parallelism",
)  # fmt: skip
"""Options that must be taken; another may be refused, if it decides names or structure."""
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What Pulumi sends for a value that a preview does not know."""
SECRET = "4dabf18193072939515e22adb298388d"
"""The key of a secret that is sent."""


def late(value: Any) -> Any:
    """An Output of a known value."""
    return pulumi.Output.from_input(value)


def unknown(_: Any = None, *, secret: bool = False) -> Any:
    """An Output that this run does not know."""

    async def found(value: Any) -> Any:
        return value

    made = (asyncio.ensure_future(found(value)) for value in (None, False, secret))
    return pulumi.Output(set(), *made)


def inputs(program: Callable[[], Any], *, preview: bool = False) -> dict[str, Mapping[str, Any]]:
    """What each resource was registered with, by type and name."""
    return {f"{one.type} {one.name}": one.inputs for one in run(program, preview=preview)[0]}


def builder(args: Mapping[str, Any]) -> Callable[[], Builder]:
    """A program with one builder."""
    return lambda: Builder("kube", {"kubeconfig": KUBECONFIG, **args})  # type: ignore[typeddict-item]


def deployment(found: Mapping[str, Mapping[str, Any]]) -> Any:
    """The only Deployment."""
    (one,) = [one for name, one in found.items() if ":Deployment " in name]
    return one


def refused(args: Callable[[Any], Any], value: Any = "x") -> str:
    """The only problem of a builder, whose args are made around an Output."""
    seen: list[Registered] = []
    with pytest.raises(ConfigError) as caught:
        run(lambda: builder(args(late(value)))(), seen=seen, preview=False)
    assert not any(one.type.startswith("kubernetes:") for one in seen), "nothing is made"
    (problem,) = caught.value.problems
    return str(problem)


@pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: row.name)
def test_each_option_is_taken_as_an_output_or_refused_in_one_line(row: OptionRow) -> None:
    """The objects are those of the plain value; a preview that does not know it yet has a field for it."""
    options, name = spelled(row), row.name.rstrip(".")
    plain = inputs(builder({"driver-opts": options}))
    try:
        found = inputs(lambda: builder({"driver-opts": {**options, name: late(options[name])}})())
    except ConfigError as error:
        (problem,) = error.problems
        assert row.name not in TAKEN
        needs_pair = "no Output is taken here" in str(problem) and row.kind.json not in ("object", "array")
        assert not needs_pair, "give late/samples.py a pair of values that this option's parser takes"
        assert str(problem).startswith(f"driver-opts.{name}: give a plain value, not an Output: ")
        return
    assert found == plain

    def as_class() -> Builder:
        fields = {TABLE_FIELDS[key]: late(one) if key == name else one for key, one in options.items()}
        return Builder("kube", BuilderArgs(kubeconfig=KUBECONFIG, driver_opts=DriverOptsArgs(**fields)))

    assert inputs(as_class) == plain
    seen = inputs(lambda: builder({"driver-opts": {**options, name: unknown()}})(), preview=True)
    assert seen.keys() == plain.keys()
    assert "late-" not in json.dumps(list(seen.values())), "no sample value is shown"
    assert UNKNOWN in json.dumps(list(seen.values())) or row.name == "qemu.image", "it is in no field without QEMU"


@pytest.mark.parametrize(
    ("name", "decides"),
    [
        ("timeout", "it decides how long Pulumi waits for pods"),
        ("rootless", "it decides which fields there are"),
        ("qemu.install", "it decides which fields there are"),
        ("network-policy", "it decides which objects there are"),
        ("pod-patch", "no Output is taken here (of a mapping or list, the values in it may be Outputs)"),
    ],
)
def test_an_option_that_decides_more_than_a_field_is_refused_in_one_line(name: str, decides: str) -> None:
    """The line says what it decides."""
    row = TABLE.row(name)
    assert row is not None
    options = spelled(row)
    message = refused(lambda value: {"driver-opts": {**options, name: value}}, options[name])
    assert message.startswith(f"driver-opts.{name}: give a plain value, not an Output: {decides}")


TABLE_FIELDS = {row.name.rstrip("."): row.field for row in TABLE.rows}
INNER: dict[str, tuple[Any, Any, Callable[[Any], Any]]] = {
    "label": ("blue", "team-a", lambda late: {"driver-opts": {"labels": {"team": late}}}),
    "label-number": (5, 7, lambda late: {"driver-opts": {"labels": {"team": late, "a": "b"}}}),
    "selector": ("a", "b", lambda late: {"driver-opts": {"nodeselector": {"pool": late}}}),
    "annotation": ("a b", "c d", lambda late: {"driver-opts": {"annotations": {"note": late}}}),
    "variable": ("a", "b", lambda late: {"driver-opts": {"env": {"A": "1", "B": late}}}),
    "variable-by-name": ("a", "b", lambda late: {"driver-opts": {"env.B": late}}),
    "pull-secret": ("login", "other", lambda late: {"driver-opts": {"imagepullsecrets": ["own", late]}}),
    "toleration": ("a", "b", lambda late: {"driver-opts": {"tolerations": [{"key": "a", "value": late}]}}),
    "toleration-seconds": (
        60, 90,
        lambda late: {"driver-opts": {"tolerations": [{"key": "a", "effect": "NoExecute", "tolerationSeconds": late}]}},
    ),
    "host": ("192.0.2.9", "192.0.2.8", lambda late: {"driver-opts": {"hostaliases": {"a.example": late}}}),
    "volume": (
        "certs", "other",
        lambda late: {
            "driver-opts": {
                "volumes": [{"name": "certs", "secret": {"secretName": late, "optional": True}}],
                "volumemounts": [{"name": "certs", "mountPath": "/certs"}],
            }
        },
    ),
    "sidecar": ("a:1", "a:2", lambda late: {"driver-opts": {"sidecars": [{"name": "a", "image": late}]}}),
    "patch": ("a", "b", lambda late: {"driver-opts": {"pod-patch": {"spec": {"hostname": late}}}}),
    "affinity": (
        "zone", "host",
        lambda late: {
            "driver-opts": {
                "affinity": k8s.core.v1.AffinityArgs(
                    pod_anti_affinity=k8s.core.v1.PodAntiAffinityArgs(
                        required_during_scheduling_ignored_during_execution=[
                            k8s.core.v1.PodAffinityTermArgs(topology_key=late)
                        ]
                    )
                )
            }
        },
    ),
    "registry-secret": (
        "ca", "other", lambda late: {"driver-opts": {"buildkitd.registry": {"r.example": {"ca": {"secret": late}}}}},
    ),
    "registry-certificate": (
        "-----BEGIN CERTIFICATE-----\na\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nb",
        lambda late: {"driver-opts": {"buildkitd.registry": {"r.example": {"ca": [late]}}}},
    ),
    "registry": (
        {"mirrors": ["m.example"]}, {"http": True}, lambda late: {"driver-opts": {"buildkitd.registry.r.example": late}}
    ),
    "mirror": (
        "m.example", "n.example",
        lambda late: {"driver-opts": {"buildkitd.registry": {"r.example": {"mirrors": [late]}}}},
    ),
    "request-and-limit": (
        "3", "4", lambda late: {"driver-opts": {"requests.cpu": late, "limits.cpu": "4", "limits.memory": "1Gi"}},
    ),
    "limit-above-request": (
        "5Gi", "6Gi", lambda late: {"driver-opts": {"requests.memory": "4Gi", "limits.memory": late}},
    ),
    "size-above-ceiling": (
        "60Gi", "70Gi",
        lambda late: {
            "driver-opts": {
                "persistent-volume-claim.requests.storage": late, "buildkitd.gc.max-used-space": "50Gi",
            }
        },
    ),
    "platform": ("linux/arm64", "linux/386", lambda late: {"nodes": [{"platforms": ["linux/amd64", late]}]}),
    "platforms": (["linux/arm64"], ["linux/386", "linux/arm"], lambda late: {"nodes": [{"platforms": late}]}),
    "namespace": (
        "a", "b", lambda late: {"namespace": late, "nodes": [{"name": "x"}, {"name": "y"}], "clients": ["user:x"]},
    ),
    "namespace-of-a-node": ("a", "b", lambda late: {"nodes": [{"name": "x"}, {"name": "y", "namespace": late}]}),
    "namespace-to-make": ("a", "b", lambda late: {"namespace": late, "createNamespace": True}),
    "loadbalance": ("random", "sticky", lambda late: {"loadbalance": late}),
    "default-load": (True, False, lambda late: {"default-load": late}),
    "account": ("ci/job", "ci/other", lambda late: {"clientServiceAccount": late}),
    "client": ("ci/job", "ci/other", lambda late: {"clients": [late]}),
    "subject": ("ci/job", "ci/other", lambda late: {"clients": [{"subject": late, "events": True}]}),
}  # fmt: skip
"""Places of values: two values, and the args around one."""


@pytest.mark.parametrize(("one", "other", "args"), INNER.values(), ids=INNER)
def test_an_output_within_the_args_makes_the_same_as_its_value(
    one: Any, other: Any, args: Callable[[Any], Any]
) -> None:
    """At any depth, in any spelling; another value makes another object; a preview shows what is known."""
    plain = inputs(builder(args(one)))
    assert inputs(builder(args(other))) != plain
    for value in (one, other):
        assert inputs(lambda value=value: builder(args(late(value)))()) == inputs(builder(args(value)))
    seen = inputs(lambda: builder(args(unknown()))(), preview=True)
    assert seen.keys() == plain.keys()
    text = json.dumps(list(seen.values()))
    assert UNKNOWN in text
    assert "late-" not in text
    awaited = inputs(lambda: builder(args(_soon(one)))())
    assert awaited == plain, "an awaitable is taken as well"


async def _soon(value: Any) -> Any:
    return value


def test_a_preview_knows_all_that_does_not_depend_on_the_unknown() -> None:
    """Of several Outputs each has its own fields."""

    def program() -> None:
        options = {"image": late("a:1"), "replicas": unknown(), "labels": {"team": late("blue"), "b": unknown()}}
        builder({"namespace": late("n"), "driver-opts": options})()

    found = deployment(inputs(program, preview=True))
    spec = found["spec"]
    assert found["metadata"]["namespace"] == "n"
    assert spec["template"]["spec"]["containers"][0]["image"] == "a:1"
    assert spec["replicas"] == UNKNOWN
    assert found["metadata"]["labels"] == {"team": "blue", "b": UNKNOWN, "app": "kube0"}


def test_the_output_of_a_builder_follows() -> None:
    """What the builder and its nodes say of themselves is known once the Outputs are."""
    said: dict[str, Any] = {}

    def program() -> None:
        made = builder({"namespace": late("n"), "driver-opts": {"replicas": late(3)}})()
        made.output.apply(lambda value: said.update(output=value))
        made.nodes[0].namespace.apply(lambda value: said.update(namespace=value))

    found = inputs(program)
    output = BuilderOutput.from_json(said["output"])
    assert (output.namespace, output.nodes[0].replicas, said["namespace"]) == ("n", 3, "n")
    config_map = found["kubernetes:core/v1:ConfigMap kube-output"]
    assert BuilderOutput.loads(config_map["data"][CONFIG_MAP_KEY]) == output


def test_a_node_alone_takes_outputs() -> None:
    """As a builder does, in both spellings."""
    plain = inputs(lambda: BuilderNode("solo", {"namespace": "n", "driver-opts": {"image": "a:1"}}))
    by_name: Any = {"namespace": "n", "driver-opts": {"image": "a:1"}}
    assert inputs(lambda: BuilderNode("solo", {**by_name, "namespace": late("n")})) == plain
    as_class = lambda: NodeArgs(namespace=late("n"), driver_opts=DriverOptsArgs(image=late("a:1")))  # noqa: E731
    assert inputs(lambda: BuilderNode("solo", as_class())) == plain
    with pytest.raises(ConfigError) as caught:
        run(lambda: BuilderNode("solo", NodeArgs(namespace=late("N"))), preview=False)
    assert [problem.option for problem in caught.value.problems] == ["namespace"]


NEVER: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "name": ("the names of resources", lambda late: {"name": late}),
    "createNamespace": ("which objects there are", lambda late: {"createNamespace": late}),
    "context": ("which cluster it is", lambda late: {"context": late}),
    "driver-opts": ("which options there are", lambda late: {"driver-opts": late}),
    "driver-opts[1]": ("which options there are", lambda late: {"driver-opts": ["replicas=2", late]}),
    "nodes": ("how many nodes there are", lambda late: {"nodes": late}),
    "nodes[0]": ("how many nodes there are", lambda late: {"nodes": [late]}),
    "nodes[1].name": ("the names of resources", lambda late: {"nodes": [{}, {"name": late}]}),
    "nodes[0].driver-opts": ("which options there are", lambda late: {"nodes": [{"driver-opts": late}]}),
    "nodes[0].namespace": (
        "the names of resources",
        lambda late: {"nodes": [{"namespace": late}, {}], "namespace": "n", "clients": "user:x"},
    ),
}  # fmt: skip


def test_outputs_that_go_together_only_by_their_values_are_taken() -> None:
    """Samples of one beside the value of another are no reason to refuse either."""
    plain = {
        "requests.cpu": "1",
        "limits.cpu": "2",
        "persistent-volume-claim.requests.storage": "1Gi",
        "buildkitd.gc.max-used-space": "800M",
        "buildkitd.gc.reserved-space": "700M",
        "replicas": 2,
        "volumes": [{"name": "a", "secret": {"secretName": "b"}}, {"name": "c", "secret": {"secretName": "d"}}],
        "volumemounts": [{"name": "a", "mountPath": "/a"}],
    }

    def among(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: one if key in ("name", "mountPath") else among(one) for key, one in value.items()}
        return [among(one) for one in value] if isinstance(value, list) else late(value)

    assert inputs(lambda: builder({"driver-opts": among(plain)})()) == inputs(builder({"driver-opts": plain}))


@pytest.mark.parametrize("place", NEVER)
def test_an_output_that_decides_names_or_structure_is_refused_in_one_line(place: str) -> None:
    """The line says where it stands, what it decides, and what to do."""
    decides, args = NEVER[place]
    message = refused(args)
    assert message.startswith(f"{place}: give a plain value, not an Output: it decides {decides}, in a preview too")
    assert "config.require, or make the builder within the Output's apply" in message


WRONG: dict[str, tuple[Any, Callable[[Any], Any], str]] = {
    "image": ("A b", lambda late: {"driver-opts": {"image": late}}, '"A b" is refused: give an image reference'),
    "replicas": (-1, lambda late: {"driver-opts": {"replicas": late}}, "-1 is refused: give a whole number"),
    "null": (None, lambda late: {"driver-opts": {"image": late}}, "the Output's value is null"),
    "namespace": ("N", lambda late: {"namespace": late}, 'did you mean "n"?'),
    "request": (
        "5", lambda late: {"driver-opts": {"requests.cpu": late, "limits.cpu": "4"}}, "a request is at most its limit",
    ),
    "empty": (
        "", lambda late: {"driver-opts": {"env": {"A": late}}}, "the Output's value decides which fields there are",
    ),
    "another-form": (
        "Unconfined", lambda late: {"driver-opts": {"rootless": True, "seccomp": late}},
        "the Output's value decides which fields there are (give a plain value",
    ),
    "unset": (
        "", lambda late: {"driver-opts": {"serviceaccount": late}}, "the Output's value decides which fields there are",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("value", "args", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_told_once_it_is_known_and_nothing_is_made(
    value: Any, args: Callable[[Any], Any], told: str
) -> None:
    """One line, as for a plain value, and no object is registered, not even one without an Output."""
    message = refused(lambda late: {"createNamespace": True, "namespace": "n", **args(late)}, value)
    assert told in message


def test_everything_wrong_is_told_at_once() -> None:
    """Several Outputs, and plain values beside them."""

    def program() -> None:
        options = {"image": late("A b"), "replicas": late("x"), "labels": {"app": "a"}}
        builder({"driver-opts": options})()

    with pytest.raises(ConfigError, match="nothing was changed") as plain:
        run(program)
    assert [problem.option for problem in plain.value.problems] == ["driver-opts.labels"], "what is known, first"
    with pytest.raises(ConfigError, match="in values of Outputs; no object of it was changed") as caught:
        run(lambda: builder({"driver-opts": {"image": late("A b"), "replicas": late("x")}})(), preview=False)
    assert [problem.option for problem in caught.value.problems] == ["driver-opts.image", "driver-opts.replicas"]


def test_a_preview_tells_what_is_wrong_with_the_values_that_it_knows() -> None:
    """However many others it does not know yet; whether they go together it cannot."""

    def program(**options: Any) -> Callable[[], None]:
        return lambda: builder({"driver-opts": {name: make() for name, make in options.items()}})() and None

    with pytest.raises(ConfigError) as caught:
        run(program(image=lambda: late("A b"), replicas=unknown, serviceaccount=lambda: late(None)))
    assert [problem.option for problem in caught.value.problems] == ["driver-opts.serviceaccount"]
    with pytest.raises(ConfigError, match=r'driver-opts\.image: "A b" is refused'):
        run(program(image=lambda: late("A b"), replicas=unknown))
    run(program(**{"requests.cpu": lambda: late("7000"), "limits.cpu": unknown}))


@pytest.mark.parametrize("seed", range(6))
def test_options_together_are_taken_as_outputs_and_plain(seed: int) -> None:
    """Any of them may be an Output, whole or within; the objects are the same."""
    random = Random(seed)
    options: dict[str, Any] = {}
    for row in random.sample([row for row in TABLE.rows if row.name in TAKEN], 12):
        options |= spelled(row)
    # larger than the ceiling of garbage collection
    options = {name: "1Ti" if name.endswith("requests.storage") else one for name, one in options.items()}
    plain = inputs(builder({"driver-opts": options}))
    whole = {name: random.random() < 0.5 for name in options}

    def among(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: among(one) for key, one in value.items()}
        return late(value)

    def program() -> Builder:
        return builder(
            {"driver-opts": {name: late(one) if whole[name] else among(one) for name, one in options.items()}}
        )()

    assert inputs(program) == plain


def test_a_resource_is_no_value() -> None:
    """The message says to give its name; a key that is an Output is refused too."""

    def program() -> None:
        namespace: Any = BuilderNode("other", {})
        builder({"namespace": namespace, "driver-opts": {"labels": {late("a"): "b"}}})()

    with pytest.raises(ConfigError) as caught:
        run(program)
    assert list(map(str, caught.value.problems)) == [
        "namespace: give a value, not a resource (such as its name, as text or as an Output)",
        "driver-opts.labels: give a name as a plain value, not an Output",
    ]


def test_a_secret_stays_one_and_makes_nothing_else_one() -> None:
    """Only fields that its value is in are secret; fields of other Outputs are not."""

    def program() -> None:
        options = {"env": {"TOKEN": pulumi.Output.secret("hunter2")}, "image": late("a:1"), "labels": {"a": "b"}}
        builder({"driver-opts": options, "namespace": late("n")})()

    found = inputs(program)
    for name, one in found.items():
        if ":Deployment " not in name:
            assert "hunter2" not in json.dumps(one)
            assert name.endswith("kube-kubernetes") or SECRET not in json.dumps(one)
    spec = deployment(found)["spec"]["template"]["spec"]["containers"][0]
    assert spec["image"] == "a:1"
    assert spec["env"] == [{"name": "TOKEN", "value": {SECRET: "1b47061264138c4ac30d75fd1eb44270", "value": "hunter2"}}]


@pytest.mark.parametrize(
    "options",
    [
        {"image": "hunter2 x"},
        {"labels": {"a": "hunter2 x"}},
        {"requests.memory": "77777Gi", "limits.memory": "1Gi"},
        {"limits.memory": "77777", "requests.memory": "99999Gi"},
        {"env": {"A": ["hunter2"]}},
        {"buildkitd.config": "hunter2 ="},
    ],
)
def test_no_message_has_the_value_of_a_secret(options: dict[str, Any]) -> None:
    """Neither the value that is refused nor another that is compared with it."""
    first = next(iter(options))
    options = {**options, first: options[first]}

    def program() -> None:
        builder({"driver-opts": {**options, first: pulumi.Output.secret(options[first])}})()

    with pytest.raises(ConfigError) as caught:
        run(program, preview=False)
    assert "hunter2" not in str(caught.value)
    assert "77777" not in str(caught.value)


def test_no_message_has_what_is_secret_in_the_config() -> None:
    """With a plain value that stands beside an Output, as with any other."""
    args: Any = {"kubeconfig": KUBECONFIG, "driver-opts": {"requests.memory": "77777Gi"}}

    def program() -> None:
        args["driver-opts"]["limits.memory"] = late("1Gi")
        Builder("kube", args, secret=True)

    with pytest.raises(ConfigError) as caught:
        run(program, preview=False)
    assert "77777" not in str(caught.value)


def test_an_output_that_failed_fails_the_program_by_its_own_error() -> None:
    """Another's error is not taken for one of the args."""

    def fail(_: Any) -> str:
        raise pulumi.RunError("the other resource's own error")

    with pytest.raises(pulumi.RunError, match="the other resource's own error"):
        run(lambda: builder({"driver-opts": {"image": late("a").apply(fail)}})(), preview=False)


def test_what_an_option_needs_is_needed_beside_an_output() -> None:
    """The options that need others are refused without them, whether late or not."""
    for name in NEEDED:
        if name in ("volumemounts", "buildkit-root-volume-memory", "persistent-volume-claim.requests.storage"):
            continue
        row = TABLE.row(name)
        assert row is not None
        with pytest.raises(ConfigError):
            run(lambda row=row: builder({"driver-opts": {row.name: late(row.example)}})(), preview=False)


def test_the_programs_of_the_page_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each of docs/pulumi.md makes a builder, and the two spellings make the same."""
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "pulumi.md").read_text(), re.DOTALL | re.MULTILINE)

    def program(text: str) -> Callable[[], None]:
        def run_it() -> None:
            set_all_config({"team:proxy": "http://proxy.example:3128"})
            exec(compile(text, "docs/pulumi.md", "exec"), {})

        return run_it

    by_class, by_name, outputs = [inputs(program(text)) for text in blocks]
    assert by_class == by_name
    assert outputs["kubernetes:apps/v1:Deployment kube-kube0-deployment"]
