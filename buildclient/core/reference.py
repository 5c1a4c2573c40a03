"""Image references: parse, normalise, take apart.

Reference: the grammar of github.com/distribution/reference, which BuildKit and docker buildx use, with its messages.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["InvalidReference", "Reference", "parse_reference", "parse_tag", "registry_host"]

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"((?:{_DOMAIN}/)?{_PATH})(?::({_TAG}))?(?:@({_DIGEST}))?", re.ASCII)
_DEFAULT_DOMAIN = "docker.io"
_MAX_NAME = 255


class InvalidReference(ValueError):
    """A text that is no image reference; the message is distribution/reference's own."""


class Reference(NamedTuple):
    """A normalised reference."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Domain and path, without tag and digest."""
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        text = self.name
        if self.tag:
            text += f":{self.tag}"
        return f"{text}@{self.digest}" if self.digest else text


def parse_tag(text: str) -> str:
    """A `--tag` as docker buildx hands it on: checked, not normalised. Raises InvalidReference."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        if not text:
            raise InvalidReference("repository name must have at least one component")
        if _REFERENCE.fullmatch(text.lower()):
            raise InvalidReference("repository name must be lowercase")
        raise InvalidReference("invalid reference format")
    if len(match.group(1)) > _MAX_NAME:
        raise InvalidReference(f"repository name must not be more than {_MAX_NAME} characters")
    return text


def parse_reference(text: str) -> Reference:
    """A reference with Docker Hub's defaults filled in: `app` is `docker.io/library/app`. Raises InvalidReference."""
    domain, rest = _split(text)
    match = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if match is None:
        parse_tag(text)
        raise InvalidReference("invalid reference format")
    path = match.group(1)[len(domain) + 1 :]
    if len(match.group(1)) > _MAX_NAME:
        raise InvalidReference(f"repository name must not be more than {_MAX_NAME} characters")
    return Reference(domain, path, match.group(2) or "", match.group(3) or "")


def registry_host(domain: str) -> str:
    """The host that serves a domain's API: Docker Hub's is named otherwise than its images."""
    return "registry-1.docker.io" if domain in (_DEFAULT_DOMAIN, "index.docker.io") else domain


def _split(text: str) -> tuple[str, str]:
    """Domain and the rest: a first part counts as domain with a dot, a colon, a capital, or as `localhost`."""
    first, slash, rest = text.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        domain, rest = _DEFAULT_DOMAIN, text
    else:
        domain = first
    if domain == "index.docker.io":
        domain = _DEFAULT_DOMAIN
    if domain == _DEFAULT_DOMAIN and "/" not in rest:
        rest = f"library/{rest}"
    return domain, rest
