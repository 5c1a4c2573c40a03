"""The commit step of `-o type=oci|docker,tar=false`: an image in a folder that is an OCI layout.

Other images in the folder stay, but for those of the same name. Images of several nodes become one index.
Reference: Solve of BuildKit's client (client/solve.go).
"""

from __future__ import annotations

import contextlib
import os
import stat as st
from collections.abc import Mapping, Sequence
from typing import Any

from buildclient.base.digests import parse_digest
from buildclient.base.errors import BuildFailed, InvalidBuild
from buildclient.base.ociindex import OCI_INDEX, Name, image_name, tag_name
from buildclient.base.ocilayout import put_in_index
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import read_json
from buildclient.contract.platform import Platform
from buildclient.request.destinations import ToFolder
from buildclient.request.values import NodeResult, Output
from buildclient.results.stores import StoreWriter, check_index, decoded_descriptor, in_thread, read_blob, root_of
from buildclient.session.blobs import Store
from buildclient.session.call import Service

__all__ = ["LayoutExport"]

_INDEXES = (OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_STORE = "export"
"""The id of the store in the session."""


class LayoutExport:
    """A layout that all nodes write into; implements CommitStep."""

    def __init__(
        self, output: Output, nodes: int, platforms: Sequence[Platform] = (), names: Sequence[str] | None = None
    ) -> None:
        """`platforms` are the request's, the order of the images; `names` the image's, None for those that the daemon
        answers with. Raises InvalidBuild for what is not a folder.
        """
        if not isinstance(output.dest, ToFolder):
            raise InvalidBuild(f"dest is required for {output.type} exporter")
        self._path = output.dest.path
        self._type = output.type
        self._several = nodes > 1
        self._platforms = platforms
        self._writer = StoreWriter(self._path)
        self._given = names
        self._descriptor: Mapping[str, Any] | None = None
        self._names: list[Name] = []
        _check_folder(self._path)
        check_index(self._path)

    @property
    def image(self) -> Mapping[str, Any] | None:
        """The descriptor of the image that was merged of several nodes', once staged."""
        return self._descriptor if self._several else None

    def services(self, node: int) -> Sequence[Service]:
        """Returns no services: the store is served with the others."""
        return ()

    def stores(self, node: int) -> Mapping[str, Store]:
        """Returns the folder's store."""
        return {_STORE: self._writer.of_node(node)}

    def final(self) -> str:
        """Returns nothing: blobs wait until all are there."""
        return ""

    def restart(self, node: int) -> None:
        """Forgets which blobs a node named."""
        self._writer.restart(node)

    async def stage(self, results: Sequence[NodeResult]) -> None:
        """Finds the image, and merges the images of several nodes. Raises BuildFailed for a missing one."""
        await in_thread(lambda: self._find(results), self.abort, self._path)

    async def commit(self) -> None:
        """Publishes the blobs, then the index."""
        await in_thread(self._publish, self.abort, self._path)

    def abort(self) -> None:
        """Removes blobs that are not published."""
        self._writer.close()

    def _find(self, results: Sequence[NodeResult]) -> None:
        self._writer.drop_lost()
        found = [self._image(number, result.response) for number, result in enumerate(results)]
        self._descriptor = self._merged(found) if self._several else found[0]
        names = results[0].response.get("image.name", "").split(",") if self._given is None else self._given
        self._names = [image_name(name) for name in names if name] or [tag_name("latest")]

    def _image(self, number: int, response: Mapping[str, str]) -> Mapping[str, Any]:
        text = response.get("containerimage.descriptor")
        node = self._writer.of_node(number)
        image = root_of(node, decoded_descriptor(text, encoded=True)) if text else None
        if image is None:
            raise BuildFailed(f"the daemon sent no result for output {self._type}")
        return image

    def _merged(self, images: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Writes one index over the nodes' images, in the place of their own."""
        from buildclient.registry.merge import Source, merge_sources

        store = self._writer.store
        sources, notes = [], {}
        for image in images:
            data = read_blob(store, parse_digest(image["digest"]))
            sources.append(Source({key: value for key, value in image.items() if key != "annotations"}, data))
            notes.update({f"annotation-index.{key}": value for key, value in _index_notes(image, data).items()})
        media_type, data = merge_sources(sources, notes, self._platforms)
        digest = store.add(data)
        for image in images:
            if image.get("mediaType") in _INDEXES and image["digest"] != str(digest):
                store.drop(parse_digest(image["digest"]))
        first = images[0].get("annotations")
        return {
            "mediaType": media_type,
            "digest": str(digest),
            "size": len(data),
            **({"annotations": first} if first else {}),
        }

    def _publish(self) -> None:
        assert self._descriptor is not None
        store = self._writer.store
        store.publish()
        put_in_index(store.folder, self._path, [self._descriptor], self._names)
        self._writer.published = True


def _index_notes(image: Mapping[str, Any], data: bytes) -> Mapping[str, str]:
    if image.get("mediaType") not in _INDEXES:
        return {}
    with contextlib.suppress(ValueError, AttributeError):
        return {str(key): str(value) for key, value in (read_json(data).get("annotations") or {}).items()}
    raise BuildFailed(f"the daemon wrote {image['digest']}, which is not an index")


def _check_folder(path: str) -> None:
    try:
        if not st.S_ISDIR(os.stat(path).st_mode):
            raise InvalidBuild(f"destination directory {path} is a file")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InvalidBuild(f"invalid destination directory: {path}: stat {path}: {reason(error)}") from None
