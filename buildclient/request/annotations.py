"""`--annotation`: `[type[[platform]][,type…]:]key=value`, and its exporter attributes.

Reference: ParseAnnotations of buildx 0.38 and exptypes.AnnotationKey of BuildKit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_quoted
from buildclient.contract.patterns import pattern
from buildclient.contract.platform import Platform, PlatformError, parse_platform

__all__ = ["Annotation", "annotation_attrs", "parse_annotations"]

_TYPE = pattern(r"([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?\Z")
_TYPES = ("index", "index-descriptor", "manifest", "manifest-descriptor")
_PREFIX = "parse annotations: "


class Annotation(NamedTuple):
    """An annotation of the exported image."""

    key: str
    value: str
    type: str = ""
    """`index`, `index-descriptor`, `manifest` or `manifest-descriptor`; empty means every manifest."""
    platform: Platform | None = None
    """The platform whose manifest is annotated; None means every platform."""

    @property
    def attr(self) -> str:
        """The exporter attribute, such as `annotation-manifest[linux/arm64].key`."""
        place = f"-{self.type}" if self.type else ""
        return f"annotation{place}{f'[{self.platform}]' if self.platform else ''}.{self.key}"


def parse_annotations(texts: Iterable[str]) -> tuple[Annotation, ...]:
    """Parses `--annotation` texts into one Annotation for each type that a text names; skips empty texts.

        parse_annotations(["index,manifest:org.example.team=build"])

    Raises InvalidBuild.
    """
    found = []
    for text in filter(None, texts):
        left, equals, value = text.partition("=")
        if not equals:
            raise InvalidBuild(f"{_PREFIX}invalid annotation {go_quoted(text)}, expected key=value")
        types, colon, key = left.partition(":")
        if colon:
            found += [Annotation(key, value, *_typed(item)) for item in types.split(",")]
        else:
            found.append(Annotation(left, value))
    return tuple(found)


def annotation_attrs(annotations: Iterable[Annotation]) -> dict[str, str]:
    """Returns the exporter attributes with their values; the last of equal names wins."""
    return {annotation.attr: annotation.value for annotation in annotations}


def _typed(item: str) -> tuple[str, Platform | None]:
    match = _TYPE.match(item)
    if match is None:
        raise InvalidBuild(
            f"{_PREFIX}invalid annotation type {go_quoted(item)}, "
            "expected type and optional platform in square brackets"
        )
    kind, platform = match.groups()
    if kind not in _TYPES:
        raise InvalidBuild(f"{_PREFIX}unknown annotation type {go_quoted(kind)}")
    if not platform:
        return str(kind), None
    try:
        return str(kind), parse_platform(platform)
    except PlatformError:
        raise InvalidBuild(
            f"{_PREFIX}invalid platform {go_quoted(platform)}: {go_quoted(platform)}: "
            "unknown operating system or architecture: invalid argument"
        ) from None
