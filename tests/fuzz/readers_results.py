"""Readers of what a daemon sends as a result."""

from __future__ import annotations

import io
import json
import tarfile

from buildclient.base.errors import BuildFailed
from buildclient.contract.platform import parse_platform
from buildclient.results.archive import merge_oci, merge_tars
from buildclient.results.tarscan import entries
from tests.fuzz.harness import Reader
from tests.unit.node_archives import Image, layout, tar_files, tar_of

__all__ = ["RESULTS"]

_IMAGE = Image("linux/amd64", attested=True)
_LAYOUT = layout([_IMAGE], ["r/a:1"], {"a": "b"})
_INDEXES = tuple(data for name, data in tar_files(_LAYOUT).items() if name == "index.json")
_WANTED = [parse_platform(name) for name in ("linux/amd64", "linux/arm64")]
_TAR = tar_of({"linux_arm64/": b"", "linux_arm64/" + "n" * 200: b"x" * 600})
_HEADERS = (
    b"ustar\x0000",
    b"PaxHeader",
    b"path=",
    b"size=",
    b"00000000000",
    b"blobs/sha256/",
    b"index.json",
    b"\0" * 512,
)


def _oci(data: bytes) -> None:
    merge_oci([io.BytesIO(data), io.BytesIO(_LAYOUT)], io.BytesIO(), _WANTED)


def _index(data: bytes) -> None:
    """The JSON alone, in a layout that is otherwise right."""
    _oci(tar_of({**_IMAGE.blobs, "index.json": data}))


def _tars(data: bytes) -> None:
    merge_tars([io.BytesIO(data), io.BytesIO(tar_of({"linux_amd64/f": b"1"}))], io.BytesIO())


RESULTS = (
    Reader("tar", lambda data: list(entries(io.BytesIO(data), len(data))), (_TAR,), _HEADERS, (tarfile.TarError,)),
    Reader("node-tar", _tars, (_TAR,), _HEADERS, (BuildFailed,)),
    Reader("node-layout", _oci, (_LAYOUT,), _HEADERS, (BuildFailed,)),
    Reader(
        "node-index",
        _index,
        (json.dumps({"manifests": [_IMAGE.entry]}).encode(), *_INDEXES),
        (b"sha256:", b"annotations", b"mediaType", b"manifests", b"application/vnd.oci.image.index.v1+json"),
        (BuildFailed,),
        json=True,
    ),
)
