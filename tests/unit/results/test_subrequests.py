"""A frontend's answers about a Dockerfile: read with every type checked, printed as docker buildx prints them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import BuildFailed
from buildclient.progress.events import SourceRange
from buildclient.request.callmethod import CallMethod
from buildclient.results.subrequest_text import answer_text, check_error_text, tabulated
from buildclient.results.subrequests import (
    BuildArgument,
    BuildTarget,
    CheckWarning,
    Location,
    MountedSecret,
    Outline,
    read_check,
    read_outline,
    read_targets,
)

_DOCKERFILE = b"FROM scratch as x\nENV a b\nRUN true\n"


def _source(name: str = "Dockerfile", data: bytes = _DOCKERFILE) -> dict[str, Any]:
    return {"filename": name, "data": base64.b64encode(data).decode(), "language": "Dockerfile"}


def _warning(rule: str, line: int, source: int = 0) -> dict[str, Any]:
    where: dict[str, Any] = {"ranges": [{"start": {"line": line}, "end": {"line": line}}]} if line else {}
    return {"ruleName": rule, "detail": f"{rule} is at fault", "location": {**where, "sourceIndex": source}}


def _response(value: Any, **more: str) -> dict[str, str]:
    return {"result.json": json.dumps(value), "version": "1.0.0", "result.txt": "as text\n", **more}


def _lint(*warnings: dict[str, Any], **more: Any) -> dict[str, str]:
    return _response({"warnings": list(warnings) or None, "sources": [_source()], **more})


def _text(name: str, response: dict[str, str], dockerfile: str = "") -> str:
    return answer_text(CallMethod(name), response, dockerfile)


def test_warnings() -> None:
    """Each with the Dockerfile's lines around it, under the name that the command line gave, in the order of lines."""
    response = _lint(_warning("Second", 2), {**_warning("First", 1), "url": "https://x/first"})
    assert _text("lint", response, "app/Dockerfile") == (
        "Check complete, 2 warnings have been found!\n"
        "\n"
        "WARNING: First - https://x/first\n"
        "First is at fault\n"
        "app/Dockerfile:1\n"
        "--------------------\n"
        "   1 | >>> FROM scratch as x\n"
        "   2 |     ENV a b\n"
        "   3 |     RUN true\n"
        "--------------------\n"
        "\n"
        "WARNING: Second\n"
        "Second is at fault\n"
        "app/Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM scratch as x\n"
        "   2 | >>> ENV a b\n"
        "   3 |     RUN true\n"
        "   4 |     \n"
        "--------------------\n"
    )


def test_no_warnings_and_one() -> None:
    """The first line says how many there are."""
    assert _text("lint", _lint()) == "Check complete, no warnings found.\n"
    assert _text("lint", _lint(_warning("One", 0))) == (
        "Check complete, 1 warning has been found!\n\nWARNING: One\nOne is at fault\n"
    )


def test_a_frontend_without_an_answer_found_nothing() -> None:
    """docker buildx says so too."""
    assert _text("lint", {}) == "Check complete, no warnings found.\n"


def test_a_dockerfile_that_cannot_be_built() -> None:
    """The error comes after the warnings, with its lines; without warnings nothing is printed."""
    error = {"message": "unknown instruction", "location": {"ranges": [{"start": {"line": 3}, "end": {"line": 3}}]}}
    check = read_check(_lint(buildError=error))
    assert _text("lint", _lint(buildError=error)) == ""
    assert _text("lint", _lint(_warning("One", 0), buildError=error)).endswith("One is at fault\n\n")
    assert check_error_text(check, "x/Dockerfile").splitlines()[:2] == ["unknown instruction", "x/Dockerfile:3"]
    assert check_error_text(check, "x").endswith("   4 |     \n--------------------")


def test_order_of_warnings() -> None:
    """Without a source first, then by file, then without a line, by line."""
    value = {
        "warnings": [
            _warning("E", 2, 0), _warning("D", 1, 0), _warning("C", 0, 0),
            _warning("B", 1, 1), _warning("A2", 0, -1), _warning("A1", 0, -1),
        ],
        "sources": [_source("z"), _source("b")],
    }  # fmt: skip
    text = _text("lint", _response(value))
    rules = [line.removeprefix("WARNING: ") for line in text.splitlines() if line.startswith("WARNING")]
    assert rules == ["A1", "A2", "B", "C", "D", "E"]


