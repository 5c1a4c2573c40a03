"""The values of a build: its request and its result.

They hold parsed values; `buildclient.request.make` parses texts into them. Field names follow the flags of
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
from buildclient.request.policy import PolicyConfig
from buildclient.request.resources import Resources
from buildclient.request.secrets import Secret
from buildclient.request.solve import CacheEntry
from buildclient.request.ssh import SshForward

__all__ = ["DEFAULT_RETRIES", "BuildRequest", "BuildResult", "NodeResult", "Output", "Retry"]

DEFAULT_RETRIES = 2


class Output(NamedTuple):
    """One `-o`: an exporter and where its result goes.

        Output("local", dest=ToFolder("out"))
        Output("image", {"push": "true"})

    `parse_outputs` makes outputs from texts and checks them.
    """

    type: str
    """`image`, `oci`, `docker`, `tar`, `local` or `cacheonly` (`registry` is `image` with `push=true`)."""
    attrs: Mapping[str, str] = {}
    """The exporter's attributes as BuildKit takes them, without `type` and `dest`."""
    dest: Destination = None
    """`ToFile` or `ToStdout` for an archive, `ToFolder` for a tree of files; None if nothing is written here."""

    @property
    def push(self) -> bool:
        """Whether the exporter pushes to a registry."""
        return self.type == "image" and self.attrs.get("push") == "true"


class BuildRequest(NamedTuple):
    """One build, for one or several platforms. `build_request` makes one from texts and checks it."""

    context: str = "."
    """A folder, a Git or HTTP URL, or `-` for standard input."""
    dockerfile: str = ""
    """As `-f`: a path relative to the working directory, `-` for standard input, empty for the default."""
    target: str = ""
    tags: tuple[ImageTag, ...] = ()
    platforms: tuple[Platform, ...] = ()
    """If empty, the native platform of the chosen node."""
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
    """In bytes; 0 means the daemon's default."""
    ulimits: tuple[Ulimit, ...] = ()
    resources: Resources = Resources()
    cgroup_parent: str = ""
    cache_from: tuple[CacheEntry, ...] = ()
    cache_to: tuple[CacheEntry, ...] = ()
    secrets: Mapping[str, Secret] = {}
    """Secrets by id, as `RUN --mount=type=secret,id=…` names them. A daemon gets these and no others."""
    ssh: tuple[SshForward, ...] = ()
    """SSH agents and keys by id, as `RUN --mount=type=ssh,id=…` names them."""
    routing_key: str = ""
    """Overrides the key for the sticky choice of a pod."""
    source_date_epoch: str = ""
    """SOURCE_DATE_EPOCH of the environment; becomes a build argument unless the request has one."""
    policies: tuple[PolicyConfig, ...] = ()
    source_policy: bytes = b""
    """Rules for the build's sources, as the message that the daemon takes (`daemon/source_policy.py`)."""
    call: str = ""
    """What the frontend is asked for instead of a build: `lint`, `outline` or `targets`; empty for a build.

    Then nothing is exported, and the answer is in the first node's response.
    """
    metadata_provenance: str = ""
    """`min` or `max`: how much provenance the result's metadata holds; empty for none."""
    retries: int = DEFAULT_RETRIES
    """How many times each node's part is taken up again after its daemon was lost; 0 for never."""
    timeout: float = 0.0
    """Seconds after which the whole build is given up, all tries included; 0 for no limit."""


class Retry(NamedTuple):
    """A daemon that was lost during a build, and where the node's part was taken up again."""

    error: str
    """What was lost, and how."""
    lost_pod: str
    """The pod that was lost; empty for a daemon at an address."""
    pod: str
    """The pod where the build went on, which may be the same one."""
    steps: int = 0
    """The steps that ended there."""
    cached: int = 0
    """How many of them were in that pod's cache."""


class NodeResult(NamedTuple):
    """The result of one node."""

    node: str
    ref: str
    """The build's id on that node's daemon (history, `Status`)."""
    platforms: tuple[Platform, ...]
    response: Mapping[str, str]
    """Exporter response: `containerimage.digest`, `containerimage.descriptor`, …"""
    retries: tuple[Retry, ...] = ()
    """The daemons that were lost on the way, the first one first."""


class BuildResult(NamedTuple):
    """The result of a build."""

    digest: str
    """Digest of the image or of the merged index; empty if no image was exported."""
    image_id: str
    """What `--iidfile` and `--quiet` write: the config digest of a single image, else `digest`."""
    nodes: tuple[NodeResult, ...]
    metadata: Mapping[str, Any]
    """The object that `--metadata-file` writes."""
