"""Outputs: exporters and where they write."""

from __future__ import annotations

from tests.cluster.corpus.row import Row

__all__ = ["ROWS"]

_FILES = {"a.txt": "a", "b/c.txt": "c", "salt": "SALT"}
_INSECURE = "type=registry,name=TAG,registry.insecure=true"
_TWO = ("--platform", "linux/amd64,linux/arm64")

ROWS = (
    Row("push", ("-t", "TAG", "--push", "--metadata-file", "META", "CONTEXT"), files=_FILES),
    Row("registry", ("-o", _INSECURE, "CONTEXT"), files=_FILES),
    Row("push-two", ("-o", _INSECURE, *_TWO, "--metadata-file", "META", "CONTEXT"), files=_FILES, nodes=2),
    Row("push-quiet", ("-q", "-t", "TAG", "--push", "CONTEXT"), files=_FILES),
    Row("local", ("-o", "OUT", "CONTEXT"), files=_FILES),
    Row("local-two", ("-o", "type=local,dest=OUT", *_TWO, "CONTEXT"), files=_FILES, nodes=2),
    Row("tar", ("-o", "type=tar,dest=OUT/a.tar", "CONTEXT"), files=_FILES),
    Row("oci", ("-o", "type=oci,dest=OUT/a.tar", "-t", "REGISTRY/x:1", "CONTEXT"), files=_FILES),
    Row("docker", ("-o", "type=docker,dest=OUT/a.tar", "-t", "REGISTRY/x:1", "CONTEXT"), files=_FILES),
    Row("attested", ("-t", "TAG", "--push", "--provenance=true", *_TWO, "CONTEXT"), files=_FILES),
    Row("iidfile", ("--iidfile", "OUT/iid", "-t", "TAG", "--push", "CONTEXT"), files=_FILES),
    Row("cacheonly", ("-o", "type=cacheonly", "--metadata-file", "META", "CONTEXT"), files=_FILES),
    Row("several", ("-o", "OUT", "-o", "type=oci,dest=OUT/a.tar", "CONTEXT"), files=_FILES),
    Row("no-such-output", ("-o", "type=nope", "CONTEXT"), fails=True),
    Row("no-destination", ("-o", "type=local", "CONTEXT"), fails=True),
)
