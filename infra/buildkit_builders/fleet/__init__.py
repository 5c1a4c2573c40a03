"""The builders of all claims: a Pulumi stack a claim, planned and applied together.

    with Fleet(read_claims(Path("platform.yaml"), Path("claims"))) as fleet:
        for event in (run := fleet.apply()):
            print(event)
    print({name: one.error for name, one in run.outcomes.items()})

A platform team with a program of its own gives it as `program`: a function of a `Resolved` that returns a Pulumi
program; `builder_of` makes a claim's builder in it.
"""

from buildkit_builders.fleet.fleet import Fleet, Only
from buildkit_builders.fleet.program import builder_of, claim_program
from buildkit_builders.fleet.report import ClaimRow, FleetReport, report_of

__all__ = ["ClaimRow", "Fleet", "FleetReport", "Only", "builder_of", "claim_program", "report_of"]
