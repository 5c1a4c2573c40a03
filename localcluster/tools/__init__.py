"""The tools of the local cluster: from PATH where they are new enough, else made once into the cache.

The cache is the machine's user's, not a clone's: a second clone pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.instance import cache_folder
from localcluster.tools import debian, gobuild
from localcluster.tools.cache import made_once
from localcluster.tools.emulators import registration as emulator
from localcluster.tools.find import on_path
from localcluster.tools.report import Report, to_stderr
from localcluster.tools.table import TOOLS, DebianPackages, GoModule, Tool, tool_of

__all__ = [
    "ALL",
    "FOR_CLUSTER",
    "cni_folder",
    "emulator",
    "ensure",
    "folders",
    "missing_packages",
    "missing_sources",
    "prepare",
    "search_path",
]

ALL = tuple(tool.name for tool in TOOLS)
"""Every tool's name."""
_ON_DEMAND = ("actionlint", "buildx", "docker", "podman", "pulumi-sdk", "pulumi-yaml")
FOR_CLUSTER = tuple(name for name in ALL if name not in _ON_DEMAND)
"""What a cluster and work with it need; the rest is had when asked for."""

_known: dict[str, dict[str, Path]] = {}
"""What this process has looked up: programs are asked for their versions once."""
_PLUGINS = ("bridge", "host-local", "loopback")
_PLUGIN_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin")


def ensure(name: str, report: Report | None = None) -> Path:
    """The file of a program (a tool's name gives its first program), made if need be.

    `report` is told in one line what is being made and how long that may take. Raises ClusterError.
    """
    try:
        tool = tool_of(name)
    except KeyError:
        known = ", ".join(sorted({tool.name for tool in TOOLS}))
        raise ClusterError(f'there is no tool "{name}"; there are {known}') from None
    if tool.name not in _known:
        _known[tool.name] = _found(tool, report or to_stderr)
    files = _known[tool.name]
    return files[name if name in files else tool.programs[0].name]


def prepare(report: Report | None = None) -> None:
    """Makes all that a cluster needs, one after the other. Raises ClusterError."""
    for name in FOR_CLUSTER:
        ensure(name, report)
    cni_folder(report)
    emulator("aarch64")


def missing_sources(names: Iterable[str] = FOR_CLUSTER) -> list[str]:
    """Which of those tools would have to be built with Go, without building any."""
    return [tool.name for tool in _missing(names) if isinstance(tool.source, GoModule)]


def missing_packages() -> list[str]:
    """Names of the needed tools that would have to come from Debian packages, without fetching any."""
    return [tool.name for tool in _missing(FOR_CLUSTER) if isinstance(tool.source, DebianPackages)]


def cni_folder(report: Report | None = None) -> Path:
    """The folder with the network plugins that a node uses. Raises ClusterError."""
    for folder in map(Path, _PLUGIN_FOLDERS):
        if all((folder / name).exists() for name in _PLUGINS):
            return folder
    root = debian.kept("cni", ("containernetworking-plugins",), ("usr/lib/cni/*",), report or to_stderr)
    return root / "usr/lib/cni"


def _found(tool: Tool, report: Report) -> dict[str, Path]:
    if found := on_path(tool, cache_folder()):
        return found
    if isinstance(tool.source, GoModule):
        return _built(tool, tool.source, report)
    return _unpacked(tool, tool.source, report)


def _built(tool: Tool, module: GoModule, report: Report) -> dict[str, Path]:
    folder = cache_folder() / gobuild.cache_name(tool, module)
    if not folder.is_dir():
        report(f"building {tool.name} {module.version} from source, once (about {module.minutes:.0f} min on two cores)")
    made_once(folder, lambda beside: gobuild.build(module, beside, report))
    return {program.name: folder / program.name for program in tool.programs}


def _unpacked(tool: Tool, source: DebianPackages, report: Report) -> dict[str, Path]:
    keep = (*source.programs.values(), *source.libraries)
    folder = debian.kept(tool.name, source.packages, keep, report)
    return {name: folder / file for name, file in source.programs.items()}


def _missing(names: Iterable[str]) -> list[Tool]:
    wanted = (tool_of(name) for name in names)
    return [tool for tool in wanted if not _cached(tool) and on_path(tool, cache_folder()) is None]


def _cached(tool: Tool) -> bool:
    if isinstance(tool.source, GoModule):
        return (cache_folder() / gobuild.cache_name(tool, tool.source)).is_dir()
    return debian.in_cache(tool.name) is not None
