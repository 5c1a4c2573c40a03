"""Readers of claims and of the platform's file; `readers.py` says what a Reader is."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

from buildkit_builders.claims import read_claims, resolve

from tests.fuzz.harness import Reader

_PLATFORM = b"""\
clusters: {main: {context: c, architectures: [amd64, arm64]}}
sizes:
  small: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 2Gi}, volume: 20Gi, replicas: {max: 2}}
limits: {total: {cpu: 8, storage: 1Ti}, team: {pods: 4}, teams: {a: {builders: 3}}}
images: {client: registry.example/c@sha256:00}
registries: {docker.io: {mirrors: [m.example], ca: {secret: s}}}
driver-opts: {tolerations: "key=a"}
defaults: {size: small, scaling: {min: 1, to-zero-after: 30m}, labels: {a: b}}
required-labels: [a]
privileged: ["builders-*"]
expiry: {most-days: 400}
policies: {image-digest: off, requests: warning}
"""
_CLAIMS = b"""\
- &one {name: main, owner: ada, size: small, cache: 10Gi, architectures: [amd64], clients: ["user:a", b/c, d]}
- {<<: *one, name: two, scaling: {min: 0, max: 2, to-zero-after: 1h}, expires: 2027-06-30, labels: {a: b}}
"""
_DAY = date(2026, 6, 1)
_FOLDER = tempfile.TemporaryDirectory(prefix="claims-")


def _read(platform: bytes, claims: bytes) -> None:
    """Both files; what is good is resolved, and every problem is shown."""
    folder = Path(_FOLDER.name)
    (folder / "claims").mkdir(exist_ok=True)
    (folder / "platform.yaml").write_bytes(platform)
    (folder / "claims" / "team.yaml").write_bytes(claims)
    found = read_claims(folder / "platform.yaml", folder / "claims", today=_DAY)
    for problem in found.problems:
        assert "\n" not in str(problem)
    for claim in found.claims:
        assert resolve(claim, found.platform, _DAY).spec().nodes


_WORDS = tuple(b"& * << : - --- ... {} [] null on 2027-02-30 0x1f 1e999 !!binary !!python/none | > ? @ ~ 386".split())

CLAIMS = (
    Reader(
        "claims",
        lambda data: _read(_PLATFORM, data),
        (_CLAIMS, b"name: main\nowner: ada\n---\nname: two\nowner: bob\n"),
        (*_WORDS, b"scaling", b"expires: ", b"size: small", b"name: main", b"owner: a", b"clients: "),
    ),
    Reader(
        "claims-platform",
        lambda data: _read(data, _CLAIMS),
        (_PLATFORM,),
        (*_WORDS, b"{team}", b"{name}", b"sizes", b"volume: 1Gi", b"limits: ", b"policies: ", b"driver-opts: "),
    ),
)
