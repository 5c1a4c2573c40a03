"""Image references: parse, normalise, take apart.

Reference: the grammar of github.com/distribution/reference, which BuildKit and docker buildx use, with its messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from buildclient.base.digests import parse_digest
from buildclient.base.gotext import go_quoted
from buildclient.contract.patterns import pattern

__all__ = ["ImageTag", "InvalidReference", "Reference", "parse_reference", "parse_tag", "registry_host", "repositories"]

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = pattern(rf"((?:{_DOMAIN}/)?{_PATH})(?::({_TAG}))?(?:@({_DIGEST}))?", re.ASCII)
_NAME = pattern(rf"(?:({_DOMAIN})/)?({_PATH})", re.ASCII)
_IDENTIFIER = pattern("[a-f0-9]{64}")
_DEFAULT_DOMAIN = "docker.io"
_MAX_NAME = 255


class InvalidReference(ValueError):
    """The text is not an image reference; the message is that of distribution/reference."""


class ImageTag(str):
    """An image name as given: checked, not normalised. `parse_tag` makes one."""

    __slots__ = ()


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

    @property
    def familiar(self) -> str:
        """As people write it: without Docker Hub's own parts."""
        short = self.path.removeprefix("library/")
        text = str(self)
        if self.domain != _DEFAULT_DOMAIN:
            return text
        return (short if "/" not in short else self.path) + text[len(self.name) :]

    def __str__(self) -> str:
        text = self.name
        if self.tag:
            text += f":{self.tag}"
        return f"{text}@{self.digest}" if self.digest else text


def parse_tag(text: str) -> ImageTag:
    """Parses a `--tag` as docker buildx passes it on: checked, not normalised. Raises InvalidReference."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        if not text:
            raise InvalidReference("repository name must have at least one component")
        if _REFERENCE.fullmatch(text.lower()):
            raise InvalidReference("repository name must be lowercase")
        raise InvalidReference("invalid reference format")
    named = _NAME.fullmatch(match.group(1))
    _check(named.group(2) if named else match.group(1), match.group(3))
    return ImageTag(text)


def parse_reference(text: str) -> Reference:
    """Parses a reference with Docker Hub's defaults: `app` is `docker.io/library/app`. Raises InvalidReference."""
    if _IDENTIFIER.fullmatch(text):
        raise InvalidReference(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, rest = _split(text)
    path = rest.partition(":")[0]
    if path != path.lower():
        raise InvalidReference(f"invalid reference format: repository name ({path}) must be lowercase")
    match = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if match is None:
        raise InvalidReference("invalid reference format")
    path = match.group(1)[len(domain) + 1 :]
    _check(path, match.group(3))
    return Reference(domain, path, match.group(2) or "", match.group(3) or "")


def repositories(names: Iterable[str]) -> tuple[str, ...]:
    """The repositories of image names, without tags, each once. Raises InvalidReference that names the image."""
    found: dict[str, None] = {}
    for name in names:
        try:
            found[parse_reference(name).name] = None
        except InvalidReference as error:
            raise InvalidReference(f"invalid tag {go_quoted(name)}: {error}") from None
    return tuple(found)


def _check(path: str, digest: str | None) -> None:
    if len(path) > _MAX_NAME:
        raise InvalidReference(f"repository name must not be more than {_MAX_NAME} characters")
    if not digest:
        return
    try:
        parse_digest(digest)
    except ValueError as error:
        raise InvalidReference(str(error)) from None


def registry_host(domain: str) -> str:
    """Returns the host of a domain's API; for Docker Hub it differs from the domain of its images."""
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
