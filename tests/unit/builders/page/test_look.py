"""What is asked of a builder, and what is left out."""

from __future__ import annotations

from buildkit_builders.page.look import asked_output
from buildkit_builders.page.model import Found

from tests.page_views import output


def test_an_output_of_a_config_map_reaches_no_address_and_no_other_namespace() -> None:
    """Who writes a ConfigMap cannot have the page connect for them; the operator's own stack may name anything."""
    address = output("pay", address="tcp://10.0.0.1:1234", workload=None, selector={})
    here = output("pay")
    elsewhere = here._replace(nodes=tuple(node._replace(namespace="victim") for node in here.nodes))
    for given, why in ((address, "an address"), (elsewhere, "another namespace")):
        asked, left_out = asked_output(Found(given, "staging"))
        assert asked is None
        (node,) = left_out
        assert why in node.error
        assert node.state == "not asked"
        assert asked_output(Found(given, stack="pay", trusted=True)) == (given, ())
    assert asked_output(Found(here, "staging")) == (here, ())
