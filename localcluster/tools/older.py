"""Older BuildKit daemons, for tests that show which ones the client serves; built only when asked for.

Each has a `go.mod` of its own below `older/`: the module's at that version, with Go's present release. All of those
listed build with it, without a patch. On two idle cores a cold build takes one to two minutes; the four share little.
"""

from __future__ import annotations

from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.instance import cache_folder
from localcluster.tools import gobuild
from localcluster.tools.cache import made_once
from localcluster.tools.report import Report, to_stderr
from localcluster.tools.table import GoModule, Program, Tool

__all__ = ["VERSIONS", "older_buildkitd"]

VERSIONS = ("v0.13.2", "v0.16.0", "v0.22.0", "v0.29.0")
_PACKAGE = "github.com/moby/buildkit/cmd/buildkitd"
_HERE = Path(__file__).resolve().parent


def older_buildkitd(version: str, report: Report = to_stderr) -> Path:
    """The file of buildkitd in that version, built if it is not in the cache. Raises ClusterError."""
    if version not in VERSIONS:
        raise ClusterError(f"there is no buildkitd {version}; there are {', '.join(VERSIONS)}")
    module = GoModule(
        _HERE / "older" / version,
        version,
        (_PACKAGE,),
        f"-X github.com/moby/buildkit/version.Version={version}",
        minutes=2,
    )
    folder = cache_folder() / gobuild.cache_name(Tool("buildkit", (Program("buildkitd"),), module), module)
    if not folder.is_dir():
        report(f"building buildkitd {version} from source, once (about {module.minutes:.0f} min on two cores)")
        made_once(folder, lambda beside: gobuild.build(module, beside, report))
    return folder / "buildkitd"
