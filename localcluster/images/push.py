"""Pushes images to a registry over plain HTTP (distribution-spec 1.1): what is there already is not sent again."""

from __future__ import annotations

import http.client

from localcluster.errors import ClusterError
from localcluster.images.oci import Blob, Image

__all__ = ["Pusher"]

_TIMEOUT = 60


class Pusher:
    """One connection to a registry."""

    def __init__(self, registry: str) -> None:
        self._registry = registry
        self._connection = http.client.HTTPConnection(registry, timeout=_TIMEOUT)
        self._where: dict[str, str] = {}
        """Digest -> a repository that has the blob, to link it from."""

    def has(self, repository: str, tag: str, manifest: Blob) -> bool:
        """Whether the tag is this very manifest."""
        status, digest = self._head(f"/v2/{repository}/manifests/{tag}", {"Accept": manifest.kind})
        return status == 200 and digest == manifest.digest

    def image(self, repository: str, image: Image, tag: str = "") -> None:
        """Pushes an image, under a tag or by its digest only. Raises ClusterError."""
        for blob in image.blobs:
            self._blob(repository, blob)
        self.manifest(repository, image.manifest, tag or image.manifest.digest)

    def manifest(self, repository: str, manifest: Blob, reference: str) -> None:
        """Pushes a manifest or index whose parts are there. Raises ClusterError."""
        path = f"/v2/{repository}/manifests/{reference}"
        self._request("PUT", path, manifest.data, {"Content-Type": manifest.kind}, expect=(201,))

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _blob(self, repository: str, blob: Blob) -> None:
        digest = blob.digest
        if self._head(f"/v2/{repository}/blobs/{digest}", {})[0] != 200:
            known = self._where.get(digest)
            start = f"/v2/{repository}/blobs/uploads/" + (f"?mount={digest}&from={known}" if known else "")
            status, headers = self._request("POST", start, b"", {}, expect=(201, 202))
            if status == 202:
                location = headers["Location"]
                path = location[location.index("/v2/") :]
                path += ("&" if "?" in path else "?") + f"digest={digest}"
                self._request("PUT", path, blob.data, {"Content-Type": "application/octet-stream"}, expect=(201,))
        self._where.setdefault(digest, repository)

    def _head(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        status, found = self._request("HEAD", path, None, headers, expect=(200, 404))
        return status, found.get("Docker-Content-Digest", "")

    def _request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], *, expect: tuple[int, ...]
    ) -> tuple[int, dict[str, str]]:
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ClusterError(f"registry {self._registry}: {method} {path}: {error}") from None
        if response.status not in expect:
            text = answer[:200].decode(errors="replace")
            raise ClusterError(f"registry {self._registry}: {method} {path}: status {response.status} {text}")
        return response.status, dict(response.headers)
