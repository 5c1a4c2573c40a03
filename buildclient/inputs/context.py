"""Prepares a build's context and Dockerfile (folder, URL or standard input) as folders and attributes.

Reference: loadInputs of buildx 0.38 (build/opt.go), with its messages.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat as st
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.base.gotext import go_quoted
from buildclient.base.oserrors import reason
from buildclient.contract.patterns import pattern
from buildclient.inputs.dockerfile import dockerfile_input, ignore_file
from buildclient.inputs.filesync import LocalDir, filesync
from buildclient.inputs.giturl import has_query, is_remote
from buildclient.inputs.policy import check_policies
from buildclient.inputs.stdin import Stdin
from buildclient.inputs.upload import address, upload
from buildclient.inputs.vcs import vcs_attrs
from buildclient.request.attrs import provenance_is_kept
from buildclient.request.solve import CacheEntry
from buildclient.request.values import BuildRequest
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.session.blobs import Store

__all__ = ["Prepared", "prepare"]

_CONTEXTS = "moby.buildkit.frontend.contexts+forward"
_GIT_QUERY = "moby.buildkit.frontend.gitquerystring"
_TARGET = "target:"
_HTTP = pattern(r"https?://")
_MAX_DOCKERFILE = 16 << 20
"""Bytes of a Dockerfile that comes on standard input."""
# gzip, bzip2, xz, zstd
_MAGIC = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_BLOCK = 512
"""Bytes of a tar's header."""
_CHUNK = 1 << 20


class Prepared(NamedTuple):
    """The inputs of a build, ready for a solve; implements `buildclient.inputs.interfaces.Prepared`."""

    dirs: Mapping[str, LocalDir]
    """Folders that the daemon may read, by the names that it asks with."""
    attrs: Mapping[str, str]
    """`filename`, `context`, `dockerfilekey` and what named contexts add."""
    shared_key: str
    """The context's base name: equal ones make uploads incremental."""
    uploads: Mapping[str, BinaryIO]
    """Files that the daemon fetches, by id: a context that came as an archive."""
    stores: Mapping[str, Store] = {}
    """Content stores by id: named contexts that are OCI layouts, and local caches."""
    cache_from: Sequence[CacheEntry] = ()
    skipped: Sequence[str] = ()
    """Why caches to import are left out."""

    dockerfile_url: str = ""
    """Where the Dockerfile has yet to be fetched from; empty if it is there."""

    frontend_inputs: Mapping[str, bytes] = {}
    """What goes along with the solve, as definitions (LLB) by name."""

    def put_dockerfile(self, data: bytes) -> None:
        """Takes the Dockerfile of that URL."""
        with open(os.path.join(self.dirs["dockerfile"].path, "Dockerfile"), "wb") as file:
            file.write(data)

    def services(self) -> Sequence[Service]:
        """What a node's session serves of them."""
        return (filesync(self.dirs), upload(self.uploads))


@contextlib.contextmanager
def prepare(
    request: BuildRequest, stopped: Callable[[], bool] = lambda: False, stdin: BinaryIO | None = None
) -> Iterator[Prepared]:
    """Checks context and Dockerfile; temporary files are removed afterwards.

    `stopped` is asked while standard input or Git is waited for. Raises UsageError, and Cancelled once it says True.
    """
    with contextlib.ExitStack() as stack:
        inputs = _Inputs(request, Stdin(stdin, stopped), stack)
        inputs.context()
        inputs.dockerfile()
        check_policies(request, inputs.attrs["filename"], inputs.dockerfile_folder)
        inputs.named()
        inputs.capabilities()
        inputs.caches()
        if os.path.isdir(request.context):
            folders = {name: folder.path for name, folder in inputs.dirs.items()}
            inputs.attrs.update(vcs_attrs(request.context, request.dockerfile, folders, os.environ, stopped))
        yield Prepared(
            inputs.dirs,
            inputs.attrs,
            inputs.shared_key,
            inputs.uploads,
            inputs.stores,
            inputs.cache_from,
            inputs.skipped,
            request.dockerfile if _HTTP.match(request.dockerfile) else "",
            inputs.frontend_inputs,
        )


