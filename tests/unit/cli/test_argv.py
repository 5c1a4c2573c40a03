"""Command lines as docker buildx's own parser reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UsageError
from buildclient.cli.argv import Flag, read

TAG, QUIET, RM = Flag("--tag", "-t"), Flag("--quiet", "-q", switch=True), Flag("--rm", switch=True, kept=True)
FLAGS = {
    **dict.fromkeys(("--tag", "-t"), TAG),
    **dict.fromkeys(("--quiet", "-q"), QUIET),
    "--rm": RM,
    "--check": Flag("--check", switch=True, means="--call=check"),
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-t a .", "--tag=a ."),
        ("-ta .", "--tag=a ."),
        ("-t=a .", "--tag=a ."),
        ("-t= .", "--tag== ."),
        ("--tag a --tag=b .", "--tag=a --tag=b ."),
        ("--tag= .", "--tag= ."),
        ("-qt a .", "--quiet --tag=a ."),
        ("-qta .", "--quiet --tag=a ."),
        ("-qt=a .", "--quiet --tag=a ."),
        ("-t -q .", "--tag=-q ."),
        ("-t -- .", "--tag=-- ."),
        ("-q=false .", "."),
        ("-q --quiet=f .", "."),
        ("--quiet=0 -q .", "--quiet ."),
        (". -q", "--quiet ."),
        ("- -q", "--quiet -"),
        ("-q -- -t", "--quiet -- -t"),
        ("--rm --rm=false .", "--rm=true --rm=false ."),
        ("--check --check=false .", "--call=check ."),
        ("--other=x .", "--other=x ."),
    ],
)
def test_every_form_of_a_flag_is_read(line: str, expected: str) -> None:
    """Long, short, together, with a sign, with a space, repeated, behind the path."""
    assert read(line.split(), FLAGS) == expected.split()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-z", "unknown shorthand flag: 'z' in -z"),
        ("-qzt", "unknown shorthand flag: 'z' in -zt"),
        ("-q=", "unknown shorthand flag: '=' in -="),
        ("-t", "flag needs an argument: 't' in -t"),
        ("--tag", "flag needs an argument: --tag"),
        ("--=x", "bad flag syntax: --=x"),
        ("---tag", "bad flag syntax: ---tag"),
        (
            "-q=maybe",
            'invalid argument "maybe" for "-q, --quiet" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
def test_a_wrong_line_is_refused_in_docker_buildx_s_words(line: str, message: str) -> None:
    """The words are those of its parser."""
    with pytest.raises(UsageError) as caught:
        read(line.split(), FLAGS)
    assert str(caught.value) == message


@given(st.lists(st.text("-tqz=a", max_size=5), max_size=5))
def test_what_was_read_is_read_again_as_the_same(line: list[str]) -> None:
    """The long forms mean what the short ones did."""
    try:
        once = read(line, FLAGS)
    except UsageError:
        return
    assert read(once, FLAGS) == once
