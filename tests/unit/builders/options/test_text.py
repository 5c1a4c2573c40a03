"""Option text and structured config become the same frozen options, as buildx would read them."""

from __future__ import annotations

import dataclasses
import re

import pytest
from buildkit_builders.options import Options, Toleration, parse_driver_opts
from buildkit_builders.options.table import IMAGE, ROOTLESS_IMAGE, TABLE
from buildkit_builders.options.text import as_text
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import NEEDED


def _changed(options: Options) -> dict[str, object]:
    """The fields that are not at their default."""
    default = parse_driver_opts("")
    return {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if getattr(options, field.name) != getattr(default, field.name)
    }


def test_the_table_has_every_option_of_buildx_documentation() -> None:
    """The rows of the Kubernetes driver's own table are there, in its order, and ours beside them."""
    documented = (
        "image", "namespace", "default-load", "replicas", "requests.cpu", "requests.memory",
        "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
        "buildkit-root-volume-memory", "nodeselector", "annotations", "labels", "tolerations", "serviceaccount",
        "schedulername", "timeout", "rootless", "loadbalance", "qemu.install", "qemu.image", "env.*",
    )  # fmt: skip
    assert tuple(name for name in TABLE.names if name in documented) == documented


def test_every_row_has_a_field_and_an_example_that_is_accepted() -> None:
    """The table and the frozen options agree, and each example is right."""
    assert {row.field for row in TABLE.rows} == {field.name for field in dataclasses.fields(Options)}
    for row in TABLE.rows:
        needed = NEEDED.get(row.name, {})
        given = {**needed, **row.sample}
        fields = {re.sub(r"[.-]", "_", name) for name in needed}
        assert _changed(parse_driver_opts(as_text(given))).keys() <= {row.field, "image", *fields}
        assert parse_driver_opts(as_text(given)) == parse_driver_opts(given)


SEED = {
    "namespace=buildkit,replicas=4": {"namespace": "buildkit", "replicas": 4},
    "namespace=buildkit,qemu.install=true": {"namespace": "buildkit", "qemu_install": True},
    'namespace=buildkit,nodeselector="kubernetes.io/arch=amd64"': {
        "namespace": "buildkit",
        "nodeselector": {"kubernetes.io/arch": "amd64"},
    },
    '"nodeselector=label1=value1,label2=value2","tolerations=key=key1,value=value1"': {
        "nodeselector": {"label1": "value1", "label2": "value2"},
        "tolerations": (Toleration("key1", "", "value1"),),
    },
    '"tolerations=key=foo,value=bar;key=foo2,operator=exists;key=foo3,effect=NoSchedule"': {
        "tolerations": (
            Toleration("foo", "", "bar"),
            Toleration("foo2", "Exists"),
            Toleration("foo3", "", "", "NoSchedule"),
        )
    },
    "namespace=buildkit,rootless=true": {"namespace": "buildkit", "rootless": True, "image": ROOTLESS_IMAGE},
    "nodeselector=kubernetes.io/arch=arm64": {"nodeselector": {"kubernetes.io/arch": "arm64"}},
}


@pytest.mark.parametrize(("text", "expected"), SEED.items())
def test_the_examples_of_buildx_documentation_are_read(text: str, expected: dict[str, object]) -> None:
    """Each option text of the Kubernetes driver's page means what the page says."""
    assert _changed(parse_driver_opts(text)) == expected


ALIKE = [
    ('nodeselector="a=b,c=d",replicas=2', '"nodeselector=a=b,c=d",replicas=2'),
    ('"nodeselector=""a=b,c=d"""', '"nodeselector=a=b,c=d"'),
    ("replicas=2,replicas=3", "replicas=3"),
    (" replicas = 2 , rootless=T ", "replicas=2,rootless=true"),
    ("replicas=2\nrootless=1\n", "replicas=2,rootless=true"),
    ("replicas=+2", "replicas=2"),
    ("image=", ""),
    ("requests.cpu=", ""),
    ("", ""),
    ("requests.memory=1024Mi", "requests.memory=1Gi"),
    ("timeout=2m0s", "timeout=120s"),
    ("timeout=+1.5h", "timeout=5400s"),
    ('"tolerations=key=a,operator=EXISTS,effect=noexecute,tolerationSeconds=30"',
     '"tolerations=key=a,operator=Exists,effect=NoExecute,tolerationSeconds=30"'),
    ('annotations="a=b=c,d="', '"annotations=a=b=c,d="'),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_spellings_that_mean_the_same(one: str, other: str) -> None:
    """Different spellings of the same options give equal options."""
    assert parse_driver_opts(one) == parse_driver_opts(other)


def test_structured_config_means_the_same_as_text() -> None:
    """Numbers, booleans, lists and mappings are read as their texts are."""
    structured = parse_driver_opts(
        {
            "replicas": 2.0,
            "requests.cpu": 0.5,
            "rootless": True,
            "labels": {"a": 1, "b": True},
            "nodeselector": ["c=d"],
            "tolerations": [{"key": "k", "operator": "exists"}, "key=l,value=m"],
        }
    )
    text = 'replicas=2,requests.cpu=500m,rootless=true,"labels=a=1,b=true",nodeselector=c=d,'
    assert structured == parse_driver_opts(text + '"tolerations=key=k,operator=Exists;key=l,value=m"')


def test_several_texts_are_read_as_one() -> None:
    """A list holds what several --driver-opt flags would, the last one winning."""
    assert parse_driver_opts(["replicas=2", "rootless=true,replicas=3"]).replicas == 3


def test_rootless_false_keeps_the_ordinary_image() -> None:
    """Only rootless=true changes the default image (buildx changes it for false too)."""
    assert parse_driver_opts("rootless=false").image == IMAGE
    assert parse_driver_opts("rootless=true,image=a/b:c").image == "a/b:c"


def test_ephemeral_storage_requests_are_requests() -> None:
    """`requests.ephemeral-storage` is a request and no limit, unlike in buildx."""
    options = parse_driver_opts("requests.ephemeral-storage=2Gi,limits.memory=1G")
    assert options.requests() == {"ephemeral-storage": "2Gi"}
    assert options.limits() == {"memory": "1G"}


def test_options_cannot_be_changed() -> None:
    """Options are frozen, their mappings too."""
    options = parse_driver_opts("nodeselector=a=b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.replicas = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        options.nodeselector["a"] = "c"  # type: ignore[index]


_VALUES = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12).map(str.strip)


@given(st.dictionaries(st.sampled_from(TABLE.names), _VALUES, max_size=6))
def test_any_values_survive_quoting(options: dict[str, str]) -> None:
    """What is quoted as buildx wants it is read back as it was, whatever is in it."""
    from buildkit_builders.options.problems import Problems
    from buildkit_builders.options.text import read_text

    problems = Problems()
    assert read_text(as_text(options), problems) == options
    assert not problems.found