def test_outline() -> None:
    """The target, its arguments, its secrets: a table each, and an empty line."""
    value = {
        "name": "build",
        "description": "builds it",
        "args": [{"name": "VERSION", "value": "1", "description": "of the app"}, {"name": "X"}],
        "secrets": [{"name": "token", "required": True}],
        "ssh": [{"name": "default"}],
        "cache": [{"ID": "/root/.cache"}],
    }
    assert _text("outline", _response(value)) == (
        "TARGET:      build\nDESCRIPTION: builds it\n\n"
        "BUILD ARG   VALUE   DESCRIPTION\nVERSION     1       of the app\nX                   \n\n"
        "SECRET   REQUIRED\ntoken    true\n\n"
        "SSH       REQUIRED\ndefault   \n\n"
    )
    assert read_outline(_response(value)) == Outline(
        "build",
        "builds it",
        (BuildArgument("VERSION", "1", "of the app"), BuildArgument("X")),
        (MountedSecret("token", True),),
        (MountedSecret("default"),),
        ("/root/.cache",),
    )
    assert _text("outline", _response({})) == ""


def test_targets() -> None:
    """The default one is marked; the last stage may have no name."""
    value = {"targets": [{"name": "base", "base": "scratch", "description": "d"}, {"default": True}]}
    assert _text("targets", _response(value)) == "TARGET    DESCRIPTION\nbase      d\n(default) \n"
    assert read_targets(_response(value)) == (
        BuildTarget("base", description="d", base="scratch"),
        BuildTarget("", default=True),
    )


def test_json_is_the_answer_itself() -> None:
    """Byte for byte, whatever is in it."""
    response = {"result.json": "{ not json"}
    assert answer_text(CallMethod("outline", "json"), response) == "{ not json\n"


def test_a_newer_answer_is_printed_as_the_frontend_does() -> None:
    """Its structure may be another; its text is its own."""
    assert _text("outline", _response({"args": []}, version="1.0.1")) == "as text\n"
    assert _text("outline", _response({}, version="0.9")) == ""


def test_a_method_that_is_not_known_here() -> None:
    """Text, else JSON if that is asked for, else all there is."""
    assert answer_text(CallMethod("own", "json"), {"result.json": "{}"}) == "{}\n"
    assert answer_text(CallMethod("own"), {"result.json": "{}", "result.txt": "text"}) == "text"
    method = CallMethod("own", "text", True)
    assert answer_text(method, {"b": "2", "a": "1"}) == 'Name:"own" Format:"text" IgnoreStatus:true map[a:1 b:2]\n'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "it is no object"),
        ({"warnings": {}}, "warnings is of the wrong type"),
        ({"warnings": [1]}, "warnings: not all are objects"),
        ({"warnings": [{"ruleName": 1}]}, "ruleName is of the wrong type"),
        ({"warnings": [_warning("A", 1, 1)], "sources": [_source()]}, "sourceIndex is out of range"),
        ({"sources": [{"data": "*"}]}, "data: Only base64 data is allowed"),
        ({"warnings": [_warning("A", 1 << 31)], "sources": [_source()]}, "line: 2147483648 is no 32-bit number"),
    ],
)
def test_answers_that_cannot_be_read(value: Any, message: str) -> None:
    """One line says what is wrong."""
    with pytest.raises(BuildFailed) as error:
        read_check(_response(value))
    assert str(error.value) == f"the frontend's answer cannot be read: {message}"


def test_no_answer() -> None:
    """An outline cannot be left out."""
    with pytest.raises(BuildFailed, match="the frontend gave no answer"):
        read_outline({})


def test_values_of_a_check() -> None:
    """What a program gets of it."""
    check = read_check({**_lint(_warning("One", 2)), "result.statuscode": "1"})
    assert check.failed
    assert check.error is None
    assert check.warnings == (CheckWarning("One", "One is at fault", location=Location(0, (SourceRange(2, 2),))),)
    assert check.sources[0] is not None
    assert check.sources[0].data == _DOCKERFILE


_CELLS = st.text(st.characters(exclude_characters="\t\n", exclude_categories=["Cs"]), max_size=6)


@given(st.lists(st.tuples(_CELLS, _CELLS, _CELLS), min_size=1, max_size=6), st.integers(1, 3))
def test_columns_are_aligned(rows: list[tuple[str, str, str]], padding: int) -> None:
    """Each column starts where the widest cell before it, and the padding, end."""
    lines = tabulated(rows, padding).removesuffix("\n").split("\n")
    first, second = (max(len(row[column]) for row in rows) + padding for column in (0, 1))
    assert [line[first + second :] for line in lines] == [row[2] for row in rows]
    assert [line[:first].rstrip(" ") for line in lines] == [row[0].rstrip(" ") for row in rows]


def test_a_line_without_a_column_ends_its_block() -> None:
    """As in Go's text/tabwriter: what stands above it does not widen what stands below."""
    assert tabulated([["wide one", "x"], ["alone"], ["a", "b"]], 1) == "wide one x\nalone\na b\n"