class _Inputs:
    def __init__(self, request: BuildRequest, stdin: Stdin, stack: contextlib.ExitStack) -> None:
        self._request = request
        self._stdin = stdin
        self._stack = stack
        self._content: bytes | None = None
        self._input = b""
        self._folder = ""
        self._name = request.dockerfile
        self.dirs: dict[str, LocalDir] = {}
        self.attrs: dict[str, str] = {}
        self._caps: set[str] = set()
        self.shared_key = ""
        self.uploads: dict[str, BinaryIO] = {}
        self.stores: dict[str, Store] = {}
        self.cache_from: Sequence[CacheEntry] = request.cache_from
        self.skipped: Sequence[str] = ()

    def context(self) -> None:
        path, dockerfile = self._request.context, self._request.dockerfile
        if not path:
            raise InvalidBuild('please specify build context (e.g. "." for the current directory)')
        if path == "-":
            self._from_stdin()
        elif os.path.isdir(path):
            self.dirs["context"] = self._local(path)
            self.shared_key = os.path.basename(os.path.abspath(path))
            if dockerfile == "-":
                self._content = self._read_stdin()
            elif not dockerfile:
                self._folder = path
            else:
                self._folder, self._name = os.path.dirname(dockerfile) or ".", os.path.basename(dockerfile)
        elif is_remote(path):
            if has_query(path):
                self._caps.add(_GIT_QUERY)
            if dockerfile == "-":
                self._content = self._read_stdin()
            elif os.path.isabs(dockerfile):
                self._folder, self._name = os.path.dirname(dockerfile), os.path.basename(dockerfile)
                self.attrs["dockerfilekey"] = "dockerfile"
            self.attrs["context"] = path
        else:
            raise InvalidBuild(f"unable to prepare context: path {go_quoted(path)} not found")

    def dockerfile(self) -> None:
        if self._content is not None:
            self._folder, self._name = self._temporary(), "Dockerfile"
            with open(os.path.join(self._folder, "Dockerfile"), "wb") as file:
                file.write(self._content)
            self.attrs["dockerfilekey"] = "dockerfile"
        if _HTTP.match(self._request.dockerfile):
            self._folder, self._name = self._temporary(), "Dockerfile"
            self.attrs["dockerfilekey"] = "dockerfile"
        name = self._name or "Dockerfile"
        if self._folder:
            if not os.path.isdir(self._folder):
                raise InvalidBuild(_no_folder(self._folder))
            name = _lower_case(self._folder, name)
            folder = self.dirs["dockerfile"] = self._local(self._folder)
            if context := self.dirs.get("context"):
                added = ignore_file(context.handle, folder.handle, name)
                self.dirs["dockerfile"] = folder._replace(added=added)
                if self._goes_along():
                    self._input = dockerfile_input(folder.handle, name, added)
        self.attrs["filename"] = name

    def _goes_along(self) -> bool:
        """Whether the Dockerfile may go along with the solve.

        The daemon takes one that was piped in from a folder alone, a policy has rules for folders, and in a provenance
        the input would stand in for the folder.
        """
        request = self._request
        return not ("dockerfilekey" in self.attrs or request.source_policy or provenance_is_kept(request))

    @property
    def frontend_inputs(self) -> Mapping[str, bytes]:
        """The Dockerfile, if it goes along with the solve."""
        return {"dockerfile": self._input} if self._input else {}

    @property
    def dockerfile_folder(self) -> str:
        """The Dockerfile's own folder, if it is in one of this machine and was not piped in."""
        fetched = self._content is not None or _HTTP.match(self._request.dockerfile)
        return "" if fetched else self._folder

    def capabilities(self) -> None:
        """Names what the frontend has to know."""
        if self._caps:
            self.attrs["frontend.caps"] = ",".join(sorted(self._caps))

    def named(self) -> None:
        for name, path in self._request.build_contexts.items():
            self._caps.add(_CONTEXTS)
            if is_remote(path) or path.startswith("docker-image://"):
                self.attrs[f"context:{name}"] = path
                if has_query(path):
                    self._caps.add(f"{_GIT_QUERY}+forward")
                continue
            if path.startswith(_TARGET):
                raise InvalidBuild(f"failed to find target {path.removeprefix(_TARGET)} for context {name}")
            if path.startswith("oci-layout://"):
                from buildclient.inputs.layouts import layout_context

                layout = layout_context(path, self._stack)
                self.attrs[f"context:{name}"] = layout.attr
                self.stores[layout.store] = layout.blobs
                continue
            try:
                if not st.S_ISDIR(os.stat(path).st_mode):
                    raise InvalidBuild(f"failed to get build context path {{{path} <nil>}}: not a directory")
            except OSError as error:
                raise InvalidBuild(f"failed to get build context {name}: stat {path}: {reason(error)}") from None
            local = f"_{name}" if name in ("context", "dockerfile") else name
            self.dirs[local] = self._local(path)
            self.attrs[f"context:{name}"] = f"local:{local}"
            self.attrs[f"sharedkey:localdir:{name}"] = os.path.basename(os.path.abspath(path))

    def caches(self) -> None:
        if not any(entry.type == "local" for entry in self.cache_from):
            return
        from buildclient.inputs.layouts import local_caches

        self.cache_from, stores, self.skipped = local_caches(self.cache_from, self._stack)
        self.stores.update(stores)

    def _from_stdin(self) -> None:
        if self._request.dockerfile == "-":
            raise InvalidBuild("invalid argument: can't use stdin for both build context and dockerfile")
        head = self._stdin.read(_BLOCK)
        if not head:
            return
        if _is_archive(head):
            import tempfile

            # Kept in a file: each node fetches it, and it may be larger than memory. The file has no name, so that
            # nothing takes its place, and nothing is left of it.
            name = secrets.token_hex(13)
            file = self._stack.enter_context(tempfile.TemporaryFile(prefix="buildclient-"))  # noqa: SIM115
            file.write(head)
            while piece := self._stdin.read(_CHUNK):
                file.write(piece)
            file.flush()
            self.uploads[name] = file
            self.attrs["context"] = address(name)
            return
        if self._request.dockerfile:
            raise InvalidBuild("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles")
        self._content = head + self._read_stdin(_MAX_DOCKERFILE - len(head))
        self.dirs["context"] = self._local(self._temporary())

    def _read_stdin(self, most: int = _MAX_DOCKERFILE) -> bytes:
        data = self._stdin.read(most + 1)
        if len(data) > most:
            raise UsageError(f"the Dockerfile on standard input is longer than {_MAX_DOCKERFILE >> 20} MiB")
        return data

    def _local(self, path: str) -> LocalDir:
        """A folder that the daemon may read, held open: a result of the build may come into its place."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidBuild(f"open {path}: {reason(error)}") from None
        self._stack.callback(os.close, handle)
        return LocalDir(path, handle)

    def _temporary(self) -> str:
        # Here and elsewhere: most builds have no use for them, and a cached one is mostly imports.
        from buildclient.inputs.temporary import temporary_folder

        return self._stack.enter_context(temporary_folder())


def _is_archive(head: bytes) -> bool:
    """Returns whether bytes begin a tar, compressed or not."""
    if head.startswith(_MAGIC):
        return True
    import tarfile

    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _no_folder(path: str) -> str:
    """Returns why a path is not a folder, in the words of Go's EvalSymlinks: by its first missing part."""
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        part = "/".join(parts[:end])
        try:
            os.stat(part or "/")
        except OSError as error:
            # The reference has lost the path by then, and leaves a gap.
            return f"resolve : lstat {part}: {reason(error)}"
        if end < len(parts) and not os.path.isdir(part or "/"):
            return f"resolve : lstat {'/'.join(parts[: end + 1])}: not a directory"
    return f"stat {os.path.realpath(path) if os.path.isabs(path) else path}: not a directory"


def _lower_case(folder: str, name: str) -> str:
    """`dockerfile`, where there is no `Dockerfile`."""
    if name != "Dockerfile" or os.path.lexists(os.path.join(folder, name)):
        return name
    return "dockerfile" if os.path.lexists(os.path.join(folder, "dockerfile")) else name
