"""Tokens: which server is asked how, and what it may answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildclient.registry.credentials import Credentials
from buildclient.registry.token import Token, TokenRefused, fetch_token
from tests.registries import Asked, basic, web_server


def ask(host: str, credentials: Credentials = Credentials()) -> Token:  # noqa: B008 - a tuple
    """Asks for a token for two scopes."""
    return fetch_token(
        f"http://{host}/token", "the service", ("repository:a:pull", "repository:b:pull,push"), credentials
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"token": "t"}, Token("t", 60, 0)),
        ({"access_token": "a", "token": "t", "expires_in": 300}, Token("a", 300, 0)),
        ({"token": "t", "expires_in": "soon", "issued_at": "whenever"}, Token("t", 60, 0)),
        ({"token": "t", "issued_at": "2026-11-24T00:00:00Z"}, Token("t", 60, 1795478400)),
    ],
)
def test_answers_are_read(body: dict[str, Any], expected: Token) -> None:
    """Both names of the token, its life, and defaults for what is missing or odd."""
    with web_server(lambda asked: (200, {}, json.dumps(body).encode()), []) as host:
        assert ask(host) == expected


def test_without_credentials_the_get_is_anonymous() -> None:
    """Each scope is a parameter of its own."""
    seen: list[Asked] = []
    with web_server(lambda asked: (200, {}, b'{"token": "t"}'), seen) as host:
        ask(host)
    (asked,) = seen
    assert asked.authorization == ""
    assert asked.path == "/token?service=the+service&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull%2Cpush"


@pytest.mark.parametrize(
    ("realm", "path"),
    [
        ("/tok?keep=1", "/tok?keep=1&service=the+service&scope=a%3Ab"),
        ("/tok?keep=a%26b&scope=c#part", "/tok?keep=a%26b&scope=c&service=the+service&scope=a%3Ab"),
        ("/tok?", "/tok?service=the+service&scope=a%3Ab"),
        ("", "/?service=the+service&scope=a%3Ab"),
    ],
)
def test_a_realms_own_query_is_kept(realm: str, path: str) -> None:
    """What is asked for is added to it, as containerd does; a POST goes to the realm as it is."""
    seen: list[Asked] = []
    with web_server(lambda asked: (404 if asked.method == "POST" else 200, {}, b'{"token": "t"}'), seen) as host:
        fetch_token(f"http://{host}{realm}", "the service", ("a:b",), Credentials("u", "p"))
    assert [asked.path for asked in seen] == [realm.partition("#")[0] or "/", path]


@pytest.mark.parametrize("status", [401, 404, 405])
def test_servers_without_oauth_are_asked_the_older_way(status: int) -> None:
    """A POST that is refused so is followed by a GET with the password."""
    seen: list[Asked] = []

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        return (status, {}, b"") if asked.method == "POST" else (200, {}, b'{"token": "t"}')

    with web_server(answer, seen) as host:
        assert ask(host, Credentials("u", "p")).value == "t"
    assert [asked.method for asked in seen] == ["POST", "GET"]
    assert "grant_type=password&username=u&password=p" in seen[0].body
    assert seen[1].authorization == basic("u", "p")


def test_a_configured_token_is_used_as_it_is() -> None:
    """`registrytoken` of the configuration needs no server."""
    assert ask("nowhere.invalid", Credentials(registry_token="ready")).value == "ready"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, b"", "status 403"),
        (200, b"{}", "gave no token"),
        (200, b"[]", "gave no token"),
        (200, b"<html>", "gave no token"),
        (200, b'{"token": "a\\r\\nX: y"}', "gave no token"),
        (200, '{"token": "größe"}'.encode(), "gave no token"),
    ],
)
def test_refusals_name_the_server(status: int, body: bytes, expected: str) -> None:
    """One line, without the password."""
    with (
        web_server(lambda asked: (status, {}, body), []) as host,
        pytest.raises(TokenRefused, match=expected) as caught,
    ):
        ask(host, Credentials("u", "passw0rd"))
    assert host in str(caught.value)
    assert "passw0rd" not in str(caught.value)


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token server beyond a proxy is reached through it, with the password in the proxy's URL."""
    seen: list[Asked] = []
    with web_server(lambda asked: (200, {}, b'{"token": "t"}'), seen) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@{proxy}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert ask("token.test").value == "t"
    assert seen[0].path.startswith("http://token.test/token?")
    assert seen[0].proxy_authorization == basic("me", "p@ss")


def test_a_token_s_answer_has_a_bound() -> None:
    """A longer one is cut, and no token any more."""
    body = b'{"token": "a", "x": "' + bytes(2 << 20) + b'"}'
    with web_server(lambda asked: (200, {}, body), []) as host, pytest.raises(TokenRefused, match="gave no token"):
        ask(host, Credentials())
