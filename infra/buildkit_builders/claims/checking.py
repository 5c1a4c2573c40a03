"""Checks a team's claim against the platform's rules: values in, a claim with defaults filled in or problems out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from buildkit_builders.claims.claim import CLAIM, Claim, Given
from buildkit_builders.claims.platform import Platform, Scaling
from buildkit_builders.claims.resolving import TEAM_LABEL, cache_of, namespace_of, resolve
from buildkit_builders.claims.yamltext import Located
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.values import dns_label
from buildkit_builders.spec import BuilderSpec

__all__ = ["check_builder_of", "check_claim"]

# The key of a claim that an option comes from, by the beginning of the option's name.
_KEYS = (
    ("scale-to-zero", "scaling.to-zero-after"),
    ("autoscale", "scaling"),
    ("replicas", "scaling"),
    ("buildkitd.gc", "cache"),
    ("requests", "size"),
    ("limits", "size"),
    ("persistent-volume-claim", "size"),
    ("labels", "labels"),
    ("rootless", "privileged"),
)


def check_claim(
    located: Located, team: str, file: str, platform: Platform, today: date, problems: Problems
) -> Claim | None:
    """The claim of one mapping of a team's file; None if it is wrong, which is then among `problems`."""
    before = len(problems.found)
    given = CLAIM.read(located.value, problems)
    if given is None:
        return None
    claim = _filled(given, located, team, file, platform, problems)
    if claim is None:
        return None
    _check_namespace(claim, platform, problems)
    _check_size(claim, given, platform, problems)
    _check_expiry(claim, platform, today, problems)
    return claim if len(problems.found) == before else None


def check_builder_of(claim: Claim, platform: Platform, today: date, problems: Problems) -> BuilderSpec:
    """The builder that a claim resolves to, with its options checked; what is wrong is added to `problems`."""
    found = Problems()
    spec = resolve(claim, platform, today).spec(found)
    for one in dict.fromkeys(found.found):
        key = _key_of(one.option)
        problems.at(key).note(one if key == one.option else one._replace(allowed=f"{one.option}: {one.allowed}"))
    return spec


def _key_of(place: str) -> str:
    option = place.rpartition("driver-opts.")[2] if "driver-opts." in place else place
    for start, key in _KEYS:
        if option.startswith(start):
            return key
    if option.startswith("clients["):
        return option.removesuffix(".subject")
    key = option.partition(".")[0].partition("[")[0]
    return {"clientServiceAccount": "service-account", "nodes": "name"}.get(key, key)


def _filled(
    given: Given, located: Located, team: str, file: str, platform: Platform, problems: Problems
) -> Claim | None:
    """The claim with the platform's defaults; None if its cluster or size is not known."""
    defaults = platform.defaults
    cluster = _named(given.cluster, defaults.cluster, platform.clusters, "cluster", problems)
    size = _named(given.size, defaults.size, platform.sizes, "size", problems)
    if not cluster or not size:
        return None
    architectures = given.architectures or defaults.architectures
    allowed = platform.clusters[cluster].architectures
    for number, one in enumerate(architectures if allowed else ()):
        if one not in allowed:
            where = problems.at("architectures")
            where = where.at(f"[{number}]") if f"architectures[{number}]" in located.lines else where
            where.add(one, f"cluster {cluster} has {', '.join(allowed)}")
    scaling = _scaling(given.scaling, defaults.scaling, problems)
    if TEAM_LABEL in given.labels and given.labels[TEAM_LABEL] != team:
        problems.at("labels").at(TEAM_LABEL).add(given.labels[TEAM_LABEL], f'that label is the team\'s name, "{team}"')
    return Claim(
        team=team,
        name=given.name,
        file=file,
        line=located.line,
        owner=given.owner,
        contact=given.contact,
        cluster=cluster,
        architectures=architectures,
        size=size,
        cache=cache_of(platform.sizes[size], given.cache)[0],
        least=max(1, scaling.min or 0),
        most=scaling.max or max(1, scaling.min or 0),
        to_zero_after=scaling.to_zero_after,
        clients=given.clients,
        service_account=given.service_account or f"{given.name}-client",
        privileged=defaults.privileged if given.privileged is None else given.privileged,
        expires=given.expires,
        labels={**defaults.labels, **given.labels},
        lines=located.lines,
    )


def _named(given: str, default: str, known: Mapping[str, Any], what: str, problems: Problems) -> str:
    """A name that the platform knows; empty if it is not known, which is then a problem."""
    if not known:
        return ""  # which the platform's file is told
    name = given or default or (next(iter(known)) if len(known) == 1 else "")
    if not name:
        problems.at(what).add(None, f"give one of {', '.join(known)}")
    elif name not in known:
        if given:  # a wrong default is the platform's file's problem
            problems.at(what).unknown(name, tuple(known), what)
    else:
        return name
    return ""


def _scaling(given: Scaling, default: Scaling, problems: Problems) -> Scaling:
    """The claim's scaling, of which each key that is missing is the platform's."""
    where = problems.at("scaling")
    least, most, after = (one if one is not None else other for one, other in zip(given, default, strict=True))
    if given.min is None and given.max is not None and least is not None:
        least = min(least, given.max)
    if given.max is None and given.min is not None and most is not None:
        most = max(most, given.min)
    if least is not None and most is not None and least > most:
        where.at("min").add(least, f"give at most max, {most}")
    if given.min == 0 and after is None:
        where.at("min").add(0, "a builder goes to no pods with to-zero-after, such as 30m: give it, or at least 1")
    return Scaling(least, most, after)


def _check_namespace(claim: Claim, platform: Platform, problems: Problems) -> None:
    namespace = namespace_of(platform, claim.cluster, claim.team, claim.name)
    try:
        dns_label(namespace)
    except InvalidValue:
        problems.at("name").add(claim.name, f"its namespace would be {namespace}: give a shorter name")


def _check_size(claim: Claim, given: Given, platform: Platform, problems: Problems) -> None:
    size = platform.sizes[claim.size]
    most = cache_of(size, given.cache)[1]
    if given.cache is not None and most is not None and given.cache.value > most.value:
        problems.at("cache").add(str(given.cache), f"size {claim.size} allows at most {most}")
    bounds = size.replicas
    scaling = problems.at("scaling")
    if bounds.max is not None and claim.most > bounds.max:
        scaling.at("max").add(claim.most, f"size {claim.size} allows at most {bounds.max} pods on each architecture")
    if claim.least < bounds.min:
        scaling.at("min").add(claim.least, f"size {claim.size} has at least {bounds.min} pods on each architecture")


def _check_expiry(claim: Claim, platform: Platform, today: date, problems: Problems) -> None:
    rules = platform.expiry
    where = problems.at("expires")
    if claim.expires is None:
        if rules.required:
            most = f", at most {rules.most_days} days ahead" if rules.most_days else ""
            where.add(None, f"give the last day of the builder{most}")
    elif rules.most_days is not None and (claim.expires - today).days > rules.most_days:
        where.add(claim.expires.isoformat(), f"give a day at most {rules.most_days} days ahead")
