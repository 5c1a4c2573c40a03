"""`--secret` and the secrets of a request; the errors are docker buildx's, recorded."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from buildclient import SecretEnv, SecretFile, build_request
from buildclient.base.errors import UsageError
from buildclient.request.checks import check_request
from buildclient.request.secrets import SecretCall, SecretValue, parse_secrets
from buildclient.request.values import BuildRequest

ENVIRON = {"HELD": "x", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("id=a", SecretFile("a")),
        ("id=HELD", SecretEnv("HELD")),
        ("id=EMPTY", SecretEnv("EMPTY")),
        ("id=a,src=f", SecretFile("f")),
        ("id=a,source=f", SecretFile("f")),
        ("ID=a,SRC=f", SecretFile("f")),
        ("src=f,id=a", SecretFile("f")),
        ("id=a,src=", SecretFile("a")),
        ("id=a,env=V", SecretEnv("V")),
        ("id=a,type=env", SecretFile("a")),
        ("id=HELD,type=file", SecretEnv("HELD")),
        ("id=a,type=env,src=V", SecretEnv("V")),
        ("id=a,type=env,src=f,env=V", SecretEnv("V")),
        ("id=a,type=file,src=f", SecretFile("f")),
        ("id=a,type=file,env=V", SecretEnv("V")),
        ("id=a,src=f,env=V", SecretEnv("V")),
        ('id=a,"src=f,g"', SecretFile("f,g")),
        ('"id=a","src=f""g"', SecretFile('f"g')),
        ("id=a=b,src=f=g", SecretFile("f=g")),
        ("id=a,src=f,src=g", SecretFile("g")),
    ],
)
def test_a_text_names_its_source(text: str, source: object) -> None:
    """As docker buildx decides: a variable before a file; of several the last."""
    assert [*parse_secrets([text], ENVIRON).values()] == [source]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid field 'a' must be a key=value pair"),
        ("id", "invalid field 'id' must be a key=value pair"),
        ("=x", "unexpected key '' in '=x'"),
        ("id=a,foo=b", "unexpected key 'foo' in 'foo=b'"),
        ("id=a, src=f", "unexpected key ' src' in ' src=f'"),
        ("id=a,type=bogus", 'unsupported secret type "bogus"'),
        ("id=a,type=", 'unsupported secret type ""'),
        ("src=f", "secret missing ID"),
        ("id=", "secret missing ID"),
        (
            'id=a,"src=f',
            'failed to parse csv secret: parse error on line 1, column 7: extraneous or missing " in quoted-field',
        ),
    ],
)
def test_a_wrong_text_is_refused_in_docker_buildxs_words(text: str, message: str) -> None:
    """And the error names the flag."""
    with pytest.raises(UsageError) as caught:
        build_request(secrets=[text])
    assert caught.value.message == message
    assert caught.value.flag == "--secret"


def test_the_last_of_an_id_counts_and_empty_texts_do_not() -> None:
    """Repeated flags, and those that CI variables leave empty."""
    assert parse_secrets(["id=a,src=f", "", "id=b,src=g", "id=a,src=h"], {}) == {
        "a": SecretFile("h"),
        "b": SecretFile("g"),
    }


def test_a_program_writes_bytes_paths_variables_and_functions() -> None:
    """Each becomes a typed value."""
    request = build_request(
        secrets={"a": b"x", "b": Path("f"), "c": SecretEnv("V"), "d": lambda: b"y", "e": bytearray(b"z")}
    )
    assert request.secrets["a"] == SecretValue(b"x")
    assert request.secrets["b"] == SecretFile("f")
    assert request.secrets["c"] == SecretEnv("V")
    assert isinstance(request.secrets["d"], SecretCall)
    assert request.secrets["e"] == SecretValue(b"z")
    check_request(request)


def test_no_secret_is_in_a_repr() -> None:
    """Neither bytes, nor the arguments of a function, nor the credentials of a cache."""
    request = build_request(
        secrets={"a": b"hunter2", "b": functools.partial(bytes.fromhex, "hunter2")},
        cache_from=["type=gha,token=hunter2,url=u", "type=s3,region=r,secret_access_key=hunter2,session_token=hunter2"],
        cache_to=["type=azblob,account_url=u,secret_access_key=hunter2"],
    )
    assert "hunter2" not in f"{request!r} {request} {request.cache_from[0]!r}"
    assert "'region': 'r'" in repr(request)


@pytest.mark.parametrize("value", ["hunter2", 7, None, ["hunter2"]])
def test_other_values_are_refused_without_being_shown(value: Any) -> None:
    """A text might be a path or the secret itself."""
    with pytest.raises(UsageError) as caught:
        build_request(secrets={"a": value})
    assert "hunter2" not in str(caught.value)
    assert "must be bytes" in str(caught.value)
    for secrets in ({"a": value}, [value], "hunter2", {"a": b"hunter2"}):
        with pytest.raises(UsageError) as caught:
            check_request(BuildRequest(secrets=secrets))  # type: ignore[arg-type]
        assert "hunter2" not in str(caught.value)
