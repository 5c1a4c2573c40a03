"""What a build's context and Dockerfile are, for every way to give them; refusals in docker buildx's words."""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import io
import os
import resource
import tarfile
from pathlib import Path

import pytest

from buildclient.base.errors import UsageError
from buildclient.inputs.context import Prepared, prepare
from buildclient.inputs.filesync import filesync
from buildclient.inputs.stdin import Stdin
from buildclient.inputs.upload import upload
from buildclient.request.values import BuildRequest
from buildclient.session.call import Status
from buildclient.session.wire import read_bytes_message
from tests.unit.filesync_call import MemoryCall


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with one context of each kind."""
    for name in ("app/Dockerfile", "app/f", "lower/dockerfile", "out/My.df", "out/My.df.dockerignore", "plain"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("FROM scratch\n")
    (tmp_path / "linked").symlink_to("app")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _prepared(stdin: bytes = b"", **request: object) -> Prepared:
    with prepare(BuildRequest(**request), stdin=io.BytesIO(stdin)) as prepared:  # type: ignore[arg-type]
        return prepared


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("Dockerfile"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("request_", "folders", "attrs", "key"),
    [
        ({"context": "app"}, {"context": "app", "dockerfile": "app"}, {"filename": "Dockerfile"}, "app"),
        ({"context": "app/"}, {"context": "app/", "dockerfile": "app/"}, {"filename": "Dockerfile"}, "app"),
        ({"context": "linked"}, {"context": "linked", "dockerfile": "linked"}, {"filename": "Dockerfile"}, "linked"),
        ({"context": "lower"}, {"context": "lower", "dockerfile": "lower"}, {"filename": "dockerfile"}, "lower"),
        (
            {"context": "app", "dockerfile": "out/My.df"},
            {"context": "app", "dockerfile": "out"},
            {"filename": "My.df"},
            "app",
        ),
        (
            {"context": "app", "dockerfile": "plain"},
            {"context": "app", "dockerfile": "."},
            {"filename": "plain"},
            "app",
        ),
        (
            {"context": "https://example.com/x.git#main:sub", "dockerfile": "sub/Dockerfile"},
            {},
            {"filename": "sub/Dockerfile", "context": "https://example.com/x.git#main:sub"},
            "",
        ),
        (
            {"context": "app", "build_contexts": {"n": "lower", "base": "docker-image://alpine"}},
            {"context": "app", "dockerfile": "app", "n": "lower"},
            {
                "filename": "Dockerfile",
                "frontend.caps": "moby.buildkit.frontend.contexts+forward",
                "context:n": "local:n",
                "context:base": "docker-image://alpine",
                "sharedkey:localdir:n": "lower",
            },
            "app",
        ),
        (
            {"context": "app", "build_contexts": {"context": "lower"}},
            {"context": "app", "dockerfile": "app", "_context": "lower"},
            {
                "filename": "Dockerfile",
                "frontend.caps": "moby.buildkit.frontend.contexts+forward",
                "context:context": "local:_context",
                "sharedkey:localdir:context": "lower",
            },
            "app",
        ),
    ],
)
def test_inputs_become_folders_and_attributes(
    request_: dict[str, object], folders: dict[str, str], attrs: dict[str, str], key: str
) -> None:
    """Each way to name a context and a Dockerfile, as docker buildx hands it to the daemon."""
    prepared = _prepared(**request_)
    assert {name: folder.path for name, folder in prepared.dirs.items()} == folders
    assert (prepared.attrs, prepared.shared_key, prepared.uploads) == (attrs, key, {})


def test_a_dockerfile_on_standard_input_is_written_down_and_removed() -> None:
    """Beside a folder as context, beside a URL, and alone, with an empty context."""
    for context in ("app", "https://example.com/x.git", "-"):
        request = BuildRequest(context=context, dockerfile="" if context == "-" else "-")
        with prepare(request, stdin=io.BytesIO(b"FROM x\n")) as prepared:
            folder = prepared.dirs["dockerfile"].path
            assert Path(folder, "Dockerfile").read_bytes() == b"FROM x\n"
            assert (prepared.attrs["filename"], prepared.attrs["dockerfilekey"]) == ("Dockerfile", "dockerfile")
            assert context != "-" or os.listdir(prepared.dirs["context"].path) == []
        assert not os.path.exists(folder)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
async def test_an_archive_on_standard_input_is_fetched_by_the_daemon(pack: object) -> None:
    """As it came, compressed or not, as often as there are nodes; the Dockerfile is looked for in it."""
    data = pack(_tar())  # type: ignore[operator]
    with prepare(BuildRequest(context="-", dockerfile="sub/D"), stdin=io.BytesIO(data)) as prepared:
        assert (prepared.dirs, prepared.attrs["filename"]) == ({}, "sub/D")
        address = prepared.attrs["context"]
        assert address.startswith("http://buildkit-session/")
        handlers = upload(prepared.uploads)
        for _ in range(2):
            call = MemoryCall({"urlpath": (address.removeprefix("http://buildkit-session"),)})
            await asyncio.wait_for(handlers["/moby.upload.v1.Upload/Pull"](call), 5)
            pieces = [bytes(read_bytes_message(call.outgoing.get_nowait())) for _ in range(call.outgoing.qsize())]
            assert b"".join(pieces) == data
        (file,) = prepared.uploads.values()
        with pytest.raises(Status, match="no http response from session for other"):
            await handlers["/moby.upload.v1.Upload/Pull"](MemoryCall({"urlpath": ("/other",)}))
    assert file.closed


def test_what_is_not_there_is_not_offered() -> None:
    """Without folders no FileSync, without archives no Upload."""
    assert filesync({}) == {}
    assert upload({}) == {}


@pytest.mark.parametrize(
    ("request_", "stdin", "message"),
    [
        ({"context": ""}, b"", 'please specify build context (e.g. "." for the current directory)'),
        ({"context": "nope"}, b"", 'unable to prepare context: path "nope" not found'),
        ({"context": "plain"}, b"", 'unable to prepare context: path "plain" not found'),
        ({"context": "app", "dockerfile": "nope/a/D"}, b"", "resolve : lstat nope: no such file or directory"),
        ({"context": "app", "dockerfile": "plain/D"}, b"", "stat plain: not a directory"),
        ({"context": "app", "dockerfile": "plain/a/D"}, b"", "resolve : lstat plain/a: not a directory"),
        (
            {"context": "-", "dockerfile": "-"},
            b"",
            "invalid argument: can't use stdin for both build context and dockerfile",
        ),
        (
            {"context": "-", "dockerfile": "x"},
            b"FROM x",
            "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles",
        ),
        (
            {"context": "app", "build_contexts": {"n": "nope"}},
            b"",
            "failed to get build context n: stat nope: no such file or directory",
        ),
        (
            {"context": "app", "build_contexts": {"n": "plain"}},
            b"",
            "failed to get build context path {plain <nil>}: not a directory",
        ),
    ],
)
def test_what_cannot_be_an_input_is_refused(request_: dict[str, object], stdin: bytes, message: str) -> None:
    """Word for word as docker buildx 0.38 does (compared side by side)."""
    with pytest.raises(UsageError) as caught:
        _prepared(stdin, **request_)
    assert (str(caught.value), caught.value.of_build) == (message, True)


def test_standard_input_may_have_any_descriptor() -> None:
    """A process with many open files has descriptors above 1023."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    reader, writer = os.pipe()
    high = fcntl.fcntl(reader, fcntl.F_DUPFD, 1050)
    os.close(reader)
    os.write(writer, b"FROM x")
    os.close(writer)
    with open(high, "rb") as file:
        assert Stdin(file, lambda: False).read(100) == b"FROM x"
