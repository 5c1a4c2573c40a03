"""Where a builder's output is found: addresses, a file, the cluster, or a Pulumi stack.

The first that applies: `--addr`; `--builder-file` or BUILDCLIENT_BUILDER; `--from-cluster NAMESPACE/NAME`; `--builder
X` or BUILDX_BUILDER (`NAMESPACE/NAME`, or a name among the project's stacks); `--stack`; the project's selected stack;
outside of a project BUILDKIT_HOST: buildctl's variable takes no build away from a project's builder.
"""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from buildclient.base.errors import ConfigurationError, UsageError
from buildclient.base.files import MAX_SIZE, read_bounded
from buildclient.base.oserrors import reason
from buildclient.base.threads import in_thread
from buildclient.contract.jsontext import read_json
from buildclient.contract.names import is_dns_label, is_dns_subdomain
from buildclient.contract.output import CONFIG_MAP_KEY, BuilderOutput, OutputError, config_map_name
from buildclient.discovery.pulumi_state import ProjectFolder

__all__ = ["ConfigMaps", "Search", "find_output", "find_outputs"]

ConfigMaps = Callable[[str, str], Awaitable[Mapping[str, str]]]
"""(namespace, name) -> a ConfigMap's data."""
_LOG = logging.getLogger("buildclient.discovery")
_MASKED = "[secret]"
_TLS_FOLDER = "BUILDCLIENT_TLSDIR"
"""The variable with a folder of a client certificate, for builders whose nodes have endpoints."""
"""What Pulumi prints for an output that is a secret."""
_HINT = "name a builder with --stack, --from-cluster NAMESPACE/NAME, --builder-file or --addr"


class Search(Protocol):
    """What the user named; empty where nothing was (`buildclient.discovery.where.Where`)."""

    @property
    def addr(self) -> tuple[str, ...]:
        """Addresses of daemons."""

    @property
    def builder_file(self) -> str:
        """A file, `-` for standard input."""

    @property
    def from_cluster(self) -> str:
        """`NAMESPACE/NAME`."""

    @property
    def builder(self) -> str:
        """`NAMESPACE/NAME`, or a builder's name."""

    @property
    def stack(self) -> str:
        """A stack's name."""

    @property
    def project(self) -> str:
        """The Pulumi project's folder."""


async def find_output(where: Search, environ: Mapping[str, str], config_map: ConfigMaps) -> BuilderOutput:
    """The builder the user means, at its endpoints where the environment has a certificate for them.

    Raises UsageError for unreadable output, ConfigurationError where there is none.
    """
    return _at_endpoints(await _find_output(where, environ, config_map), environ)


def _at_endpoints(output: BuilderOutput, environ: Mapping[str, str]) -> BuilderOutput:
    folder = environ.get(_TLS_FOLDER, "")
    if not folder or not any(node.endpoint for node in output.nodes):
        return output
    from buildclient.discovery.addresses import at_endpoints

    _LOG.debug("nodes with an endpoint are reached over TLS with the certificate of %s (%s)", folder, _TLS_FOLDER)
    return at_endpoints(output, folder, _TLS_FOLDER)


async def _find_output(where: Search, environ: Mapping[str, str], config_map: ConfigMaps) -> BuilderOutput:
    if where.addr:
        return _at_addresses(where.addr, "--addr")
    if where.builder_file:
        return await _from_file(where.builder_file, "--builder-file")
    if where.from_cluster:
        return await _from_cluster(where.from_cluster, config_map)
    if where.builder:
        return await _by_name(where, where.builder, environ, config_map)
    if where.stack:
        return await _of_stack(_project(where, environ), where.stack)
    # What the environment names yields to what the command line does.
    if named := environ.get("BUILDCLIENT_BUILDER", ""):
        if not named.lstrip().startswith("{"):
            return await _from_file(named, "BUILDCLIENT_BUILDER")
        _LOG.debug("builder output in BUILDCLIENT_BUILDER itself")
        return _read(named, "BUILDCLIENT_BUILDER")
    if named := environ.get("BUILDX_BUILDER", ""):
        return await _by_name(where, named, environ, config_map)
    host = environ.get("BUILDKIT_HOST", "")
    if host and not where.project and ProjectFolder.find(where.project, environ) is None:
        return _at_addresses([host], "BUILDKIT_HOST")
    project = _project(where, environ)
    if host:
        _LOG.debug("BUILDKIT_HOST is not used: there is project %s", project.name)
    selected = project.selected()
    if not selected:
        known = ", ".join(await in_thread(project.stacks)) or "none"
        raise ConfigurationError(f"project {project.name} has no selected stack (stacks: {known}); {_HINT}")
    _LOG.debug("stack %s is the selected one of project %s", selected, project.name)
    return await _of_stack(project, selected)


