"""The guardrails as a policy pack of Pulumi: `pulumi preview --policy-pack "$(command -v builders-policies)"`.

The engine starts this program and asks it by gRPC; `pulumi-policy` speaks for it. The rules are those of the file that
BUILDERS_PLATFORM names, else of `platform.yaml` in the folder of Pulumi's program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from buildkit_builders.claims.guardrails import GUARDRAILS, Guardrail
from buildkit_builders.claims.platform import Platform
from buildkit_builders.claims.policies import rules_of
from buildkit_builders.claims.problem import ERROR, OFF
from buildkit_builders.claims.reading import read_platform

__all__ = ["main", "policies_of"]

_NAME = "buildkit-builders"
_VARIABLE = "BUILDERS_PLATFORM"
_NEEDED = (
    "builders-policies needs Pulumi's policy SDK, whose metadata asks for an older protobuf than it works with: "
    "pip install --no-deps pulumi-policy"
)


def policies_of(platform: Platform) -> list[Any]:
    """The guardrails as policies, with the severities of the platform's file; those that are off are left out."""
    return [_policy(one, platform) for one in GUARDRAILS if platform.severity(one.name) != OFF]


def _policy(guardrail: Guardrail, platform: Platform) -> Any:
    """A policy of single resources, or of the whole stack where the guardrail looks at other objects."""
    import pulumi_policy as sdk

    mandatory = platform.severity(guardrail.name) == ERROR
    level = sdk.EnforcementLevel.MANDATORY if mandatory else sdk.EnforcementLevel.ADVISORY
    rules = rules_of(platform)

    def of_resource(args: Any, report: Callable[..., None]) -> None:
        if _is_object(args):
            for text in guardrail.check(args.props, [args.props], rules):
                report(text)

    def of_stack(args: Any, report: Callable[..., None]) -> None:
        resources = [one for one in args.resources if _is_object(one)]
        objects: Sequence[Mapping[str, Any]] = [one.props for one in resources]
        for one in resources:
            for text in guardrail.check(one.props, objects, rules):
                report(text, one.urn)

    if guardrail.needs_others:
        return sdk.StackValidationPolicy(guardrail.name, guardrail.about, of_stack, level)
    return sdk.ResourceValidationPolicy(guardrail.name, guardrail.about, of_resource, level)


def _is_object(resource: Any) -> bool:
    """Whether it is a Kubernetes object; a provider is none."""
    return str(resource.resource_type).startswith("kubernetes:")


def main() -> None:
    """Serve the policies until the engine ends the process. With a wrong file of rules it exits with status 1."""
    file = Path(os.environ.get(_VARIABLE, "platform.yaml"))
    platform, problems = read_platform(file)
    if problems:
        sys.exit("\n".join(map(str, problems)) + f"\n{_VARIABLE} names the file of rules")
    try:
        from pulumi_policy import PolicyPack
    except ImportError:
        sys.exit(_NEEDED)
    PolicyPack(_NAME, policies_of(platform), description="What builders are held to.")


if __name__ == "__main__":
    main()
