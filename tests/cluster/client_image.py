"""The client's image, built by the client: the repository's Dockerfile, with this machine's Python.

Two of its stages are replaced by named contexts: the Python image, and what pip would install into it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from localcluster.images.libraries import libraries_in
from tests.cluster.client_builder import BIN
from tests.conftest import ROOT

__all__ = ["build_client_image"]

_PACKAGES = ("click", "google", "h2", "hpack", "hyperframe", "yaml")
_LEFT_OUT = (
    "test", "_test*", "_ctypes_test*", "unittest", "distutils", "idlelib", "tkinter", "ensurepip", "lib2to3",
    "turtledemo", "pydoc_data", "site-packages", "config-*",
)  # fmt: skip


def build_client_image(environment: dict[str, str], folder: Path) -> str:
    """Builds and pushes the image on the builder of `environment`; returns its reference."""
    python, installed = folder / "python", folder / "installed"
    _add_packages(installed / "opt" / "buildclient")
    _add_python(python, installed)
    reference = f"{environment['REGISTRY']}/buildclient:test"
    contexts = ["--build-context", f"machine={python}", "--build-context", f"installed={installed}"]
    subprocess.run(
        [
            str(BIN / "buildclient"), "build", "--quiet", "--platform", "linux/amd64", "--build-arg", "PYTHON=machine",
            *contexts, "-f", str(ROOT / "images" / "buildclient.Dockerfile"), "--provenance=false",
            "--output", f"type=image,name={reference},push=true,registry.insecure=true", str(ROOT),
        ],
        env=environment, timeout=120, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return reference


def _add_packages(target: Path) -> None:
    there = Path(sysconfig.get_path("purelib"))
    ignore = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(ROOT / "buildclient", target / "buildclient", ignore=ignore)
    for name in _PACKAGES:
        if (there / name).is_dir():
            shutil.copytree(there / name, target / name, ignore=ignore)
        elif (there / name).is_file():
            shutil.copy(there / name, target)


def _add_python(root: Path, installed: Path) -> None:
    """The interpreter, its library, and what it and all extension modules load."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = root / "usr" / "local" / "lib" / version
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=shutil.ignore_patterns("__pycache__", *_LEFT_OUT))
    program = root / "usr" / "local" / "bin" / "python3"
    program.parent.mkdir(parents=True)
    shutil.copy(Path(sys.base_prefix) / "bin" / version, program)
    loaded: set[str] = set()
    modules = [*library.rglob("*.so"), *installed.rglob("*.so")]
    told = subprocess.run(["ldd", str(program), *map(str, modules)], capture_output=True, text=True, check=True)
    loaded.update(libraries_in(told.stdout))
    for one in loaded:
        copy = root / one.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(one).resolve(), copy)