async def find_outputs(where: Search, environ: Mapping[str, str], config_map: ConfigMaps) -> list[BuilderOutput]:
    """Every builder to be found: those of all the project's stacks; without a project, the one that is meant."""
    project = None if environ.get("BUILDCLIENT_BUILDER") else ProjectFolder.find(where.project, environ)
    if project is None:
        return [await find_output(where, environ, config_map)]
    outputs = [
        _at_endpoints(_parsed(value, stack), environ)
        for stack in await in_thread(project.stacks)
        if (value := await in_thread(partial(project.output, stack))) is not None
    ]
    if not outputs:
        raise ConfigurationError(
            f"no stack of project {project.name} has a builder", hint="run: builders up --stack STACK"
        )
    return outputs


def _at_addresses(texts: Sequence[str], why: str) -> BuilderOutput:
    from buildclient.discovery.addresses import output_of_addresses

    _LOG.debug("builder at the addresses of %s: %s", why, " ".join(texts))
    return output_of_addresses(texts, why)


async def _from_file(path: str, why: str) -> BuilderOutput:
    _LOG.debug("builder output from %s %s", why, path)
    try:
        # In a thread that nobody waits for: who writes to a pipe or to standard input may never begin, or never end.
        if path == "-":
            return _read((await in_thread(_standard_input)).decode(), "standard input")
        return _read((await in_thread(partial(read_bounded, path))).decode(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the builder file {path}: {reason(error)}") from None


def _standard_input() -> bytes:
    data = sys.stdin.buffer.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise OSError(errno.EFBIG, f"it has more than {MAX_SIZE} bytes")
    return data


async def _from_cluster(name: str, config_map: ConfigMaps) -> BuilderOutput:
    namespace, slash, builder = name.partition("/")
    if not slash or not namespace or not builder or "/" in builder:
        raise UsageError(f"--from-cluster expects NAMESPACE/NAME, got {name}")
    if not is_dns_label(namespace):
        raise UsageError(f"--from-cluster {name}: {namespace} is no name of a namespace")
    if not is_dns_subdomain(config_map_name(builder)):
        raise UsageError(f"--from-cluster {name}: {builder} is no name of a builder")
    _LOG.debug("builder output from ConfigMap %s/%s", namespace, config_map_name(builder))
    found = await config_map(namespace, config_map_name(builder))
    if CONFIG_MAP_KEY not in found:
        raise ConfigurationError(f"ConfigMap {namespace}/{config_map_name(builder)} has no {CONFIG_MAP_KEY}")
    return _read(found[CONFIG_MAP_KEY], f"ConfigMap {namespace}/{config_map_name(builder)}")


async def _by_name(where: Search, name: str, environ: Mapping[str, str], config_map: ConfigMaps) -> BuilderOutput:
    if "/" in name:
        return await _from_cluster(name, config_map)
    project = _project(where, environ)
    names = []
    # Two stacks may have builders of one name: the selected one's is meant.
    selected = project.selected()
    for stack in sorted(await in_thread(project.stacks), key=lambda stack: stack != selected):
        value = await in_thread(partial(project.output, stack))
        if value is None:
            continue
        output = _parsed(value, stack)
        if output.name == name:
            _LOG.debug("builder output of stack %s, whose builder is named %s", stack, name)
            return output
        names.append(output.name)
    raise ConfigurationError(
        f"no stack of project {project.name} has a builder named {name} (there are: {', '.join(names) or 'none'})"
    )


async def _of_stack(project: ProjectFolder, stack: str) -> BuilderOutput:
    _LOG.debug("builder output of stack %s of project %s", stack, project.name)
    # The Pulumi CLI may have to be asked.
    value = await in_thread(partial(project.output, stack))
    if value is None:
        raise ConfigurationError(
            f"stack {stack} of project {project.name} has no builder yet",
            hint=f"run: builders up --stack {stack}",
        )
    return _parsed(value, stack)


def _project(where: Search, environ: Mapping[str, str]) -> ProjectFolder:
    project = ProjectFolder.find(where.project, environ)
    if project is None:
        raise ConfigurationError(f"no builder: there is no Pulumi project in {where.project or 'this folder'}; {_HINT}")
    return project


def _read(text: str, what: str) -> BuilderOutput:
    """A builder's output, or what holds one. Raises UsageError."""
    try:
        value = read_json(text)
    except ValueError:
        value = None
    try:
        if not isinstance(value, dict) or "nodes" in value:
            return BuilderOutput.loads(text)
        # `builders up -o json` has the stack's outputs beside other facts, `pulumi stack output --json` nothing else.
        outputs = value.get("outputs")
        member = (outputs if isinstance(outputs, dict) else value).get("builder")
        if isinstance(member, dict):
            return BuilderOutput.from_json(member)
    except OutputError as error:
        raise UsageError(f"{what}: {error}") from None
    if member == _MASKED:
        raise UsageError(f"{what}: the builder is a secret there: pulumi stack output --json --show-secrets")
    raise UsageError(
        f"{what}: neither a builder's output (no member nodes) nor a stack's outputs (no JSON object as member builder)"
    )


def _parsed(value: Any, stack: str) -> BuilderOutput:
    try:
        return BuilderOutput.from_json(value)
    except OutputError as error:
        raise UsageError(f"stack {stack}: {error}") from None
