"""A build as a value: what was asked for, and what came of it.

Values are parsed already: texts become them in `buildclient.request.make`, once. Field names follow the flags of
`docker buildx build`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from buildclient.contract.platform import Platform
from buildclient.registry.reference import ImageTag
from buildclient.request.annotations import Annotation
from buildclient.request.destinations import Destination
from buildclient.request.limits import HostEntry, Ulimit
from buildclient.request.solve import CacheEntry

__all__ = ["BuildRequest", "BuildResult", "NodeResult", "Output"]


class Output(NamedTuple):
    """One `-o`: an exporter and where its result goes."""

    type: str
    """`image`, `oci`, `docker`, `tar`, `local` or `cacheonly` (`registry` is `image` with `push=true`)."""
    attrs: Mapping[str, str] = {}
    """The exporter's attributes as BuildKit takes them, without `type` and `dest`."""
    dest: Destination = None
    """`ToFile`, `ToStdout` (archives) or `ToFolder` (trees); None where nothing comes back."""

    @property
    def push(self) -> bool:
        """Whether the exporter pushes to a registry."""
        return self.type == "image" and self.attrs.get("push") == "true"


class BuildRequest(NamedTuple):
    """One build, for one or several platforms; `build_request` makes one from texts."""

    context: str = "."
    """A folder, a Git or HTTP URL, or `-` for standard input."""
    dockerfile: str = ""
    """`-f` as given: a path (relative to the working directory), `-` for standard input, empty for the default."""
    target: str = ""
    tags: tuple[ImageTag, ...] = ()
    platforms: tuple[Platform, ...] = ()
    """Empty: the native platform of the node that is chosen."""
    outputs: tuple[Output, ...] = ()
    build_args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    annotations: tuple[Annotation, ...] = ()
    build_contexts: Mapping[str, str] = {}
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    attests: Mapping[str, str | None] = {}
    """Attestation type (`provenance`, `sbom`) -> parameters in CSV; None switches it off."""
    allow: tuple[str, ...] = ()
    add_hosts: tuple[HostEntry, ...] = ()
    network: str = ""
    shm_size: int = 0
    """Bytes; 0 is the daemon's default."""
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_parent: str = ""
    cache_from: tuple[CacheEntry, ...] = ()
    cache_to: tuple[CacheEntry, ...] = ()
    routing_key: str = ""
    """Overrides the key of sticky pod choice."""
    source_date_epoch: str = ""
    """SOURCE_DATE_EPOCH of the environment; becomes a build argument unless one is given."""
    metadata_provenance: str = ""
    """`min` or `max`: the result's metadata says what the build came from. Empty leaves that out."""


class NodeResult(NamedTuple):
    """What one node answered."""

    node: str
    ref: str
    """The build's id on that node's daemon (history, `Status`)."""
    platforms: tuple[Platform, ...]
    response: Mapping[str, str]
    """Exporter response: `containerimage.digest`, `containerimage.descriptor`, …"""


class BuildResult(NamedTuple):
    """What a build made."""

    digest: str
    """Digest of the image or the merged index; empty when no image was exported."""
    image_id: str
    """What `--iidfile` and `--quiet` give: the config's digest of a single image, else the digest."""
    nodes: tuple[NodeResult, ...]
    metadata: Mapping[str, Any]
    """The object that `--metadata-file` writes."""
