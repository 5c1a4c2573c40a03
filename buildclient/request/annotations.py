"""`--annotation`: `[type[[platform]][,type…]:]key=value` to the exporter's attributes.

Reference: ParseAnnotations of buildx 0.38 and exptypes.AnnotationKey of BuildKit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from buildclient.base.errors import InvalidBuild
from buildclient.contract.platform import PlatformError, parse_platform

__all__ = ["annotation_attrs"]

_TYPE = re.compile(r"([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?\Z")
_TYPES = ("index", "index-descriptor", "manifest", "manifest-descriptor")
_PREFIX = "parse annotations: "


def annotation_attrs(texts: Sequence[str]) -> dict[str, str]:
    """Attribute names, such as `annotation-manifest[linux/arm64].key`, and their values. Raises InvalidBuild."""
    found: dict[str, str] = {}
    for text in texts:
        if not text:
            continue
        left, equals, value = text.partition("=")
        if not equals:
            raise InvalidBuild(f'{_PREFIX}invalid annotation "{text}", expected key=value')
        types, colon, key = left.partition(":")
        if not colon:
            found[f"annotation.{left}"] = value
            continue
        for item in types.split(","):
            found[f"annotation-{_typed(item)}.{key}"] = value
    return found


def _typed(item: str) -> str:
    match = _TYPE.match(item)
    if match is None:
        raise InvalidBuild(
            f'{_PREFIX}invalid annotation type "{item}", expected type and optional platform in square brackets'
        )
    kind, platform = match.groups()
    if kind not in _TYPES:
        raise InvalidBuild(f'{_PREFIX}unknown annotation type "{kind}"')
    if not platform:
        return str(kind)
    try:
        return f"{kind}[{parse_platform(platform)}]"
    except PlatformError:
        raise InvalidBuild(
            f'{_PREFIX}invalid platform "{platform}": "{platform}": '
            "unknown operating system or architecture: invalid argument"
        ) from None
