"""Images into a Docker Engine."""

from __future__ import annotations

from tests.cluster.corpus.row import Row

__all__ = ["ROWS"]

_FILES = {"a.txt": "a", "b/c.txt": "c", "salt": "SALT"}
_ENGINE = {"DOCKER_HOST": "ENGINE"}
_NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
_HINT = "it ends with what to do without an engine"

ROWS = (
    Row("load", ("--load", "-t", "TAG", "--metadata-file", "META", "CONTEXT"), files=_FILES, env=_ENGINE),
    Row(
        "load-output", ("-o", "type=docker", "-t", "TAG", "--iidfile", "OUT/iid", "CONTEXT"), files=_FILES, env=_ENGINE
    ),
    Row("load-context", ("-o", "type=docker,context=default", "-t", "TAG", "CONTEXT"), files=_FILES, env=_ENGINE),
    Row("load-quiet", ("-q", "--load", "CONTEXT"), files=_FILES, env=_ENGINE),
    Row("load-other-platform", ("--load", "--platform", "linux/arm64", "-t", "TAG", "CONTEXT"), env=_ENGINE, nodes=2),
    Row(
        "load-compressed",
        ("-o", "type=docker,compression=gzip,force-compression=true", "-t", "TAG", "CONTEXT"),
        env=_ENGINE,
    ),
    Row("load-and-output", ("--load", "-o", "OUT", "-t", "TAG", "CONTEXT"), files=_FILES, env=_ENGINE),
    Row(
        "load-and-push",
        ("--load", "--push", "-t", "TAG", "--metadata-file", "META", "CONTEXT"),
        files=_FILES,
        env=_ENGINE,
    ),
    Row("load-unattested", ("--load", "--provenance=false", "-t", "TAG", "CONTEXT"), env=_ENGINE),
    Row("load-to-nowhere", ("--load", "CONTEXT"), env=_NOWHERE, fails=True, unlike=_HINT),
    Row("load-context-unknown", ("-o", "type=docker,context=nope", "CONTEXT"), fails=True, unlike=_HINT),
)
