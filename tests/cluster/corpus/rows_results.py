"""Results: folders that are mirrored, platforms beside each other, names and annotations of archives."""

from __future__ import annotations

from tests.cluster.corpus.row import Row
from tests.cluster.equal_contexts import Plot

__all__ = ["ROWS"]

_FILES = {"a.txt": "a", "b/c.txt": "c", "linux-amd64": "amd", "linux-arm64": "arm", "salt": "SALT"}
_TWO = ("--platform", "linux/amd64,linux/arm64")
_DELETE = "type=local,mode=delete,dest="
_ALLOW = ("--allow", "buildx.local.delete")
_SPLIT = "FROM scratch\nARG TARGETARCH\nCOPY linux-$TARGETARCH /d/$TARGETARCH\n"
_IMAGE = "FROM scratch\nCOPY a.txt salt /\nLABEL a=b\n"
_NAMED = ("-t", "REGISTRY/x:1", "-t", "REGISTRY/y:2", "-t", "REGISTRY/x:latest")
_INSECURE = "type=registry,name=TAG,registry.insecure=true"
_OCI = ("-o", "type=oci,dest=OUT/a.tar,rewrite-timestamp=true")


def _links(plot: Plot) -> None:
    plot.link("../out", "/tmp")
    plot.link("../inside", "context/b")


ROWS = (
    Row("delete", ("-o", f"{_DELETE}OUT/x", "CONTEXT"), files=_FILES),
    Row("delete-two", ("-o", f"{_DELETE}OUT/x", *_TWO, "CONTEXT"), files=_FILES),
    Row("delete-mode-in-capitals", ("-o", "type=local,mode= DELETE,dest=OUT/x", "CONTEXT"), files=_FILES),
    Row("delete-here", ("-o", f"{_DELETE}.", "CONTEXT"), files=_FILES, fails=True),
    Row("delete-above", ("-o", f"{_DELETE}..", "CONTEXT"), files=_FILES, fails=True),
    Row("delete-link-out", ("-o", f"{_DELETE}out", "CONTEXT"), files=_FILES, plant=_links, fails=True),
    Row("delete-below-link-out", ("-o", f"{_DELETE}out/not-there", "CONTEXT"), files=_FILES, plant=_links, fails=True),
    Row("delete-below-link", ("-o", f"{_DELETE}inside/x", "CONTEXT"), files=_FILES, plant=_links),
    Row("delete-allowed", ("-o", f"{_DELETE}OUT", *_ALLOW, "CONTEXT"), files=_FILES),
    Row("delete-allowed-value", ("-o", "OUT", "--allow", "buildx.local.delete=1", "CONTEXT"), files=_FILES, fails=True),
    Row("local-mode", ("-o", "type=local,mode=nope,dest=OUT", "CONTEXT"), files=_FILES, fails=True),
    Row("tar-mode", ("-o", "type=tar,mode=nope,dest=OUT/a.tar", "CONTEXT"), files=_FILES, fails=True),
    Row("local-source", ("-o", "type=local,src=/b,dest=OUT", "CONTEXT"), files=_FILES),
    Row("tar-source", ("-o", "type=tar,src=/b,dest=OUT/a.tar", "CONTEXT"), files=_FILES),
    Row("local-split", ("-o", "type=local,platform-split=true,dest=OUT", "CONTEXT"), files=_FILES),
    Row("local-no-split", ("-o", "type=local,platform-split=0,dest=OUT", *_TWO, "CONTEXT"), _SPLIT, files=_FILES),
    Row(
        "local-no-split-on-two",
        ("-o", "type=local,platform-split=0,dest=OUT", *_TWO, "CONTEXT"),
        _SPLIT,
        files=_FILES,
        nodes=2,
    ),
    Row(
        "local-no-split-overlap",
        ("-o", "type=local,platform-split=0,dest=overlap", *_TWO, "CONTEXT"),
        files={"a": "SALT"},
        masked=("overwrite .* when",),
        fails=True,
    ),
    Row("local-split-wrong", ("-o", "type=local,platform-split=x,dest=OUT", "CONTEXT"), files=_FILES, fails=True),
    Row("tar-two", ("-o", "type=tar,dest=OUT/a.tar", *_TWO, "CONTEXT"), files=_FILES),
    Row("oci-two", (*_OCI, *_TWO, *_NAMED, "CONTEXT"), _IMAGE, files=_FILES),
    Row(
        "oci-annotated",
        (
            *_OCI,
            *_TWO,
            *_NAMED,
            "--annotation",
            "index,manifest:a=<1>",
            "--annotation",
            "index-descriptor:b=2",
            "--annotation",
            "manifest-descriptor:c=3",
            "--annotation",
            "manifest[linux/arm64]:d=4",
            "CONTEXT",
        ),
        _IMAGE,
        files=_FILES,
    ),
    Row("oci-docker-types", ("-o", "type=oci,oci-mediatypes=false,dest=OUT/a.tar", "CONTEXT"), _IMAGE, files=_FILES),
    Row(
        "push-annotated-on-two",
        ("-o", _INSECURE, *_TWO, "--annotation", "index,manifest:a=1", "CONTEXT"),
        _IMAGE,
        files=_FILES,
        nodes=2,
    ),
    Row("docker-two", ("-o", "type=docker,dest=OUT/a.tar", *_TWO, "CONTEXT"), files=_FILES, fails=True),
)
