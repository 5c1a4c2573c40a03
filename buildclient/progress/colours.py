"""Which colours the live display has."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["colour_problems", "colours"]

_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def colours(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The codes of a terminal's colours for `run` (done), `cancel`, `error` and `warning`; empty where none are wanted.

    NO_COLOR goes before FORCE_COLOR and CLICOLOR_FORCE, and these before TERM=dumb. BUILDKIT_COLORS names single
    ones as for docker buildx: `run=green:error=255,0,0`.
    """
    forced = any(environ.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    if environ.get("NO_COLOR") or (environ.get("TERM") == "dumb" and not forced):
        return {}
    found = {"run": "34", "cancel": "33", "error": "31", "warning": "33"}
    for field in environ.get("BUILDKIT_COLORS", "").split(":"):
        key, _, value = field.lower().partition("=")
        if key in found and (code := _colour(value.strip('"'))):
            found[key] = code
    return found


def _colour(text: str) -> str:
    """The code of a colour's name or of three numbers up to 255; empty for anything else."""
    light = text.startswith("light-")
    if (name := text.removeprefix("light-")) in _NAMES:
        return str((90 if light else 30) + _NAMES.index(name))
    if text == "default":
        return "39"
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        return ""
    red, green, blue = (int(part) * 6 // 256 for part in parts)
    return f"38;5;{16 + 36 * red + 6 * green + blue}"


def colour_problems(environ: Mapping[str, str]) -> list[str]:
    """What is wrong in BUILDKIT_COLORS, a line each in docker buildx's words; the rest of it counts all the same.

    Reference: util/progress/progressui/colors.go of BuildKit.
    """
    given = environ.get("BUILDKIT_COLORS", "")
    if not given or environ.get("NO_COLOR"):
        return []
    return [problem for field in given.split(":") if (problem := _problem(field))]


def _problem(field: str) -> str:
    key, equals, value = field.partition("=")
    value = value.strip('"')
    if not equals or "=" in value:
        return f"Could not parse BUILDKIT_COLORS component: {field}: valid entry must have exactly two fields"
    parts = value.split(",")
    if len(parts) == 1 and not _colour(value.lower()):
        wanted = "colors must be a name from the pre-defined list or a valid 3-part RGB value"
        return f"Unknown color value found in BUILDKIT_COLORS: {key.lower()}={value}: {wanted}"
    if len(parts) not in (1, 3):
        return f"Could not parse value {value} as valid RGB color. Ignoring.: valid RGB color must have three fields"
    if not _colour(value.lower()):
        said = "is not within the valid range of 0-255" if all(map(_is_number, parts)) else "is not an integer"
        return f"A field in BUILDKIT_COLORS appears to contain an RGB value that {said}: {value}"
    if key.lower() not in ("run", "cancel", "error", "warning"):
        return f"Unknown key found in BUILDKIT_COLORS (expected: run, cancel, error, or warning): {key.lower()}"
    return ""


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
