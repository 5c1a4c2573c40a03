"""The language host's service: what the Pulumi CLI asks of a language to run a program of it.

Left out, and answered as not implemented: making SDKs and projects (GeneratePackage, GenerateProject, Pack, Link).
"""

from __future__ import annotations

import platform
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from standins.language.environment import NoInterpreter, Program, interpreter, located
from standins.language.packages import installed, plugin_needs, site_folders
from standins.language.plugin import plugin
from standins.language.runner import Orders, Runner, outcome
from standins.protocol import language_pb2, language_pb2_grpc, plugin_pb2
from standins.serving import announced, engine_address, serve

__all__ = ["Host", "run"]

NOTICE = "pulumi-language-python: a stand-in for Pulumi's Python language host, which is not installed here"


class Host(language_pb2_grpc.LanguageRuntimeServicer):  # type: ignore[misc]
    """Answers for one engine."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._runners: list[Runner] = []
        self._early: Runner | None = None

    def stop(self) -> None:
        """Ends what still runs."""
        for runner in self._runners:
            runner.stop()

    def _start(self, python: Path) -> Runner:
        runner = Runner(python)
        self._runners.append(runner)
        return runner

    def _prepare(self, program: Program) -> None:
        """Starts the child while the engine still loads plugins: saves the time of importing the SDK."""
        with self._lock:
            if self._early is None:
                try:
                    self._early = self._start(interpreter(program))
                except NoInterpreter:
                    return

    def _runner(self, python: Path) -> Runner:
        with self._lock:
            early, self._early = self._early, None
        return early if early is not None and early.python == python else self._start(python)

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The resource plugins that the packages of the program's environment need."""
        program = located(request.info)
        self._prepare(program)
        needs = plugin_needs(_folders(program))
        packages = [_dependency(plugin_pb2.PackageDependency, need) for need in needs]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The same, for engines that ask in the old way."""
        needs = plugin_needs(_folders(located(request.info)))
        return language_pb2.GetRequiredPluginsResponse(
            plugins=[_dependency(plugin_pb2.PluginDependency, need) for need in needs]
        )

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Runs the program to its end."""
        program = located(request.info)
        try:
            python = interpreter(program)
        except NoInterpreter as problem:
            return language_pb2.RunResponse(error=str(problem))
        status = self._runner(python).run(_orders(request, program, self._engine))
        error, bail = outcome(status)
        return language_pb2.RunResponse(error=error, bail=bail)

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        """Runs a plugin that is a Python program, such as a provider of components, until the engine ends the call."""
        try:
            python = interpreter(located(request.info))
        except NoInterpreter as problem:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(problem))
        with plugin(python, request, context.add_callback) as output:
            for message in output:
                yield language_pb2.RunPluginResponse(**message)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A version no real host has."""
        return plugin_pb2.PluginInfo(version="0.0.0-standin")

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What `pulumi about` shows."""
        python = _python_or_own(located(request.info))
        return language_pb2.AboutResponse(
            executable=str(python), version=_version(python), metadata={"language host": "stand-in"}
        )

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The distributions installed in the program's environment."""
        found = [
            language_pb2.DependencyInfo(name=name, version=version)
            for name, version in installed(_folders(located(request.info)))
        ]
        return language_pb2.GetProgramDependenciesResponse(dependencies=found)

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        """Installs nothing: the environment is made with the project's own tools."""
        try:
            text = f"Nothing is installed by this stand-in; using {interpreter(located(request.info))}\n"
        except NoInterpreter as problem:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(problem))
        yield language_pb2.InstallDependenciesResponse(stdout=text.encode())

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Nothing to ask."""
        return language_pb2.RuntimeOptionsResponse()


def _python_or_own(program: Program) -> Path:
    try:
        return interpreter(program)
    except NoInterpreter:
        return Path(sys.executable)


def _version(python: Path) -> str:
    """The interpreter's version: it may be another than ours."""
    command = [str(python), "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return platform.python_version()


def _folders(program: Program) -> list[Path]:
    return site_folders(_python_or_own(program))


def _dependency(message: Any, need: Any) -> Any:
    return message(name=need.name, kind="resource", version=need.version, server=need.server)


def _orders(request: Any, program: Program, engine: str) -> Orders:
    return Orders(
        root=str(program.root),
        folder=str(program.folder),
        entry=program.entry,
        arguments=list(request.args),
        project=request.project,
        stack=request.stack,
        organization=request.organization,
        config=dict(request.config),
        secrets=list(request.configSecretKeys),
        parallel=request.parallel,
        preview=request.dryRun,
        monitor=request.monitor_address,
        engine=engine,
    )


def run(arguments: Sequence[str]) -> None:
    """The plugin's main: serves until the CLI ends."""
    host = Host(engine_address(arguments))
    if not announced():
        print(NOTICE, file=sys.stderr, flush=True)
    serve(lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server), on_end=host.stop)
