"""Args without their Outputs are the args."""

from __future__ import annotations

from typing import Any

from buildkit_builders import BuilderArgs, DriverOptsArgs, NodeArgs
from buildkit_builders.late import take
from buildkit_builders.options.problems import Problems
from hypothesis import given
from hypothesis import strategies as st
from pulumi_kubernetes.core.v1 import AffinityArgs, NodeAffinityArgs

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_plain_args_are_left_as_they_are(args: dict[str, Any]) -> None:
    """Whatever is in them."""
    problems = Problems()
    template = take(args, problems)
    assert (template.known(), template.late, problems.found) == (args, (), [])


def test_classes_become_mappings_at_any_depth() -> None:
    """Ours, and those of the Kubernetes package; what is not given is not there."""
    affinity = AffinityArgs(node_affinity=NodeAffinityArgs())
    nodes = [
        NodeArgs(default_load=True, driver_opts=DriverOptsArgs(affinity=affinity, requests_cpu="2", env={"A": "b"}))
    ]
    args: Any = {"nodes": nodes, "driver-opts": DriverOptsArgs()}
    options = {"affinity": {"nodeAffinity": {}}, "requests.cpu": "2", "env": {"A": "b"}}
    assert take(args, Problems()).known() == {
        "nodes": [{"default-load": True, "driver-opts": options}],
        "driver-opts": {},
    }
    assert BuilderArgs(create_namespace=False).create_namespace is False
