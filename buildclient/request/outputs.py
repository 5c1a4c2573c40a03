"""`-o`, `--push` and `--load`: parsed with docker buildx's rules and messages.

Reference: util/buildflags/export.go and CreateExports of buildx 0.38.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildclient.base.csvtext import CsvError, csv_fields
from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.base.gotext import go_quoted, parse_bool
from buildclient.request.destinations import Destination, ToContainerd, ToEngine, ToFile, ToFolder, ToStdout
from buildclient.request.values import Output

__all__ = [
    "build_outputs",
    "deletes",
    "is_archive",
    "is_layout",
    "loads",
    "parse_output",
    "parse_outputs",
    "with_default_load",
]

_ENGINES = (ToEngine, ToContainerd)


def parse_output(text: str) -> Output:
    """Parses one `-o`: a folder, `-` for a tar on standard output, or `type=…,dest=…,key=value`. Raises UsageError."""
    try:
        fields = csv_fields(text)
    except CsvError as error:
        raise UsageError(str(error)) from None
    if len(fields) == 1 and fields[0] == text and not text.startswith("type="):
        return Output("tar", {}, ToStdout()) if text == "-" else Output("local", {}, ToFolder(text))
    kind = dest = ""
    attrs: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"invalid value {field}")
        key = key.lower().strip()
        if key == "type":
            kind = value
        elif key == "dest":
            dest = value
        else:
            attrs[key] = value
    if not kind:
        raise UsageError("type is required for output")
    return Output(kind, attrs, _destination(Output(kind, attrs), dest))


def parse_outputs(*texts: str, push: bool = False, load: bool = False) -> tuple[Output, ...]:
    """Parses `-o` texts, with or without `--push` and `--load`, into a request's outputs.

        parse_outputs("out", "type=oci,dest=image.tar")

    Raises UsageError.
    """
    return build_outputs([parse_output(text) for text in texts], push=push, load=load)


def build_outputs(given: Sequence[Output], *, push: bool = False, load: bool = False) -> tuple[Output, ...]:
    """Returns the outputs with `--push` and `--load` applied. Raises UsageError.

    Whether a destination can be written is checked in `buildclient.results`.
    """
    outputs = [_exporter(output) for output in given]
    if push:
        images = [number for number, output in enumerate(outputs) if output.type == "image"]
        for number in images:
            attrs = {"unpack": "false", **outputs[number].attrs, "push": "true"}
            outputs[number] = outputs[number]._replace(attrs=attrs)
        if not images:
            outputs.append(Output("image", {"push": "true", "unpack": "false"}))
    if load and not loads(outputs):
        outputs.append(Output("docker", {}, ToEngine()))
    if sum(isinstance(output.dest, ToStdout) for output in outputs) > 1:
        raise InvalidBuild("multiple outputs configured to write to stdout")
    return tuple(outputs)


def with_default_load(default_load: bool, outputs: Sequence[Output], environ: Mapping[str, str]) -> tuple[Output, ...]:
    """Returns the outputs of a build on a builder with or without the option `default-load`.

    As in docker buildx it counts where no output is given, unless BUILDX_NO_DEFAULT_LOAD is true.
    """
    if default_load and not outputs and not parse_bool(environ.get("BUILDX_NO_DEFAULT_LOAD", "")):
        return (Output("docker", {}, ToEngine()),)
    return tuple(outputs)


def loads(outputs: Sequence[Output]) -> bool:
    """Returns whether any output goes into an engine."""
    return any(isinstance(output.dest, _ENGINES) for output in outputs)


def is_archive(output: Output) -> bool:
    """Returns whether an output comes back as one stream of bytes."""
    return output.type == "tar" or (
        output.type in ("oci", "docker") and parse_bool(output.attrs.get("tar", "true"), True)
    )


def deletes(output: Output) -> bool:
    """Returns whether an output removes from its folder what is not in the result. Raises InvalidBuild."""
    if output.type != "local":
        return False
    mode = output.attrs.get("mode", "")
    name = mode.strip().lower()
    if name not in ("", "copy", "delete"):
        raise InvalidBuild(f"invalid local exporter mode {go_quoted(mode)}")
    return name == "delete"


def is_layout(output: Output) -> bool:
    """Returns whether an output comes back as an OCI layout in a folder (`tar=false`)."""
    return output.type in ("oci", "docker") and not is_archive(output)


def _destination(output: Output, text: str) -> Destination:
    """Returns the destination that `dest=` means for this exporter."""
    if not text:
        return None
    if text == "-":
        return ToStdout()
    return ToFile(text) if is_archive(output) else ToFolder(text)


def _exporter(output: Output) -> Output:
    kind, attrs, dest = output.type, dict(output.attrs), output.dest
    if kind == "registry":
        return Output("image", {"unpack": "false", **attrs, "push": "true"})
    if kind == "docker" and parse_bool(attrs.get("tar", "true"), True) and (dest is None or isinstance(dest, _ENGINES)):
        context = attrs.pop("context", "")
        return Output(kind, attrs, ToEngine(context) if dest is None else dest)
    if is_archive(output):
        return Output(kind, attrs, ToStdout() if dest is None else dest)
    if kind == "local" or kind in ("oci", "docker"):
        if dest is None:
            raise InvalidBuild(f"dest is required for {kind} exporter")
        if isinstance(dest, ToStdout):
            raise InvalidBuild(f"dest cannot be stdout for {kind} exporter")
        return Output(kind, attrs, dest)
    # The other exporters return nothing, whatever `dest` says, as in docker buildx.
    return Output(kind, attrs)
