"""A `.dockerbuild` file: build records with their logs and attachments, as docker buildx exports them.

A gzipped OCI layout: each record is an image manifest whose config is the record as JSON, and whose layers are the log,
the attestations and the results. Several records are listed by an index. Traces are left out: they hold more than the
record tells. Reference: util/desktop/bundle of buildx.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from buildclient.base.errors import ClientError, UsageError
from buildclient.base.files import replaceable
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import read_json
from buildclient.daemon.query import attributes
from buildclient.results.spool import Spool
from buildclient.upkeep import Pick, ask, find_record, records

if TYPE_CHECKING:
    from buildclient.api import Builder
    from buildclient.daemon.records import Attachment
    from buildclient.upkeep import FoundRecord

__all__ = ["record_object", "write_bundle"]

_RECORD = "application/vnd.buildkit.historyrecord.v0"
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_MOST = 1 << 30
"""Bytes of something kept with a record."""


async def write_bundle(
    builder: Builder, refs: Sequence[str], pick: Pick, output: str, *, everything: bool
) -> tuple[str, ...]:
    """Writes the records of builds, the latest one's if there are no `refs`; returns who could not be asked.

    The file appears once it is complete. Raises UsageError, ClientError.
    """
    async with builder.session():
        chosen, missed = await _chosen(builder, refs, pick, everything=everything)
        try:
            with _file(output) as out, gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped:
                await _Bundle(builder, zipped).write(chosen)
        except OSError as error:
            raise ClientError(f"cannot write {output or 'to standard output'}: {reason(error)}") from None
    return missed


async def _chosen(
    builder: Builder, refs: Sequence[str], pick: Pick, *, everything: bool
) -> tuple[list[FoundRecord], tuple[str, ...]]:
    listed, missed = await records(builder, "", pick)
    ended = [one for one in listed if one.record.completed is not None]
    if everything:
        if not ended:
            raise UsageError("no records found")
        return ended, missed
    wanted = [(await find_record(builder, ref, pick)).record.ref for ref in refs] if refs else []
    if not refs and ended:
        wanted = [ended[0].record.ref]
    chosen = [one for one in ended if one.record.ref in wanted]
    if not chosen:
        raise UsageError("no records found" if not refs else "a running build can be exported once it has ended")
    return chosen, missed


@contextlib.contextmanager
def _file(path: str) -> Iterator[IO[bytes]]:
    if not path:
        yield sys.stdout.buffer
        sys.stdout.flush()
    elif not replaceable(path):
        with open(path, "wb") as file:
            yield file
    else:
        place = os.path.realpath(path)
        os.stat(os.path.dirname(place))  # a folder that is missing is not made
        spool = Spool(os.path.dirname(place), place)
        try:
            yield spool.file
            spool.seal()
            spool.place(place)
        finally:
            spool.discard()


class _Bundle:
    """Writes the layout; each blob once."""

    def __init__(self, builder: Builder, out: Any) -> None:
        self._client = builder
        self._tar = tarfile.open(fileobj=out, mode="w|", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed in `write`
        self._written: set[str] = set()

    async def write(self, chosen: Sequence[FoundRecord]) -> None:
        for folder in ("blobs/", "blobs/sha256/"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            self._tar.addfile(info)
        manifests = [(one.record.ref, await self._record(one)) for one in chosen]
        if len(manifests) == 1:
            top = manifests[0][1]
        else:
            named = [{**one, "annotations": {"vnd.buildkit.history.reference": ref}} for ref, one in manifests]
            top = self._json(_INDEX, {"schemaVersion": 2, "mediaType": _INDEX, "manifests": named})
        self._add("index.json", json.dumps({"schemaVersion": 2, "manifests": [top]}).encode())
        self._add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        self._tar.close()

    async def _record(self, found: FoundRecord) -> dict[str, Any]:
        record = found.record
        kept = [one for one in (record.logs, *record.attachments, record.error_details) if one is not None]
        layers, seen = [], set()
        for one in kept:
            if one.digest not in seen and await self._blob(found, one):
                layers.append(_layer(one, found))
            seen.add(one.digest)
        config = self._json(_RECORD, record_object(record.raw))
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
        return self._json(_MANIFEST, manifest)

    async def _blob(self, found: FoundRecord, one: Attachment) -> bool:
        """Whether the daemon has it still: a result may be gone by now."""
        from buildclient.daemon.records import save_content

        if one.digest in self._written:
            return True
        with tempfile.TemporaryFile() as spool:
            done = await ask(
                self._client, save_content(one.digest, _MOST, spool.write), Pick(found.node, found.pod), 600.0
            )
            if done.missed:
                if "not found" in done.missed[0]:
                    return False
                raise ClientError("; ".join(done.missed))
            info = tarfile.TarInfo(_path(one.digest))
            info.size, info.mode = spool.tell(), 0o444
            spool.seek(0)
            self._tar.addfile(info, spool)
        self._written.add(one.digest)
        return True

    def _json(self, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
        data = json.dumps(value, indent=2, ensure_ascii=False).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest not in self._written:
            self._written.add(digest)
            self._add(_path(digest), data)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def _add(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o444
        self._tar.addfile(info, io.BytesIO(data))


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _layer(one: Attachment, found: FoundRecord) -> dict[str, Any]:
    """A descriptor; a result's own media type would lead readers to blobs that are not there."""
    annotations, kind = dict(one.annotations), one.media_type
    attested = one in (found.record.logs, found.record.error_details) or "in-toto" in kind
    if not attested:
        annotations["vnd.export-build.descriptor.mediatype"] = kind
        kind = "application/json"
    told: dict[str, Any] = {"mediaType": kind, "digest": one.digest, "size": one.size}
    return {**told, "annotations": annotations} if annotations else told


