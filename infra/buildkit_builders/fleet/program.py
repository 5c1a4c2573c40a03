"""The Pulumi program of a claim's stack: its builder, and the facts that others find it by."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi import automation as auto

from buildclient.contract.output import CONFIG_MAP_LABEL
from buildkit_builders.about import CONTACT, EXPIRES, OWNER, TEAM
from buildkit_builders.builder import Builder
from buildkit_builders.claims import Claim, Resolved

__all__ = ["builder_of", "claim_facts", "claim_program"]


def claim_program(resolved: Resolved) -> auto.PulumiFn:
    """The program of a claim's stack; it exports `builder`, for build clients, and `claim`."""

    def program() -> None:
        pulumi.export("builder", builder_of(resolved).output)
        pulumi.export("claim", claim_facts(resolved.claim))

    return program


def builder_of(resolved: Resolved, opts: pulumi.ResourceOptions | None = None) -> Builder:
    """The builder of a claim, in any Pulumi program. Raises as `Builder`."""
    args: Any = dict(resolved.args)
    named = pulumi.ResourceOptions(transformations=[_named(resolved.claim)])
    opts = pulumi.ResourceOptions.merge(named, opts)
    return Builder(resolved.claim.name, args, opts, where=f"{resolved.claim.id}: ")


def _named(claim: Claim) -> pulumi.ResourceTransformation:
    """Names the owner in the ConfigMap that the builder publishes, for those who have no access to its state."""
    key, value = CONFIG_MAP_LABEL
    told = {
        TEAM: claim.team,
        OWNER: claim.owner,
        CONTACT: claim.contact,
        EXPIRES: claim.expires.isoformat() if claim.expires else "",
    }

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        metadata = args.props.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        published = isinstance(labels, dict) and labels.get(key) == value
        if args.type_ != "kubernetes:core/v1:ConfigMap" or not isinstance(metadata, dict) or not published:
            return None
        metadata = {**metadata, "annotations": {name: text for name, text in told.items() if text}}
        return pulumi.ResourceTransformationResult({**args.props, "metadata": metadata}, args.opts)

    return transform


def claim_facts(claim: Claim) -> dict[str, Any]:
    """Who answers for a builder, in JSON's types: kept with its state, so that it is known when the claim is gone."""
    return {
        "team": claim.team,
        "name": claim.name,
        "owner": claim.owner,
        "contact": claim.contact,
        "expires": claim.expires.isoformat() if claim.expires else None,
    }
