"""Which Pulumi packages a program's environment holds: each brings a `pulumi-plugin.json` that names its plugin."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PluginNeed", "installed", "plugin_needs", "site_folders"]


@dataclass(frozen=True)
class PluginNeed:
    """A resource plugin that an installed package asks for."""

    name: str
    version: str
    """As the package writes it, with or without a leading v; may be empty."""
    server: str = ""


def site_folders(python: Path) -> list[Path]:
    """The folders where the packages of an interpreter's virtual environment are."""
    root = python.parent.parent
    return sorted(root.glob("lib/python3.*/site-packages"))


def plugin_needs(folders: Iterable[Path]) -> list[PluginNeed]:
    """The plugins wanted by the packages in `folders`, by name. A file that can't be read counts for nothing."""
    needs: dict[str, PluginNeed] = {}
    for folder in folders:
        for file in sorted(folder.glob("*/pulumi-plugin.json")):
            need = _read(file)
            if need is not None:
                needs.setdefault(need.name, need)
    return [needs[name] for name in sorted(needs)]


def _read(file: Path) -> PluginNeed | None:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not content.get("resource"):
        return None
    name = content.get("name") or file.parent.name.removeprefix("pulumi_")
    return PluginNeed(str(name), str(content.get("version") or ""), str(content.get("server") or ""))


def installed(folders: Iterable[Path]) -> list[tuple[str, str]]:
    """Name and version of each installed distribution, by name."""
    found: dict[str, str] = {}
    for folder in folders:
        for info in folder.glob("*.dist-info"):
            name, _, version = info.name.removesuffix(".dist-info").partition("-")
            found.setdefault(name, version)
    return sorted(found.items())