def record_object(message: Any) -> dict[str, Any]:
    """Returns a record's message as the JSON that Go makes of it, without empty fields, trace and cache credentials."""
    attrs = attributes(message.frontend_attrs)
    if "cache-imports" in attrs:
        attrs["cache-imports"] = _without_credentials(attrs["cache-imports"])
    results = {name: _result(one) for name, one in message.results.items()}
    told = {
        "Ref": message.ref,
        "Frontend": message.frontend,
        "FrontendAttrs": attrs,
        "Exporters": [_kept(Type=one.type, Attrs=attributes(one.attrs)) for one in message.exporters],
        "error": _kept(code=message.error.code, message=message.error.message),
        "CreatedAt": _kept(seconds=message.created_at.seconds, nanos=message.created_at.nanos),
        "CompletedAt": _kept(seconds=message.completed_at.seconds, nanos=message.completed_at.nanos),
        "logs": _descriptor(message.logs),
        "ExporterResponse": attributes(message.exporter_response),
        "Result": _result(message.result),
        "Results": results,
        "Generation": message.generation,
        "pinned": message.pinned,
        "numCachedSteps": message.cached_steps,
        "numTotalSteps": message.total_steps,
        "numCompletedSteps": message.completed_steps,
        "externalError": _descriptor(message.external_error),
        "numWarnings": message.warnings,
    }
    return {**_kept(**told), "DefaultPlatform": ""}


def _without_credentials(text: str) -> str:
    try:
        entries = read_json(text)
        for entry in entries:
            entry["Attrs"] = {key: value for key, value in entry["Attrs"].items() if key in ("scope", "ref")}
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""
    return json.dumps(entries, separators=(",", ":"))


def _result(message: Any) -> dict[str, Any]:
    return _kept(
        ResultDeprecated=_descriptor(message.result),
        Attestations=[_descriptor(one) for one in message.attestations],
        Results={str(number): _descriptor(one) for number, one in message.results.items()},
    )


def _descriptor(message: Any) -> dict[str, Any]:
    return _kept(
        media_type=message.media_type,
        digest=message.digest,
        size=message.size,
        annotations=dict(message.annotations),
    )


def _kept(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
