"""moby.upload.v1.Upload: hands the daemon a file that it fetches as if by HTTP, such as a context that is a tar.

Reference: session/upload of BuildKit. The address is `http://buildkit-session/<id>`; the id comes as the last part
of `urlpath`.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import Mapping
from typing import BinaryIO

from buildclient.session.call import Call, Code, Service, Status
from buildclient.session.wire import bytes_message

__all__ = ["address", "upload"]

_CHUNK = 1 << 20
"""Bytes in one message; the daemon takes 4 MiB at most."""


def address(name: str) -> str:
    """Where the daemon fetches the upload of this id."""
    return f"http://buildkit-session/{name}"


def upload(files: Mapping[str, BinaryIO]) -> Service:
    """The service for these files, by id; none where there are none. Each may be fetched several times at once."""

    async def pull(call: Call) -> None:
        name = posixpath.basename(next(iter(call.metadata.get("urlpath", ())), ""))
        if name not in files:
            raise Status(Code.UNKNOWN, f"no http response from session for {name}")
        try:
            handle, at = files[name].fileno(), 0
            while piece := await asyncio.to_thread(os.pread, handle, _CHUNK, at):
                await call.write(bytes_message(piece))
                at += len(piece)
        except OSError as error:
            raise Status(Code.UNKNOWN, str(error)) from None

    return {"/moby.upload.v1.Upload/Pull": pull} if files else {}
