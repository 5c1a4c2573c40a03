"""`--call`, as docker buildx reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UsageError
from buildclient.request.callmethod import CallMethod, parse_call


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("", None),
        ("build", None),
        ("build,format=json", None),
        ("check", CallMethod("lint")),
        ("lint", CallMethod("lint")),
        ("outline,format=json", CallMethod("outline", "json")),
        ("format=text,targets", CallMethod("targets", "text")),
        ("check,ignorestatus=1", CallMethod("lint", ignore_status=True)),
        ('"check","format=json"', CallMethod("lint", "json")),
        (",format=json", CallMethod("", "json")),
        ("subrequests.describe", CallMethod("subrequests.describe")),
    ],
)
def test_methods(text: str, method: CallMethod | None) -> None:
    """A method with its options, in any order; `check` is another name of `lint`."""
    assert parse_call(text) == method


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("check,outline", "invalid print value: check,outline"),
        ("check,a=b", "invalid print field: a=b"),
        (
            "check,ignorestatus=no",
            'invalid ignorestatus print value: no: strconv.ParseBool: parsing "no": invalid syntax',
        ),
        ('check,"x', 'parse error on line 1, column 8: extraneous or missing " in quoted-field'),
    ],
)
def test_wrong_methods(text: str, message: str) -> None:
    """The words are docker buildx's."""
    with pytest.raises(UsageError) as error:
        parse_call(text)
    assert (str(error.value), error.value.flag) == (message, "--call")


@given(st.text(st.sampled_from('abc=,"formatjsnigue10 ')))
def test_any_text_is_read_or_refused(text: str) -> None:
    """There is a method, none, or a UsageError."""
    try:
        method = parse_call(text)
    except UsageError:
        return
    assert method is None or "," not in method.name or '"' in text
