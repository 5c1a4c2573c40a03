"""Puts what several nodes pushed by digest under every tag, as one index."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from buildclient.adapters.registry import OciRegistry
from buildclient.core.errors import UsageError
from buildclient.core.flags import parse_bool
from buildclient.core.merge import Image, config_of, merge, plan_pushes, pushed_images, with_platform
from buildclient.core.ports import CredentialSource
from buildclient.core.reference import registry_host
from buildclient.core.request import BuildRequest

__all__ = ["merge_pushed"]


async def merge_pushed(
    request: BuildRequest,
    responses: Sequence[Mapping[str, str]],
    credentials: CredentialSource,
    insecure: Sequence[str] = (),
) -> str:
    """Merges the nodes' images and puts the index under every tag; gives its digest. Raises ClientError.

    `insecure` lists registries that speak plain HTTP; an output with `registry.insecure=true` adds its own.
    """
    pushed = next(output for output in request.outputs if output.push)
    names = list(request.tags) or [name for name in pushed.attrs.get("name", "").split(",") if name]
    if not names:
        raise UsageError("failed to build: tag is needed when pushing to registry")
    plan = plan_pushes(names)
    if parse_bool(pushed.attrs.get("registry.insecure", "")):
        insecure = [*insecure, *(registry_host(repository.domain) for repository in plan.repositories)]
    registry = OciRegistry(credentials, insecure)
    # Every node pushed to every repository, so one of them has all that is asked for.
    where = str(plan.repositories[0])
    images = await asyncio.gather(*(_fetch(registry, where, image) for image in pushed_images(responses)))
    merged = merge(images, request.annotations)
    await asyncio.gather(*(registry.put_manifest(str(tag), merged.media_type, merged.data) for tag in plan.tags))
    return merged.digest


async def _fetch(registry: OciRegistry, repository: str, image: Image) -> Image:
    media_type, data = await registry.get_manifest(repository, str(image.descriptor["digest"]))
    descriptor = {**image.descriptor, "size": len(data)}
    descriptor["mediaType"] = descriptor.get("mediaType") or media_type
    image = Image(descriptor, data)
    config = config_of(image)
    if config is None:
        return image
    return with_platform(image, b"".join([p async for p in registry.blob(repository, str(config["digest"]))]))
