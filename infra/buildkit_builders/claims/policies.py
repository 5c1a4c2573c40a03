"""The guardrails as checks of claims: each claim is judged by the objects that it comes to, before Pulumi is run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from buildclient.contract.output import Cluster
from buildkit_builders.claims.claim import Claim
from buildkit_builders.claims.guardrails import GUARDRAILS, Finding, Rules, find
from buildkit_builders.claims.platform import Platform
from buildkit_builders.claims.problem import ERROR, OFF, Problem
from buildkit_builders.claims.yamltext import Located
from buildkit_builders.options.problems import Problems
from buildkit_builders.rendering import builder_objects
from buildkit_builders.spec import BuilderSpec

__all__ = ["check_policies", "check_policy_names", "findings_in", "rules_of"]


def rules_of(platform: Platform) -> Rules:
    """What the guardrails need of a platform's file."""
    return Rules(platform.required_labels, platform.may_be_privileged)


def findings_in(spec: BuilderSpec, platform: Platform) -> list[Finding]:
    """What the guardrails that are not off find in the objects of a builder."""
    objects = builder_objects(spec, Cluster())
    children = [
        *objects.namespaces,
        *(child for node in objects.nodes for child in (*node.objects, *node.companions)),
        *objects.access,
    ]
    found = find([child.manifest for child in children], rules_of(platform))
    return [one for one in found if platform.severity(one.guardrail.name) != OFF]


def check_policies(
    claims: Iterable[Claim], platform: Platform, specs: Mapping[str, BuilderSpec]
) -> tuple[list[Problem], set[str]]:
    """What the guardrails find as problems, and the ids of the claims that may not go on. `specs` go by those ids.

    What the platform's file decides is a problem of that file, once, whatever the number of claims.
    """
    problems: list[Problem] = []
    refused: set[str] = set()
    for claim in claims:
        for finding in findings_in(specs[claim.id], platform):
            severity = platform.severity(finding.guardrail.name)
            problems.append(_problem(finding, claim, platform, severity))
            if severity == ERROR:
                refused.add(claim.id)
    return list(dict.fromkeys(problems)), refused


def check_policy_names(names: Collection[str], problems: Problems) -> None:
    """Names of policies that there are not are added to `problems`."""
    known: Sequence[str] = tuple(one.name for one in GUARDRAILS)
    for name in names:
        if name not in known:
            problems.at(name).unknown(name, known, "policy")


def _problem(finding: Finding, claim: Claim, platform: Platform, severity: str) -> Problem:
    guardrail = finding.guardrail
    if guardrail.claim_key:
        line = Located(None, claim.line, claim.lines).line_of(guardrail.claim_key)
        text = f"{guardrail.claim_key}: {finding.text} (policy {guardrail.name})"
        return Problem(claim.file, line, text, severity, claim.id)
    key = guardrail.platform_key.format(size=claim.size)
    line = Located(None, 0, platform.lines).line_of(key)
    return Problem(platform.file, line, f"{key}: {finding.text} (policy {guardrail.name})", severity)
