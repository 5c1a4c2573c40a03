"""What is particular to a node."""

from __future__ import annotations

import json

from localcluster.instance import NODES
from localcluster.parts.node import policy_objects


def test_the_policy_labels_its_node_only() -> None:
    """The expression names the node and the architecture, and policy and binding name each other."""
    node = NODES[1]
    (_, policy), (_, binding) = policy_objects(node)
    text = json.dumps(policy)
    assert f"object.metadata.name == '{node.name}'" in text
    assert f"value: '{node.architecture}'" in text
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]  # type: ignore[index]
