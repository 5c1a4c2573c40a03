"""Args that are known only while Pulumi runs: Outputs among the values of a builder's or node's args.

What an Output decides is found by rendering the objects twice, with two sample values in its place. Where they differ
in a field's value, the field becomes an Output; where they differ in which objects or fields there are, the Output is
refused, since a preview has to know. Options and manifests therefore know nothing of Outputs. Once all are known, the
args are checked anew with the real values, and no object is registered before.
"""

from buildkit_builders.late.plan import LatePlan, Render, plan_late
from buildkit_builders.late.template import Template, take

__all__ = ["LatePlan", "Render", "Template", "plan_late", "take"]
