"""OCI platforms: parse, normalise, match.

A platform is written `os/architecture[/variant]`, the system perhaps with version and features,
`windows(10.0.17763+win32k)/amd64`. The aliases, defaults and compatibility rules are those of
containerd's `platforms` package, which BuildKit and docker buildx share, so that a name means the same to all
three. Reference: OCI image-spec, image-index, "platform"; Go's GOOS, GOARCH.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["Platform", "PlatformError", "format_platforms", "parse_platform", "parse_platforms"]

_PART = re.compile(r"[A-Za-z0-9_.-]+\Z")
_OS = re.compile(r"([A-Za-z0-9_.-]+)(\([A-Za-z0-9_.%-]*(?:\+[A-Za-z0-9_.%-]+)*\))?\Z")
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
    """The operating system; version and features, which only a daemon reads, follow in brackets."""
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

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
        here, wanted = (one._replace(os=one.os.partition("(")[0]) for one in (self, wanted))
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
        return cls(*(str(value.get(part) or "") for part in cls._fields))

    def to_json(self) -> dict[str, str]:
        """The `platform` object of an OCI descriptor."""
        value = {"architecture": self.architecture, "os": self.os}
        if self.variant:
            value["variant"] = self.variant
        return value


def parse_platform(text: str) -> Platform:
    """Read `os/architecture[/variant]`, or one of the two alone (the other is then linux, or amd64).

    Raises PlatformError for empty parts, more than three parts, characters outside `[A-Za-z0-9_.-]` and a
    lone word that names neither an operating system nor an architecture.
    """
    parts = text.strip().split("/")
    system = _OS.match(parts[0])
    if system is None or not all(_PART.match(part) for part in parts[1:]) or len(parts) > 3:
        raise PlatformError(f'platform "{text}" is not of the form os/architecture[/variant], such as linux/arm64')
    lower = [part.lower() for part in (system.group(1), *parts[1:])]
    options = (system.group(2) or "").removesuffix("()")
    os = _OS_ALIASES.get(lower[0], lower[0])
    if len(lower) > 1:
        return Platform(os + options, *_architecture(lower[1], lower[2] if len(lower) == 3 else ""))
    if os in _KNOWN_OS:
        return Platform(os + options, "amd64")
    architecture, variant = _architecture(lower[0], "")
    if architecture not in _KNOWN_ARCH or system.group(2):
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
