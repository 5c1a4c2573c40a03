"""Checks the platform's rules against each other: sizes as options, defaults, registries."""

from __future__ import annotations

from buildkit_builders.claims.platform import Platform, SizeClass
from buildkit_builders.claims.policies import check_policy_names
from buildkit_builders.claims.resolving import cache_of, size_options
from buildkit_builders.options.check import check_together, read_values
from buildkit_builders.options.problems import Problems

__all__ = ["check_platform"]


def check_platform(platform: Platform, problems: Problems) -> None:
    """What does not go together is added to `problems`."""
    for name, size in platform.sizes.items():
        _check_size(size, problems.at("sizes").at(name))
    if platform.registries:
        noted = problems.fresh()
        read_values({"buildkitd.registry": platform.registries}, noted)
        for one in noted.found:
            host = one.option.partition("buildkitd.registry.")[2]
            problems.at("registries").at(host).note(one)
    for key, known in (("cluster", platform.clusters), ("size", platform.sizes)):
        given = getattr(platform.defaults, key)
        if given and given not in known:
            problems.at("defaults").at(key).unknown(given, tuple(known), key)
    check_policy_names(platform.policies, problems.at("policies"))
    for key in ("clusters", "sizes"):
        if not getattr(platform, key) and not problems.found:
            problems.at(key).add(None, "give at least one")
    _check_replicas(platform, problems)


def _check_size(size: SizeClass, problems: Problems) -> None:
    cache, most = cache_of(size, None)
    if size.volume is not None and size.max_cache is not None and size.max_cache.value >= size.volume.value:
        problems.at("max-cache").add(str(size.max_cache), f"it must be less than the volume, {size.volume}")
    if size.storage_class and size.volume is None:
        problems.at("storage-class").add(size.storage_class, "there is no volume: give its size as volume")
    if cache is not None and most is not None and cache.value > most.value:
        where = f"max-cache, {most}" if size.max_cache else f"90% of the volume, {most}"
        problems.at("cache").add(str(cache), f"give at most {where}")
        cache = None
    values = read_values(size_options(size, cache), problems)
    check_together(values, problems)
    if size.replicas.max is not None and size.replicas.min > size.replicas.max:
        problems.at("replicas").at("min").add(size.replicas.min, f"give at most max, {size.replicas.max}")


def _check_replicas(platform: Platform, problems: Problems) -> None:
    scaling = platform.defaults.scaling
    where = problems.at("defaults").at("scaling")
    if scaling.min is not None and scaling.max is not None and scaling.min > scaling.max:
        where.at("min").add(scaling.min, f"give at most max, {scaling.max}")
    if scaling.to_zero_after is not None and not platform.images.client:
        where.at("to-zero-after").add(None, "give images.client, this project's client, which scales to zero")
