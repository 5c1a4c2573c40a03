"""Builders that teams ask for in a file: claims, what the platform team allows, and the builders that come of both.

claims = read_claims(Path("platform.yaml"), Path("claims"))
for problem in claims.problems:
    print(problem)  # claims/payments.yaml:4: payments/main: size: there is no size "smal" (did you mean "small"?)
for claim in claims.claims:
    Builder(claim.name, resolve(claim, claims.platform).args)
"""

from buildkit_builders.claims.claim import Claim
from buildkit_builders.claims.platform import Platform
from buildkit_builders.claims.problem import Problem
from buildkit_builders.claims.reading import Claims, read_claims, read_platform
from buildkit_builders.claims.resolving import Resolved, resolve
from buildkit_builders.claims.totals import Amounts, amounts_of

__all__ = [
    "Amounts",
    "Claim",
    "Claims",
    "Platform",
    "Problem",
    "Resolved",
    "amounts_of",
    "read_claims",
    "read_platform",
    "resolve",
]
