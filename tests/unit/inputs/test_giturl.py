"""Which contexts are remote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.inputs.giturl import has_query, is_remote


@pytest.mark.parametrize(
    ("text", "remote", "query"),
    [
        ("https://example.com/app.git#main:sub", True, False),
        ("https://example.com/app.git?ref=main&subdir=sub", True, True),
        ("https://example.com/context.tgz?token=1", True, True),
        ("http://", True, False),
        ("HTTPS://example.com/app.git", True, False),
        ("HTTPS://example.com/context.tgz", False, False),
        ("GIT://example.com/app", True, False),
        ("ssh://git@example.com:22/app.git?ref=a", True, True),
        ("git@example.com:app.git#main", True, False),
        ("any-user@host:a/b?tag=v1", True, True),
        ("github.com/moby/buildkit", True, False),
        ("example.com/moby/buildkit.git", False, False),
        ("./git@host:app", False, False),
        ("docker-image://alpine", False, False),
        ("ftp://example.com/app.git", False, False),
        ("https://example.com/app.git?#main", True, False),
        ("", False, False),
    ],
)
def test_remote_contexts_are_docker_buildx_s(text: str, remote: bool, query: bool) -> None:
    """The forms are those that it takes."""
    assert (is_remote(text), has_query(text)) == (remote, query)


@given(st.text("htps:/git@.#?=&a", max_size=20))
def test_any_text_is_told(text: str) -> None:
    """A query is that of a URL or of Git's short form."""
    if has_query(text):
        assert "?" in text
    assert isinstance(is_remote(text), bool)
