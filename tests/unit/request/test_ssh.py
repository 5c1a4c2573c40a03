"""`--ssh` and the agents of a request."""

from __future__ import annotations

import pytest

from buildclient import SshForward, build_request
from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.request.ssh import is_git_ssh, parse_ssh


@pytest.mark.parametrize(
    ("text", "forward"),
    [
        ("default", SshForward("default", ())),
        ("x", SshForward("x", ())),
        ("default=", SshForward("default", ("",))),
        ("a=/run/agent", SshForward("a", ("/run/agent",))),
        ("a=k.pem,l.pem", SshForward("a", ("k.pem", "l.pem"))),
        ("a=k=l", SshForward("a", ("k=l",))),
        ('a="k,l"', SshForward("a", ('"k', 'l"'))),
        ("=k", SshForward("", ("k",))),
    ],
)
def test_a_text_is_an_id_and_paths(text: str, forward: SshForward) -> None:
    """Not CSV: quotes mean nothing, as in docker buildx."""
    assert parse_ssh([text, ""]) == (forward,)


@pytest.mark.parametrize("texts", [("a=x", "a=y"), ("=x", "default"), (SshForward(), "default")])
def test_an_id_stands_once(texts: tuple[str | SshForward, ...]) -> None:
    """An empty id is `default`."""
    with pytest.raises(InvalidBuild, match=r"^duplicate agent ID "):
        build_request(ssh=texts)


def test_a_git_context_over_ssh_gets_the_default_agent() -> None:
    """As with docker buildx, unless the command names agents of its own."""
    assert build_request("git@host.example:a/b.git").ssh == (SshForward(),)
    assert build_request("git@host.example:a/b.git", ssh=["x=k"]).ssh == (SshForward("x", ("k",)),)
    assert build_request(".").ssh == ()


@pytest.mark.parametrize(
    ("context", "over_ssh"),
    [
        ("ssh://git@host/a", True),
        ("SSH://host/a", True),
        ("git@github.com:a/b.git#main:dir", True),
        ("deploy@10.0.0.1:a", True),
        ("https://git@host:22/a", False),
        ("git://host/a", False),
        ("host:a", False),
        ("a/b@c:d", False),
        ("-", False),
    ],
)
def test_contexts_over_ssh_are_recognised(context: str, over_ssh: bool) -> None:
    """As by BuildKit's gitutil."""
    assert is_git_ssh(context) == over_ssh


def test_other_values_are_refused() -> None:
    """A list of texts or of SshForward."""
    for wrong in ("default", [7], [("a", "b")]):
        with pytest.raises(UsageError):
            build_request(ssh=wrong)  # type: ignore[arg-type]
