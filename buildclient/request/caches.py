"""Caches of a build: what the client adds to them, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from buildclient.base.errors import InvalidBuild
from buildclient.request.solve import CacheEntry
from buildclient.request.values import BuildRequest

__all__ = ["check_caches", "with_s3_credentials"]


def check_caches(request: BuildRequest) -> None:
    """Refuses a cache in a registry without a reference, and wrong attributes of a local one. Raises InvalidBuild."""
    for entries, role, flag in (
        (request.cache_to, "exporter", "--cache-to"),
        (request.cache_from, "importer", "--cache-from"),
    ):
        if any(entry.type == "registry" and not entry.attrs.get("ref") for entry in entries):
            raise InvalidBuild(f"registry cache {role} requires ref", flag=flag)
    if any(entry.type == "local" for entry in (*request.cache_to, *request.cache_from)):
        from buildclient.request.localcache import check_local

        check_local(request.cache_to, request.cache_from)


def with_s3_credentials(request: BuildRequest, credentials: Callable[[], Mapping[str, str]]) -> BuildRequest:
    """Returns the request with AWS credentials in each cache of type `s3` that lacks its key or its secret.

    `credentials` gives the attributes, and is called only if such a cache is there.
    """
    if not any(_lacking(entry) for entry in (*request.cache_from, *request.cache_to)):
        return request
    offered = credentials()

    def filled(entries: Iterable[CacheEntry]) -> tuple[CacheEntry, ...]:
        return tuple(
            entry._replace(attrs={**offered, **entry.attrs}) if _lacking(entry) else entry for entry in entries
        )

    return request._replace(cache_from=filled(request.cache_from), cache_to=filled(request.cache_to))


def _lacking(entry: CacheEntry) -> bool:
    return entry.type == "s3" and not {"access_key_id", "secret_access_key"} <= entry.attrs.keys()
