"""For how long connections are kept, and what makes a keeper another one."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from buildclient.base.errors import UsageError
from buildclient.keep.rules import expiry, keep_seconds, keeper_key, private_folder, signature, socket_path
from buildclient.kube.kubeconfig import Access, ExecPlugin, Material

_ACCESS = Access("https://cluster.example", "test")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0),
        ({"BUILDCLIENT_KEEP": ""}, 0),
        ({"BUILDCLIENT_KEEP": "0"}, 0),
        ({"BUILDCLIENT_KEEP": "10m"}, 600),
        ({"BUILDCLIENT_KEEP": "10m", "CI": "true"}, 0),
        ({"BUILDCLIENT_KEEP": "10m", "CI": "woodpecker"}, 0),
        ({"BUILDCLIENT_KEEP": "10m", "CI": "false"}, 600),
    ],
)
def test_connections_are_kept_where_that_is_asked_for_and_never_in_ci(environ: dict[str, str], seconds: float) -> None:
    """A job's machine is gone before the next command."""
    assert keep_seconds(environ) == seconds


@pytest.mark.parametrize("text", ["10", "soon", "-1m", "25h"])
def test_what_is_no_duration_is_named(text: str) -> None:
    """By the variable and the flag."""
    with pytest.raises(UsageError, match=r"in BUILDCLIENT_KEEP or --keep: must be like 10m, at most 24h"):
        keep_seconds({"BUILDCLIENT_KEEP": text})


def test_what_changes_makes_another_keeper(tmp_path: Path) -> None:
    """The kubeconfig, a file that it names, the context, the server, what an exec plugin may see."""
    config, ca = tmp_path / "config", tmp_path / "ca.crt"
    config.write_text("a")
    ca.write_text("a")
    access = _ACCESS._replace(ca=Material(file=str(ca)))

    def key(access: Access = access, **environ: str) -> str:
        return keeper_key(access, signature(access, [str(config)]), environ)

    first = key()
    assert key() == first
    assert key(access._replace(context="other")) != first
    assert key(access._replace(server="https://other.example")) != first
    assert key(HTTPS_PROXY="http://proxy") != first
    assert key(AWS_PROFILE="a") == first
    plugin = access._replace(plugin=ExecPlugin("aws", "v1"))
    assert key(plugin, AWS_PROFILE="a") != key(plugin, AWS_PROFILE="b")
    assert key(plugin, PWD="/a", SSH_TTY="1") == key(plugin, PWD="/b")
    ca.write_text("ab")
    second = key()
    assert second != first
    config.write_text("ab")
    assert key() not in (first, second)


def test_the_socket_is_in_a_folder_of_this_user_alone(tmp_path: Path) -> None:
    """A folder that others may enter, or a link, is none; nor is a path that a socket cannot have."""
    path = socket_path({"XDG_RUNTIME_DIR": str(tmp_path)}, "key")
    folder = os.path.dirname(path)
    assert not private_folder(folder)
    assert private_folder(folder, make=True)
    os.chmod(folder, 0o755)
    assert not private_folder(folder)
    os.chmod(folder, 0o700)
    os.rename(folder, f"{folder}-there")
    os.symlink(f"{folder}-there", folder)
    assert not private_folder(folder)
    assert socket_path({"XDG_RUNTIME_DIR": str(tmp_path / ("x" * 100))}, "key") == ""


def test_a_token_says_when_it_ends() -> None:
    """A JWT does; anything else does not."""

    def token(claims: object) -> str:
        return "e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".c2ln"

    assert expiry(token({"exp": 1234})) == 1234
    for text in ("", "opaque", "a.b.c", token({}), token([]), token({"exp": "soon"}), token({"exp": True})):
        assert expiry(text) == 0
