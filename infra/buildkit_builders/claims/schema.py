"""The JSON Schemas of both files, for editors: `python -m buildkit_builders.claims.schema FOLDER` writes them there.

Those in the package, `schemas/`, are made so by `make options`; a test holds them to the keys that the readers know.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from buildclient.base.files import replace_whole
from buildkit_builders.claims.claim import CLAIM
from buildkit_builders.claims.guardrails import GUARDRAILS
from buildkit_builders.claims.platform_file import PLATFORM

__all__ = ["FOLDER", "claim_schema", "platform_schema", "write_schemas"]

FOLDER = Path(__file__).parent / "schemas"
_DRAFT = "http://json-schema.org/draft-07/schema#"


def platform_schema() -> dict[str, Any]:
    """The schema of `platform.yaml`."""
    schema = PLATFORM.schema()
    severities = schema["properties"]["policies"].pop("additionalProperties")
    policies = {one.name: {"description": one.about, **severities} for one in GUARDRAILS}
    schema["properties"]["policies"] |= {"properties": policies, "additionalProperties": False}
    return {"$schema": _DRAFT, "title": "What a platform team provides and allows", **schema}


def claim_schema() -> dict[str, Any]:
    """The schema of a team's file, or of one document of it: a claim, or a list of them."""
    one = {"$ref": "#/definitions/claim"}
    return {
        "$schema": _DRAFT,
        "title": "The builders that a team asks for",
        "if": {"type": "array"},
        "then": {"items": one},
        "else": one,
        "definitions": {"claim": CLAIM.schema()},
    }


def write_schemas(folder: Path) -> None:
    """Write `platform.json` and `claim.json` into a folder. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name, schema in (("platform", platform_schema()), ("claim", claim_schema())):
            replace_whole(handle, f"{name}.json", text_of(schema).encode())
    finally:
        os.close(handle)


def text_of(schema: Mapping[str, Any]) -> str:
    """A schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
