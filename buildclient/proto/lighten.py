"""`python buildclient/proto/lighten.py FILE…`: makes what protoc wrote use `buildclient.proto.loading`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_IMPORT = re.compile(r"^from buildclient\.proto import .*$", re.M)
_SERIALIZED = re.compile(r"AddSerializedFile\((b'.*')\)$", re.M)


def lightened(text: str, module: str) -> str:
    """Returns the text of a module with the same messages. Raises ValueError for a text that protoc did not write."""
    serialized = _SERIALIZED.search(text)
    if serialized is None or "\nif not _descriptor._USE_C_DESCRIPTORS" not in text:
        raise ValueError(f"{module}: this is not what protoc writes")
    first = "# Made by protoc and lighten.py. DO NOT EDIT!\n"
    imports = ["from buildclient.proto.loading import load as _load", *_IMPORT.findall(text)]
    lines = [*imports, "", f"DESCRIPTOR = _load({serialized[1]}, {module!r}, globals())", ""]
    return first + "\n".join(lines)


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        file.write_text(lightened(file.read_text(), ".".join(file.with_suffix("").parts)))
