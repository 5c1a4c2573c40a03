"""OCI platforms: parse, normalise, match.

A platform is written `os/architecture[/variant]`, the system perhaps with version and features,
`windows(10.0.17763+win32k)/amd64`. The aliases, defaults and compatibility rules are those of
containerd's `platforms` package, which BuildKit and docker buildx share, so that a name means the same to all
three. Reference: OCI image-spec, image-index, "platform"; Go's GOOS, GOARCH.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from buildclient.contract.patterns import pattern

__all__ = ["Platform", "PlatformError", "format_platforms", "os_option", "parse_platform", "parse_platforms"]

_PART = pattern(r"[A-Za-z0-9_.-]+\Z")
_OS = pattern(r"([A-Za-z0-9_.-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?\Z")
_ESCAPE = pattern(r"%([0-9A-Fa-f]{2})?")
_RESERVED = {sign: f"%{ord(sign):02X}" for sign in "%+()/"}
"""What would end an option's text, and how it is written there (containerd's osOptionReplacer)."""
_OS_ALIASES = {"macos": "darwin"}
_KNOWN_OS = frozenset(
    """
    aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9
    solaris wasip1 windows zos
    """.split()  # noqa: SIM905 - a table of 20 lines otherwise
)
_KNOWN_ARCH = frozenset(
    """
    386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32
    mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm
    """.split()  # noqa: SIM905 - a table of 20 lines otherwise
)
# alias -> (architecture, variant that the alias implies)
_ARCH_ALIASES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_ARM_VARIANT_ALIASES = {"5": "v5", "6": "v6", "7": "v7", "8": "v8"}
# What one machine also runs, best first (containerd's compatibility vectors).
_ARM_DESCENT = ("v8", "v7", "v6", "v5")


class PlatformError(ValueError):
    """A platform text is invalid; the message names the text and what is expected."""


class Platform(NamedTuple):
    """A normalised platform; compares and sorts as a tuple."""

    os: str
    """The operating system, perhaps with version and features, `windows(10.0.17763+win32k)`."""
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

    @property
    def unversioned(self) -> Platform:
        """The platform without version and features of its operating system."""
        return self._replace(os=self.os.partition("(")[0])

    @property
    def known(self) -> bool:
        """Whether Go, and so BuildKit, knows the operating system and the architecture."""
        return self.os in _KNOWN_OS and self.architecture in _KNOWN_ARCH

    def runs(self, wanted: Platform, *, strict: bool = False) -> bool:
        """Return whether a machine of this platform runs `wanted` without emulation.

        With `strict` only the same platform counts; otherwise also older variants of the architecture and its
        32-bit counterpart (an arm64 machine runs arm/v7, amd64/v3 runs amd64 and 386). Versions of the operating
        system are left to the daemon, as in containerd.
        """
        here, wanted = self.unversioned, wanted.unversioned
        if strict:
            return here == wanted
        return wanted in here.compatible()

    def compatible(self) -> tuple[Platform, ...]:
        """This platform and those it runs without emulation, best first."""
        os, architecture, variant = self
        if architecture == "amd64":
            level = int(variant[1:]) if re.fullmatch(r"v[1-9]", variant) else 1
            levels = [Platform(os, "amd64", f"v{n}" if n > 1 else "") for n in range(level, 0, -1)]
            return (*levels, Platform(os, "386"))
        if architecture == "arm64":
            newer = [Platform(os, "arm64", variant), Platform(os, "arm64")] if variant else [self]
            return (*newer, *(Platform(os, "arm", v) for v in _ARM_DESCENT))
        if architecture == "arm" and variant in _ARM_DESCENT:
            return tuple(Platform(os, "arm", v) for v in _ARM_DESCENT[_ARM_DESCENT.index(variant) :])
        return (self,)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Platform:
        """Read the `platform` object of an OCI descriptor or image config as it is spelled; fields may be missing."""
        os, architecture, variant = (str(value.get(part) or "") for part in cls._fields)
        features = value.get("os.features")
        listed = [str(one) for one in features] if isinstance(features, list) else []
        return cls(os + _options(str(value.get("os.version") or ""), listed), architecture, variant)

    def to_json(self) -> dict[str, Any]:
        """The `platform` object of an OCI descriptor."""
        os, _, options = self.os.removesuffix(")").partition("(")
        version, *features = map(os_option, options.split("+"))
        value: dict[str, Any] = {"architecture": self.architecture, "os": os}
        if version:
            value["os.version"] = version
        if features:
            value["os.features"] = features
        if self.variant:
            value["variant"] = self.variant
        return value


def parse_platform(text: str) -> Platform:
    """Read `os/architecture[/variant]`, or one of the two alone (the other is then linux, or amd64).

        parse_platform("windows(10.0.17763)/amd64")

    Raises PlatformError for empty parts, more than three parts, characters outside `[A-Za-z0-9_.-]`, an escape in the
    brackets that is none, and a lone word that names neither an operating system nor an architecture.
    """
    parts = text.strip().split("/")
    system = _OS.match(parts[0])
    if system is None or not all(_PART.match(part) for part in parts[1:]) or len(parts) > 3:
        raise PlatformError(f'platform "{text}" is not of the form os/architecture[/variant], such as linux/arm64')
    lower = [part.lower() for part in (system.group(1), *parts[1:])]
    version, features = os_option(system.group(2) or ""), (system.group(3) or "").split("+")[1:]
    options = _options(version, [os_option(one) for one in features])
    os = _OS_ALIASES.get(lower[0], lower[0])
    if len(lower) > 1:
        return Platform(os + options, *_architecture(lower[1], lower[2] if len(lower) == 3 else ""))
    if os in _KNOWN_OS:
        return Platform(os + options, "amd64")
    architecture, variant = _architecture(lower[0], "")
    if architecture not in _KNOWN_ARCH or "(" in parts[0]:
        raise PlatformError(
            f'platform "{text}" is neither an operating system nor an architecture; write it as linux/arm64'
        )
    return Platform("linux", architecture, variant)


def parse_platforms(texts: Iterable[str]) -> tuple[Platform, ...]:
    """Parse several texts, each possibly a comma-separated list; drops duplicates.

        parse_platforms(["linux/amd64,linux/arm64"])

    Raises PlatformError.
    """
    found: dict[Platform, None] = {}
    for text in texts:
        for one in text.split(","):
            if one.strip():
                found[parse_platform(one)] = None
    return tuple(found)


def format_platforms(platforms: Iterable[Platform]) -> str:
    """A comma-separated list, as BuildKit's `platform` attribute takes it."""
    return ",".join(map(str, platforms))


def _options(version: str, features: Sequence[str]) -> str:
    """The brackets behind an operating system: features sorted, each once; empty if there is nothing to say."""
    listed = [version, *sorted({one for one in features if one})]
    text = "+".join("".join(_RESERVED.get(sign, sign) for sign in one) for one in listed)
    return f"({text})" if text else ""


def os_option(text: str) -> str:
    """A version or feature without its escapes (`%2B`). Raises PlatformError for an escape that is none."""
    if "%" not in text:
        return text
    for escape in _ESCAPE.finditer(text):
        if escape.group(1) is None:
            raise PlatformError(f'invalid URL escape "{text[escape.start() : escape.start() + 3]}"')
    from urllib.parse import unquote

    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise PlatformError(f'"{text}" is not UTF-8') from None


def _architecture(name: str, variant: str) -> tuple[str, str]:
    architecture, implied = _ARCH_ALIASES.get(name, (name, ""))
    variant = variant or implied
    if architecture == "arm":
        return architecture, _ARM_VARIANT_ALIASES.get(variant, variant) or "v7"
    if architecture == "arm64" and variant in ("8", "v8", "8.0", "v8.0"):
        return architecture, ""
    if architecture == "amd64" and variant == "v1":
        return architecture, ""
    return architecture, variant
