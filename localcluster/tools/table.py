"""What the local cluster needs, which versions will do, and how each is had where it is not there already.

One row a tool. A tool is taken from PATH only whole: all its programs there, each new enough, so that no
half-old set is mixed with ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from localcluster.tools.version import Version

__all__ = ["TOOLS", "DebianPackages", "GoModule", "Program", "Tool", "tool_of"]

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Program:
    """One executable and how to tell that a found one will do."""

    name: str
    ask: tuple[str, ...] = ("--version",)
    """Arguments that make it print its version."""
    least: Version = ()
    """The oldest version that will do; empty: any."""
    below: Version = ()
    """The first version that will not do any more; empty: there is none."""
    static: bool = False
    """Whether it must run without shared libraries, because it goes into an image."""


@dataclass(frozen=True)
class GoModule:
    """Built from a pinned Go module of this folder: `go.mod` and `go.sum` name every version."""

    folder: Path
    version: str
    packages: tuple[str, ...]
    """What to build; the programs are named as Go names them."""
    ldflags: str
    rename: dict[str, str] = field(default_factory=dict)
    """Built name -> program name, where they differ."""
    links: dict[str, str] = field(default_factory=dict)
    """Program name -> the built file that acts by the name it is called with."""
    minutes: float = 1
    """How long a cold build takes on two cores, for the message only."""


@dataclass(frozen=True)
class DebianPackages:
    """Files of Debian packages, unpacked beside and not installed: no daemon starts, nothing of the machine changes."""

    packages: tuple[str, ...]
    programs: dict[str, str]
    """Program name -> its file in the packages; no other file is kept."""
    libraries: tuple[str, ...] = ()
    """Patterns of shared libraries that a small system lacks; LD_LIBRARY_PATH has to name their folder."""


@dataclass(frozen=True)
class Tool:
    """A tool: its programs, and where they come from when PATH does not have them."""

    name: str
    programs: tuple[Program, ...]
    source: GoModule | DebianPackages


def _kubernetes(name: str) -> Program:
    # The kubelet must not be newer than the apiserver and the policy that labels a node is v1 in 1.36 only.
    return Program(name, least=(1, 36), below=(1, 37))


def _module(name: str) -> Path:
    return _HERE / name


_BUILDKIT, _PULUMI, _BUILDX, _LOCAL_PATH = "v0.34.2", "v3.259.0", "v0.38.2", "v0.0.30"
_PULUMI_YAML, _ACTIONLINT = "v1.25.0", "v1.7.12"
_DAEMONS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")

TOOLS: tuple[Tool, ...] = (
    Tool(
        "kubernetes",
        (*map(_kubernetes, _DAEMONS), Program("etcd", least=(3, 5))),
        GoModule(
            _module("kubernetes"),
            "v1.36.3",
            (".",),
            _module("kubernetes").joinpath("ldflags").read_text().strip(),
            rename={"kubernetes": "hyper"},
            links=dict.fromkeys((*_DAEMONS, "etcd"), "hyper"),
            minutes=6,
        ),
    ),
    Tool(
        "buildkit",
        (
            Program("buildkitd", least=(0, 30), static=True),
            Program("buildctl", least=(0, 30), static=True),
        ),
        GoModule(
            _module("buildkit"),
            _BUILDKIT,
            ("github.com/moby/buildkit/cmd/buildkitd", "github.com/moby/buildkit/cmd/buildctl"),
            f"-X github.com/moby/buildkit/version.Version={_BUILDKIT}",
            minutes=2,
        ),
    ),
    Tool(
        "pulumi",
        (Program("pulumi", ("version",), least=(3, 200)),),
        GoModule(
            _module("pulumi"),
            _PULUMI,
            ("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",),
            # Without it the program has no version and the Automation API refuses it.
            f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={_PULUMI}",
            minutes=4,
        ),
    ),
    Tool(
        "pulumi-yaml",
        (Program("pulumi-language-yaml"),),
        GoModule(
            _module("pulumi-yaml"),
            _PULUMI_YAML,
            ("github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",),
            f"-X github.com/pulumi/pulumi-yaml/pkg/version.Version={_PULUMI_YAML}",
            minutes=2,
        ),
    ),
    Tool(
        "pulumi-sdk",
        (Program("pulumi-sdk-nodejs", ()),),
        GoModule(
            _module("pulumi-sdk"),
            _PULUMI,
            (".",),
            "",
            rename={"pulumi-sdk": "pulumi-sdk-nodejs"},
            minutes=1,
        ),
    ),
    Tool(
        "buildx",
        (Program("docker-buildx", ("version",), least=(0, 30)),),
        GoModule(
            _module("buildx"),
            _BUILDX,
            ("github.com/docker/buildx/cmd/buildx",),
            f"-X github.com/docker/buildx/version.Version={_BUILDX}",
            rename={"buildx": "docker-buildx"},
            minutes=2,
        ),
    ),
    Tool(
        "actionlint",
        (Program("actionlint", ("-version",), least=(1, 7)),),
        GoModule(
            _module("actionlint"),
            _ACTIONLINT,
            ("github.com/rhysd/actionlint/cmd/actionlint",),
            f"-X github.com/rhysd/actionlint.version={_ACTIONLINT}",
            minutes=0.5,
        ),
    ),
    Tool(
        "local-path-provisioner",
        (Program("local-path-provisioner", least=(0, 0, 30)),),
        GoModule(
            _module("local-path"),
            _LOCAL_PATH,
            ("github.com/rancher/local-path-provisioner",),
            f"-X main.VERSION={_LOCAL_PATH}",
            minutes=1.5,
        ),
    ),
    Tool(
        "containerd",
        (
            Program("containerd", least=(1, 6)),
            Program("containerd-shim-runc-v2", ("-v",), least=(1, 6)),
            Program("ctr", least=(1, 6)),
        ),
        DebianPackages(
            ("containerd",),
            {name: f"usr/bin/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
        ),
    ),
    Tool(
        "runc",
        (Program("runc", least=(1, 1)),),
        DebianPackages(("runc",), {"runc": "usr/sbin/runc"}),
    ),
    Tool(
        "registry",
        (Program("docker-registry", least=(2, 7)),),
        DebianPackages(("docker-registry",), {"docker-registry": "usr/bin/docker-registry"}),
    ),
    Tool(
        "rootlesskit",
        (Program("rootlesskit", least=(1, 0)),),
        DebianPackages(("rootlesskit",), {"rootlesskit": "usr/bin/rootlesskit"}),
    ),
    Tool(
        "uidmap",
        (Program("newuidmap"), Program("newgidmap")),
        DebianPackages(
            ("uidmap",),
            {name: f"usr/bin/{name}" for name in ("newuidmap", "newgidmap")},
        ),
    ),
    Tool(
        "docker",
        (Program("dockerd", least=(20, 10)),),
        DebianPackages(
            ("docker.io", "libdevmapper1.02.1"),
            {"dockerd": "usr/sbin/dockerd"},
            ("lib/*-linux-gnu/libdevmapper.so.*",),
        ),
    ),
    Tool(
        "podman",
        (Program("podman", least=(4, 3)), Program("conmon", least=(2, 1))),
        DebianPackages(
            ("podman", "conmon", "libgpgme11", "libassuan0", "libsubid4", "libdevmapper1.02.1"),
            {name: f"usr/bin/{name}" for name in ("podman", "conmon")},
            (
                "lib/*-linux-gnu/libdevmapper.so.*",
                *(f"usr/lib/*-linux-gnu/{name}.so.*" for name in ("libgpgme", "libassuan", "libsubid")),
            ),
        ),
    ),
    Tool(
        "busybox",
        (Program("busybox", (), least=(1, 30), static=True),),
        DebianPackages(("busybox-static",), {"busybox": "bin/busybox"}),
    ),
)


def tool_of(name: str) -> Tool:
    """The tool of that name, or the one that has a program of that name. Raises KeyError."""
    for tool in TOOLS:
        if name == tool.name or any(program.name == name for program in tool.programs):
            return tool
    raise KeyError(name)
