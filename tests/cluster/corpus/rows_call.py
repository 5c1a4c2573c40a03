"""`--call` and `--check`: what the frontend answers instead of building."""

from __future__ import annotations

from tests.cluster.corpus.row import Row

__all__ = ["ROWS"]

_STAGES = """FROM BASE as base
ARG VERSION=1
# TOKEN says who asks
ARG TOKEN
ENV key value
# build builds it all
from base AS build
ARG VERSION
RUN --mount=type=secret,id=token,required --mount=type=ssh --mount=type=cache,target=/c true
"""
_BROKEN = "FROM BASE as base\nFOO bar\nRUN true\n"
_CLEAN = "FROM BASE\nRUN true\n"
_ODD = "FROM scratch\nMAINTAINER x\nEXPOSE 80/TCP\nCMD a b\nENTRYPOINT x y\nWORKDIR rel\nCMD a\nCOPY . nope/\n"
_MANY = "FROM BASE as x\n" + "".join(f"env a{number} b\n" for number in range(30))
_VARYING = (r'(?s)(?<="definition": )\{.*?\}(?=,\n\s*"language")', r"(?<=for rules: ).*")
"""The definition of the Dockerfile's own source, which names the session; names of rules in Go's order of a map."""
_TWO = ("--platform", "linux/amd64,linux/arm64")


def _row(name: str, *flags: str, dockerfile: str = _STAGES, fails: bool = False, nodes: int = 1) -> Row:
    return Row(f"call-{name}", (*flags, "CONTEXT"), dockerfile, fails=fails, nodes=nodes, masked=_VARYING)


ROWS = (
    _row("check", "--check", fails=True),
    _row("check-clean", "--check", dockerfile=_CLEAN),
    _row("check-odd", "--call=check", dockerfile=_ODD, fails=True),
    _row("check-many", "--call", "check", dockerfile=_MANY, fails=True),
    _row("check-broken", "--check", dockerfile=_BROKEN, fails=True),
    _row("check-broken-json", "--call", "check,format=json", dockerfile=_BROKEN, fails=True),
    _row("check-empty", "--check", dockerfile="", fails=True),
    _row("check-ignored", "--call", '"check","ignorestatus=true"'),
    _row("check-skipped", "--check", dockerfile=f"# check=skip=all\n{_STAGES}"),
    _row("check-as-error", "--check", dockerfile=f"# check=error=true\n{_STAGES}", fails=True),
    _row("built-with-check-as-error", dockerfile=f"# check=error=true\n{_STAGES}", fails=True),
    _row("check-json", "--call", "check,format=json", fails=True),
    _row("check-argument", "--check", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"),
    _row("check-target", "--check", "--target", "base", "--iidfile", "OUT/iid", fails=True),
    _row("check-off", "--check=false", "--call", "targets"),
    _row("check-last", "--call", "targets", "--check", fails=True),
    _row("check-two", "--check", *_TWO, nodes=2, fails=True),
    _row("outline", "--call=outline", "--build-arg", "VERSION=77"),
    _row("outline-target", "--call", "outline", "--target", "base", "--metadata-file", "META"),
    _row("outline-json", "--call", "outline,format=json"),
    _row("outline-print", "--print", "outline"),
    _row("outline-two", "--call", "outline", *_TWO, nodes=2),
    _row("outline-none", "--call", "outline", "--target", "nope", fails=True),
    _row("targets", "--call", "targets", "--metadata-file", "META"),
    Row(
        "call-outline-warned",
        ("--call", "outline", "--metadata-file", "META", "CONTEXT"),
        _STAGES,
        env={"BUILDX_METADATA_WARNINGS": "1"},
    ),
    _row("targets-json", "--call", "targets,format=json", "-q"),
    _row("targets-broken", "--call", "targets", dockerfile=_BROKEN, fails=True),
    _row("describe", "--call", "subrequests.describe"),
    _row("build", "--call", "build,format=json", "-o", "OUT", dockerfile="FROM scratch\nCOPY . /\n"),
    Row(
        "call-dockerfile-on-stdin", ("--check", "-f", "-", "CONTEXT"), stdin=_CLEAN.encode() + b"ENV a b\n", fails=True
    ),
    _row("field", "--call", "check,x=1", fails=True),
    _row("method", "--call", "check,outline", fails=True),
)
