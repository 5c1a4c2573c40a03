"""Pushes one index over the images that several nodes pushed by digest, under every tag."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from buildclient.base.errors import BuildFailed
from buildclient.contract.jsontext import MAX_SIZE, read_json
from buildclient.contract.platform import Platform, parse_platform
from buildclient.registry.client import OciRegistry
from buildclient.registry.merge import Source, descriptor_of, digest_of, merge_sources
from buildclient.registry.reference import repositories

__all__ = ["publish_index"]

_LOG = logging.getLogger("buildclient.registry")
_INDEX_MARKS = ("index", "manifest.list")


async def publish_index(
    registry: OciRegistry,
    names: Sequence[str],
    responses: Sequence[Mapping[str, str]],
    annotations: Mapping[str, str],
) -> str:
    """Merges images that were pushed by digest and puts the index under every name; returns its digest.

    `names` are image names with or without a tag, `responses` the exporters' responses, one for each pushed image;
    `annotations` are exporter attributes such as `annotation-index.key` (`merge_sources`). Raises ClientError.
    """
    places = repositories(names)
    sources = await asyncio.gather(*(_fetch(registry, places[0], descriptor_of(response)) for response in responses))
    media_type, data = merge_sources(sources, annotations)
    # Each node pushed to every repository, so the manifests are there. Tags come last: a repository that refuses
    # the index leaves no tag behind in the others.
    digest = digest_of(data)
    _LOG.debug("index %s over %d images, to be tagged %s", digest, len(sources), ", ".join(names))
    await _put_all(registry, [f"{repository}@{digest}" for repository in places], media_type, data)
    await _put_all(registry, names, media_type, data)
    return digest


async def _put_all(registry: OciRegistry, names: Sequence[str], media_type: str, data: bytes) -> None:
    await asyncio.gather(*(registry.put_manifest(name, media_type, data) for name in names))


async def _fetch(registry: OciRegistry, repository: str, descriptor: dict[str, Any]) -> Source:
    media_type, data = await registry.get_manifest(repository, str(descriptor["digest"]), fresh=True)
    descriptor.setdefault("mediaType", media_type)
    descriptor.setdefault("size", len(data))
    is_index = any(mark in descriptor["mediaType"] for mark in _INDEX_MARKS)
    if not is_index and not descriptor.get("platform"):
        descriptor["platform"] = await _platform(registry, repository, data)
    return Source(descriptor, data)


async def _platform(registry: OciRegistry, repository: str, manifest: bytes) -> dict[str, str]:
    """The platform of an image, from its config, normalised. Raises BuildFailed."""
    try:
        digest = str(read_json(manifest)["config"]["digest"])
        data = b""
        async for piece in registry.blob(repository, digest, fresh=True):
            data += piece
            if len(data) > MAX_SIZE:
                break
        config = read_json(data)
        return parse_platform(str(Platform.from_json(config))).to_json()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BuildFailed(f"{repository}: a node pushed an image whose config names no platform") from None
