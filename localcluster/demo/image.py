"""What a registry holds under a tag, and proof that each of its images runs."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
import uuid
from datetime import timedelta
from typing import NamedTuple

from localcluster.demo.steps import DemoError, Shell

__all__ = ["Image", "print_index", "run_image"]

_LABEL = "buildkit-builders/demo=hello"
_OLD = timedelta(minutes=10)
"""A pod made so long ago that has ended is no longer read by the demo that made it."""
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

    @property
    def architecture(self) -> str:
        """As Kubernetes labels its nodes."""
        return self.platform.split("/")[1]


def print_index(registry: str, repository: str, tag: str, wanted: set[str]) -> list[Image]:
    """Prints what a tag holds in a plain-HTTP registry: index, platforms, digests. Raises DemoError if not `wanted`."""
    digest, images = _images_of(registry, repository, tag)
    print(f"  {registry}/{repository}:{tag}\n  index {digest}")
    for image in images:
        print(f"    {image.platform:<12} {image.digest}  {image.size / 1e6:.1f} MB")
    if {image.platform for image in images} != wanted:
        raise DemoError(f"the index should hold {', '.join(sorted(wanted))}")
    return images


def _images_of(registry: str, repository: str, tag: str) -> tuple[str, list[Image]]:
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


def run_image(shell: Shell, kubectl: str, image: str, architecture: str) -> None:
    """Runs an image once on a node of the architecture and prints its output. Raises DemoError."""
    name = f"hello-{architecture}-{uuid.uuid4().hex[:6]}"
    overrides = {
        "spec": {
            "nodeSelector": {"kubernetes.io/arch": architecture},
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
        }
    }
    try:
        shell.read(
            kubectl, "run", name, f"--image={image}", "--restart=Never", f"--labels={_LABEL}",
            f"--overrides={json.dumps(overrides)}",
        )  # fmt: skip
        shell.read(
            kubectl, "wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", timeout=70
        )
        for line in shell.read(kubectl, "logs", name).splitlines():
            print(f"    {line}")
    finally:
        # What went wrong before says more than that a pod stays.
        with contextlib.suppress(DemoError):
            _delete(shell, kubectl, name)
        with contextlib.suppress(DemoError):
            if left := _left_behind(shell, kubectl):
                _delete(shell, kubectl, *left)


def _delete(shell: Shell, kubectl: str, *names: str) -> None:
    shell.read(kubectl, "delete", "pod", *names, "--ignore-not-found", "--wait=false", "--grace-period=1")


def _left_behind(shell: Shell, kubectl: str) -> list[str]:
    """Pods of demos that were killed here; not those of another that is at work in the same namespace."""
    from datetime import UTC, datetime  # which a Python that step 2 would refuse may not have

    found = shell.read(
        kubectl, "get", "pod", f"-l={_LABEL}", "--field-selector=status.phase!=Pending,status.phase!=Running",
        '-o=jsonpath={range .items[*]}{.metadata.name} {.metadata.creationTimestamp}{"\\n"}{end}',
    )  # fmt: skip
    pods = [line.split() for line in found.splitlines() if line.strip()]
    before = datetime.now(UTC) - _OLD
    return [name for name, made in pods if datetime.fromisoformat(made) < before]


def _manifest(registry: str, repository: str, reference: str) -> tuple[dict, str]:  # type: ignore[type-arg]
    url = f"http://{registry}/v2/{repository}/manifests/{reference}"
    try:
        # A proxy for the internet does not know the way to this registry.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(urllib.request.Request(url, headers={"Accept": _ACCEPT}), timeout=20) as response:
            return json.load(response), response.headers.get("Docker-Content-Digest", "")
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise DemoError(f"cannot read {repository}:{reference} from the registry {registry}: {error}") from None
