"""Writes the LLB that this client makes itself: definitions of one operation.

Reference: solver/pb/ops.proto of BuildKit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from buildclient.proto import ops_pb2

__all__ = ["file_tree", "http_file"]

_NONE = -1
"""As an action's input: an empty folder; as its output: one that nothing else reads; as a time: the present."""
_MODE = 0o644


def file_tree(files: Mapping[str, bytes], step: str) -> bytes:
    """Returns the definition (`pb.Definition`) of a folder with these files at its root; `step` names it in progress.

    Equal files make an equal definition, which the daemon does not run again.
    """
    actions = []
    last = len(files) - 1
    for number, (name, data) in enumerate(files.items()):
        made = ops_pb2.FileActionMkFile(path=f"/{name}", mode=_MODE, data=data, timestamp=_NONE)
        action = ops_pb2.FileAction(
            input=number - 1 if number else _NONE,
            secondary_input=_NONE,
            output=0 if number == last else _NONE,
            mkfile=made,
        )
        actions.append(action)
    return _definition(ops_pb2.Op(file=ops_pb2.FileOp(actions=actions)), step)


def http_file(url: str, name: str, step: str) -> bytes:
    """Returns the definition (`pb.Definition`) of a folder with what is at a URL, as a file of this name."""
    return _definition(ops_pb2.Op(source=ops_pb2.SourceOp(identifier=url, attrs={"http.filename": name})), step)


def _definition(operation: ops_pb2.Op, step: str) -> bytes:
    source = operation.SerializeToString(deterministic=True)
    digest = f"sha256:{hashlib.sha256(source).hexdigest()}"
    end = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest)]).SerializeToString()
    named = ops_pb2.OpMetadata(description={"llb.customname": step})
    metadata = {digest: named, f"sha256:{hashlib.sha256(end).hexdigest()}": ops_pb2.OpMetadata()}
    return ops_pb2.Definition(**{"def": [source, end]}, metadata=metadata).SerializeToString(deterministic=True)
