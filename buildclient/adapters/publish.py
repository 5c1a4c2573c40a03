"""Puts what several nodes pushed by digest under every tag, as one index."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from buildclient.adapters.registry import OciRegistry
from buildclient.core.annotations import annotation_attrs
from buildclient.core.attrs import repositories
from buildclient.core.errors import BuildFailed, UsageError
from buildclient.core.merge import Source, descriptor_of, digest_of, index_annotations, merge_sources
from buildclient.core.ports import CredentialSource
from buildclient.core.reference import parse_reference, registry_host
from buildclient.core.request import BuildRequest
from contract.platform import parse_platform

__all__ = ["merge_pushed"]

_INDEX_MARKS = ("index", "manifest.list")


async def merge_pushed(
    request: BuildRequest,
    responses: Sequence[Mapping[str, str]],
    credentials: CredentialSource,
    insecure: Sequence[str],
) -> str:
    """Merges the nodes' images and puts the index under every tag; gives its digest. Raises ClientError.

    `insecure` lists registries that speak plain HTTP; an output with `registry.insecure=true` adds its own.
    """
    pushed = next(output for output in request.outputs if output.push)
    names = list(request.tags) or [name for name in pushed.attrs.get("name", "").split(",") if name]
    if not names:
        raise UsageError("failed to build: tag is needed when pushing to registry")
    if pushed.attrs.get("registry.insecure") in ("true", "1", "t", "T", "True", "TRUE"):
        insecure = [*insecure, *(registry_host(parse_reference(name).domain) for name in names)]
    registry = OciRegistry(credentials, insecure)
    where = repositories(names)[0]
    sources = await asyncio.gather(*(_fetch(registry, where, descriptor_of(response)) for response in responses))
    attributes = [*(output.attrs for output in request.outputs), annotation_attrs(request.annotations)]
    media_type, data = merge_sources(sources, index_annotations(attributes))
    # The manifests are in every repository already: each node pushed to all of them. Tags come last, so that a
    # repository that refuses the index leaves no tag behind in the others.
    digest = digest_of(data)
    await _put_all(registry, [f"{repository}@{digest}" for repository in repositories(names)], media_type, data)
    await _put_all(registry, names, media_type, data)
    return digest


async def _put_all(registry: OciRegistry, names: Sequence[str], media_type: str, data: bytes) -> None:
    await asyncio.gather(*(registry.put_manifest(name, media_type, data) for name in names))


async def _fetch(registry: OciRegistry, repository: str, descriptor: dict[str, Any]) -> Source:
    media_type, data = await registry.get_manifest(repository, str(descriptor["digest"]))
    descriptor.setdefault("mediaType", media_type)
    descriptor.setdefault("size", len(data))
    is_index = any(mark in descriptor["mediaType"] for mark in _INDEX_MARKS)
    if not is_index and not descriptor.get("platform"):
        descriptor["platform"] = await _platform(registry, repository, data)
    return Source(descriptor, data)


async def _platform(registry: OciRegistry, repository: str, manifest: bytes) -> dict[str, str]:
    """The platform of an image, from its config, normalised. Raises BuildFailed."""
    try:
        digest = str(json.loads(manifest)["config"]["digest"])
        config = json.loads(b"".join([piece async for piece in registry.blob(repository, digest)]))
        text = "/".join(str(config[key]) for key in ("os", "architecture", "variant") if config.get(key))
        found = parse_platform(text)
    except (ValueError, KeyError, TypeError):
        raise BuildFailed(f"{repository}: a node pushed an image whose config names no platform") from None
    platform = {"architecture": found.architecture, "os": found.os}
    return {**platform, "variant": found.variant} if found.variant else platform
