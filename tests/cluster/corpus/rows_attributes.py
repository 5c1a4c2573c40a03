"""Flags that change how steps run or what an image tells, several in one line."""

from __future__ import annotations

from tests.cluster.corpus.row import Row

__all__ = ["ROWS"]

_INSECURE = "type=registry,name=TAG,registry.insecure=true"
_IMAGE = "type=image,name=TAG,registry.insecure=true"
_RUN = "FROM BASE\nARG A=0\nRUN echo SALT $A; ulimit -n; cat /etc/hosts | grep db; df -k /dev/shm | tail -1\n"
_LIMITS = ("--ulimit", "nofile=1024:2048", "--shm-size", "32m", "--add-host", "db:10.0.0.7")
_NAMED = ("--label", "a=b", "--label=c=d e", "--annotation", "manifest:k=v", "--attest=type=provenance,disabled=true")
_PLAIN = ("--progress=plain", "--pull", "--network=default")

ROWS = (
    Row("attributes-limits", (*_LIMITS, "--build-arg=A=1", "-o", _INSECURE, "CONTEXT"), _RUN),
    Row("attributes-limits-again", (*_LIMITS, *_PLAIN, "--cgroup-parent=", "-o", "OUT", "CONTEXT"), _RUN),
    Row("attributes-labels", (*_NAMED, *_PLAIN, "--sbom=false", "-o", _INSECURE, "CONTEXT")),
    Row(
        "attributes-attested",
        ("--attest", 'type=provenance,"mode=max"', "--label", "a=", "--sbom=0", "-o", _INSECURE, "CONTEXT"),
    ),
    Row("attributes-no-network", ("--network", "none", "CONTEXT"), "FROM BASE\nRUN echo SALT; ip -o addr | wc -l\n"),
    Row("image-pushed", ("-o", f"{_IMAGE},push=true,annotation.k=v", "--metadata-file", "META", "CONTEXT")),
    Row("image-kept", ("-o", _IMAGE, "--metadata-file=META", "CONTEXT")),
    Row("cacheonly-again", ("--output", "type=cacheonly", "--target=a", "CONTEXT"), "FROM scratch AS a\nCOPY . /\n"),
    Row("attributes-wrong-cgroup", ("--cgroup-parent", "/x y", "--progress", "plain", "CONTEXT")),
)
