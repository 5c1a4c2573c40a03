"""Local caches, and OCI layouts as contexts and as results."""

from __future__ import annotations

import hashlib
import json
import os

from tests.cluster.corpus.row import Row
from tests.cluster.equal_contexts import Plot

__all__ = ["ROWS"]

_FILES = {"a.txt": "a", "salt": "SALT"}
_TWO = ("--platform", "linux/amd64,linux/arm64")
_CACHE = "type=local,dest=OUT/c"
_STEPS = "FROM BASE AS make\nCOPY salt /\nRUN cat /salt > /made\nFROM scratch\nCOPY --from=make /made /\n"
_LAYOUT = "type=oci,tar=false,rewrite-timestamp=true,dest=OUT/l"
_FROM_LAYOUT = "FROM lay\nCOPY salt /\n"
_REF = "org.opencontainers.image.ref.name"


def _layout(plot: Plot) -> None:
    """A layout `lay` beside the context with two images of one file each; both were made by hand."""
    _folder(plot, "../lay/blobs/sha256")
    manifests = []
    for tag in ("one", "two"):
        platform = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}
        config = {**platform, "config": {"Labels": {"tag": tag}}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _blob(plot, config, "application/vnd.oci.image.config.v1+json"),
            "layers": [],
        }
        manifests.append({**_blob(plot, manifest, manifest["mediaType"]), "annotations": {_REF: tag}})
    plot.file("../lay/index.json", json.dumps({"schemaVersion": 2, "manifests": manifests}))
    plot.file("../lay/oci-layout", '{"imageLayoutVersion":"1.0.0"}')


def _blob(plot: Plot, value: object, kind: object) -> dict[str, object]:
    data = json.dumps(value)
    digest = hashlib.sha256(data.encode()).hexdigest()
    plot.file(f"../lay/blobs/sha256/{digest}", data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def _folder(plot: Plot, name: str) -> None:
    os.makedirs(plot.path(name))


def _broken(plot: Plot) -> None:
    _folder(plot, "../broken")
    plot.file("../broken/index.json", "[]")


def _built_on(name: str, context: str, *flags: str, fails: bool = False, masked: tuple[str, ...] = ()) -> Row:
    argv = ("--build-context", f"lay={context}", *flags, "-o", "type=oci,dest=OUT/a.tar", "CONTEXT")
    return Row(name, argv, _FROM_LAYOUT, plant=_layout, files=_FILES, fails=fails, masked=masked)


ROWS = (
    Row("cache-local", ("--cache-to", _CACHE, "CONTEXT"), _STEPS, files=_FILES),
    Row("cache-local-max", ("--cache-to", f"{_CACHE},mode=max,tag=x", "CONTEXT"), _STEPS, files=_FILES),
    Row("cache-local-index", ("--cache-to", f"{_CACHE},image-manifest=false", "CONTEXT"), _STEPS, files=_FILES),
    Row("cache-local-docker", ("--cache-to", f"{_CACHE},oci-mediatypes=false", "CONTEXT"), _STEPS, files=_FILES),
    Row(
        "cache-local-zstd",
        ("--cache-to", f"{_CACHE},compression=zstd,force-compression=true", "CONTEXT"),
        _STEPS,
        files=_FILES,
    ),
    Row("cache-local-reset", ("--cache-to", f"{_CACHE},reset=true", "CONTEXT"), _STEPS, files=_FILES),
    Row("cache-local-no-dest", ("--cache-to", "type=local,mode=max", "CONTEXT"), fails=True),
    Row("cache-local-wrong-reset", ("--cache-to", "type=local,dest=c,reset=x", "CONTEXT"), fails=True),
    Row("cache-local-in-a-file", ("--cache-to", "type=local,dest=context/a.txt", "CONTEXT"), files=_FILES, fails=True),
    Row("cache-local-wrong", ("--cache-to", "type=local,dest=c,image-manifest=x", "CONTEXT"), fails=True),
    Row("cache-from-nowhere", ("--cache-from", "type=local,src=nowhere", "-o", "OUT", "CONTEXT"), files=_FILES),
    Row("cache-from-broken", ("--cache-from", "type=local,src=broken", "-o", "OUT", "CONTEXT"), plant=_broken),
    Row("cache-from-no-source", ("--cache-from", "type=local", "CONTEXT"), fails=True),
    Row("cache-from-no-tag", ("--cache-from", "type=local,src=x,tag=", "CONTEXT"), fails=True),
    _built_on("layout-by-tag", "oci-layout://lay:two"),
    _built_on("layout-by-path", "oci-layout://CONTEXT/../lay:one"),
    _built_on("layout-no-tag", "oci-layout://lay:three", fails=True),
    _built_on("layout-of-several", "oci-layout://lay", fails=True),
    _built_on("layout-nowhere", "oci-layout://nowhere", fails=True),
    _built_on("layout-wrong-digest", f"oci-layout://lay@sha512:{'0' * 64}", fails=True),
    _built_on(
        "layout-missing-digest",
        f"oci-layout://lay@sha256:{'0' * 64}",
        fails=True,
        # gRPC's own prefix of a code.
        masked=("(rpc error: code = NotFound desc = )?content sha256",),
    ),
    Row("oci-folder", ("-o", _LAYOUT, "CONTEXT"), files=_FILES),
    Row("oci-folder-named", ("-o", _LAYOUT, "-t", "REGISTRY/x:1", "-t", "y", "CONTEXT"), files=_FILES),
    Row("oci-folder-two", ("-o", _LAYOUT, *_TWO, "CONTEXT"), files=_FILES),
    Row("oci-folder-no-dest", ("-o", "type=oci,tar=false", "CONTEXT"), fails=True),
    Row("oci-folder-stdout", ("-o", "type=oci,tar=false,dest=-", "CONTEXT"), fails=True),
    Row("oci-folder-in-a-file", ("-o", "type=oci,tar=false,dest=context/a.txt", "CONTEXT"), files=_FILES, fails=True),
    Row(
        "oci-folders",
        ("-o", "type=oci,tar=false,dest=l", "-o", "type=oci,tar=false,dest=m", "CONTEXT"),
        files=_FILES,
        fails=True,
    ),
)
