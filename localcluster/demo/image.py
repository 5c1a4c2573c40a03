"""What a registry holds under a tag, and proof that each of its images runs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from typing import NamedTuple

from localcluster.demo.steps import DemoError, Shell

__all__ = ["Image", "images_of", "run_image"]

_ACCEPT = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)


class Image(NamedTuple):
    """One platform's image in an index."""

    platform: str
    digest: str
    size: int
    """Bytes of the manifest and of what it points at."""


def images_of(registry: str, repository: str, tag: str) -> tuple[str, list[Image]]:
    """The digest of a tag's index in a plain-HTTP registry and its images. Raises DemoError."""
    index, digest = _manifest(registry, repository, tag)
    if "manifests" not in index:
        raise DemoError(f"{registry}/{repository}:{tag} is a single image, not an index of platforms")
    images = []
    for entry in index["manifests"]:
        platform = entry.get("platform", {})
        if platform.get("os") in (None, "unknown"):
            continue
        name = "/".join(filter(None, (platform["os"], platform["architecture"], platform.get("variant"))))
        manifest, _ = _manifest(registry, repository, entry["digest"])
        size = entry["size"] + sum(layer["size"] for layer in [manifest["config"], *manifest["layers"]])
        images.append(Image(name, entry["digest"], size))
    return digest, images


def run_image(shell: Shell, kubectl: str, image: str, architecture: str) -> str:
    """Runs an image once on a node of the architecture and gives its output. Raises DemoError."""
    name = f"hello-{architecture}-{uuid.uuid4().hex[:6]}"
    overrides = {
        "spec": {
            "nodeSelector": {"kubernetes.io/arch": architecture},
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
        }
    }
    try:
        shell.read(kubectl, "run", name, f"--image={image}", "--restart=Never", f"--overrides={json.dumps(overrides)}")
        shell.read(
            kubectl, "wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", timeout=70
        )
        return shell.read(kubectl, "logs", name)
    finally:
        shell.read(kubectl, "delete", "pod", name, "--ignore-not-found", "--wait=false", "--grace-period=1")


def _manifest(registry: str, repository: str, reference: str) -> tuple[dict, str]:  # type: ignore[type-arg]
    url = f"http://{registry}/v2/{repository}/manifests/{reference}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": _ACCEPT}), timeout=20) as response:
            return json.load(response), response.headers.get("Docker-Content-Digest", "")
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise DemoError(f"cannot read {repository}:{reference} from the registry {registry}: {error}") from None
