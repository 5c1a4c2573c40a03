"""A client that builds with BuildKit on Kubernetes, without Docker.

    from buildclient import Builder, build_request

    request = build_request(
        "app", tags=["registry.example/app:1"], platforms=["linux/amd64", "linux/arm64"], push=True
    )
    print(Builder.from_stack("dev").build(request).digest)

This package exports every name that a program needs, but for those of `buildclient.upkeep`. A name is loaded when it is
first used.
"""

import os
import signal
import sys

# Of a program, before anything else is loaded: interrupted meanwhile, it goes without a traceback.
if sys.argv and os.path.basename(sys.argv[0]) == "buildclient":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

TYPE_CHECKING = False  # Type checkers take it for true; `typing` is not loaded for it.
if TYPE_CHECKING:
    from buildclient.api import Builder
    from buildclient.base.errors import (
        BuildFailed,
        Cancelled,
        ClientError,
        ConfigurationError,
        InternalFailure,
        InvalidBuild,
        ResourceExhausted,
        UnreachableError,
        UsageError,
    )
    from buildclient.contract.output import BuilderOutput, NodeOutput
    from buildclient.contract.platform import Platform, PlatformError, parse_platforms
    from buildclient.discovery.where import Where
    from buildclient.nodes.views import BuilderView, NodeView, PodView
    from buildclient.progress.events import (
        Compressed,
        Event,
        EventSink,
        Log,
        SolveStarted,
        SourceRange,
        Vertex,
        VertexStatus,
        Warned,
        of_build,
    )
    from buildclient.progress.state import Progress
    from buildclient.progress.summary import (
        BuildSummary,
        NodeSummary,
        PlatformTime,
        StepTime,
        summarize,
        summary_lines,
    )
    from buildclient.progress.terminal import Display, choose_mode, open_display, shown
    from buildclient.registry.reference import ImageTag
    from buildclient.request.annotations import Annotation, parse_annotations
    from buildclient.request.destinations import ToContainerd, ToEngine, ToFile, ToFolder, ToStdout
    from buildclient.request.flagtext import parse_tags
    from buildclient.request.limits import HostEntry, Ulimit, parse_hosts, parse_ulimits
    from buildclient.request.make import build_request
    from buildclient.request.outputs import parse_outputs
    from buildclient.request.secrets import SecretCall, SecretEnv, SecretFile, SecretLike, SecretValue
    from buildclient.request.solve import CacheEntry
    from buildclient.request.ssh import SshForward
    from buildclient.request.values import BuildRequest, BuildResult, NodeResult, Output
    from buildclient.results.subrequests import (
        BuildArgument,
        BuildTarget,
        CheckError,
        CheckResult,
        CheckWarning,
        MountedSecret,
        Outline,
    )
else:
    _HOMES = {
        name: module
        for module, names in {
            "buildclient.api": "Builder",
            "buildclient.base.errors": "BuildFailed Cancelled ClientError ConfigurationError InternalFailure "
            "InvalidBuild ResourceExhausted UnreachableError UsageError",
            "buildclient.contract.output": "BuilderOutput NodeOutput",
            "buildclient.contract.platform": "Platform PlatformError parse_platforms",
            "buildclient.discovery.where": "Where",
            "buildclient.nodes.views": "BuilderView NodeView PodView",
            "buildclient.progress.events": "Compressed Event EventSink Log SolveStarted SourceRange Vertex "
            "VertexStatus Warned of_build",
            "buildclient.progress.state": "Progress",
            "buildclient.progress.summary": "BuildSummary NodeSummary PlatformTime StepTime summarize summary_lines",
            "buildclient.progress.terminal": "Display choose_mode open_display shown",
            "buildclient.registry.reference": "ImageTag",
            "buildclient.request.annotations": "Annotation parse_annotations",
            "buildclient.request.destinations": "ToContainerd ToEngine ToFile ToFolder ToStdout",
            "buildclient.request.flagtext": "parse_tags",
            "buildclient.request.limits": "HostEntry Ulimit parse_hosts parse_ulimits",
            "buildclient.request.make": "build_request",
            "buildclient.request.outputs": "parse_outputs",
            "buildclient.request.secrets": "SecretCall SecretEnv SecretFile SecretLike SecretValue",
            "buildclient.request.solve": "CacheEntry",
            "buildclient.request.ssh": "SshForward",
            "buildclient.request.values": "BuildRequest BuildResult NodeResult Output",
            "buildclient.results.subrequests": "BuildArgument BuildTarget CheckError CheckResult CheckWarning "
            "MountedSecret Outline",
        }.items()
        for name in names.split()
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        found = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
        return found

    def __dir__():
        return sorted({*globals(), *_HOMES})


__all__ = [
    "Annotation",
    "BuildArgument",
    "BuildFailed",
    "BuildRequest",
    "BuildResult",
    "BuildSummary",
    "BuildTarget",
    "Builder",
    "BuilderOutput",
    "BuilderView",
    "CacheEntry",
    "Cancelled",
    "CheckError",
    "CheckResult",
    "CheckWarning",
    "ClientError",
    "Compressed",
    "ConfigurationError",
    "Display",
    "Event",
    "EventSink",
    "HostEntry",
    "ImageTag",
    "InternalFailure",
    "InvalidBuild",
    "Log",
    "MountedSecret",
    "NodeOutput",
    "NodeResult",
    "NodeSummary",
    "NodeView",
    "Outline",
    "Output",
    "Platform",
    "PlatformError",
    "PlatformTime",
    "PodView",
    "Progress",
    "ResourceExhausted",
    "SecretCall",
    "SecretEnv",
    "SecretFile",
    "SecretLike",
    "SecretValue",
    "SolveStarted",
    "SourceRange",
    "SshForward",
    "StepTime",
    "ToContainerd",
    "ToEngine",
    "ToFile",
    "ToFolder",
    "ToStdout",
    "Ulimit",
    "UnreachableError",
    "UsageError",
    "Vertex",
    "VertexStatus",
    "Warned",
    "Where",
    "build_request",
    "choose_mode",
    "of_build",
    "open_display",
    "parse_annotations",
    "parse_hosts",
    "parse_outputs",
    "parse_platforms",
    "parse_tags",
    "parse_ulimits",
    "shown",
    "summarize",
    "summary_lines",
]
