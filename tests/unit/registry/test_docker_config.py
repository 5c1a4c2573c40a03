"""Registry credentials from Docker's configuration, its helpers included."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from buildclient.base.errors import UsageError
from buildclient.registry.credentials import Credentials
from buildclient.registry.docker_config import DockerConfig
from buildclient.request.attrs import with_proxies
from buildclient.request.values import BuildRequest

HUB = "https://index.docker.io/v1/"


def pair(text: str) -> str:
    """`auth` of an entry."""
    return base64.b64encode(text.encode()).decode()


class Home:
    """A home folder with a Docker configuration and helpers on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.docker = folder / "docker"
        self.docker.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()

    @property
    def environ(self) -> dict[str, str]:
        """The environment that leads to it."""
        return {"DOCKER_CONFIG": str(self.docker), "PATH": str(self.bin)}

    def config(self, value: Any, helper_timeout: float = 60) -> DockerConfig:
        """With this configuration."""
        (self.docker / "config.json").write_text(value if isinstance(value, str) else json.dumps(value))
        return DockerConfig(self.environ, helper_timeout=helper_timeout)

    def helper(self, name: str, script: str) -> Path:
        """A helper that runs `script`; gives the file in which it notes what it was asked for."""
        asked = self.folder / f"{name}.asked"
        program = self.bin / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\necho "$1 $(cat)" >> {asked}\n{script}\n')
        program.chmod(0o755)
        return asked


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty one."""
    return Home(tmp_path)


@pytest.mark.parametrize(
    ("auths", "host", "expected"),
    [
        ({"r.io": {"auth": pair("u:p")}}, "r.io", Credentials("u", "p")),
        ({"r.io": {"auth": pair("u:p:q")}}, "r.io", Credentials("u", "p:q")),
        ({"r.io": {"username": "u", "password": "p"}}, "r.io", Credentials("u", "p")),
        ({"r.io": {"auth": pair("u:p")}}, "other.io", Credentials()),
        ({"r.io:5000": {"auth": pair("u:p")}}, "r.io", Credentials()),
        ({"https://r.io/v1/": {"auth": pair("u:p")}}, "r.io", Credentials("u", "p")),
        ({HUB: {"auth": pair("u:p")}}, "registry-1.docker.io", Credentials("u", "p")),
        ({HUB: {"auth": pair("u:p")}}, "docker.io", Credentials("u", "p")),
        ({"r.io": {"identitytoken": "t"}}, "r.io", Credentials(identity_token="t")),
        ({"r.io": {"registrytoken": "t"}}, "r.io", Credentials(registry_token="t")),
        ({"r.io": {}}, "r.io", Credentials()),
    ],
)
async def test_entries_of_the_configuration(home: Home, auths: Any, host: str, expected: Credentials) -> None:
    """Each form of `auths`, by host, old URLs and Docker Hub's own key included."""
    assert await home.config({"auths": auths}).get(host) == expected


async def test_no_configuration_is_anonymous(tmp_path: Path) -> None:
    """Who never logged in has no credentials anywhere."""
    assert await DockerConfig({"HOME": str(tmp_path)}).get("r.io") == Credentials()


async def test_the_home_folder_is_the_default(tmp_path: Path) -> None:
    """Without DOCKER_CONFIG it is ~/.docker."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {"r.io": {"auth": pair("u:p")}}}))
    assert await DockerConfig({"HOME": str(tmp_path)}).get("r.io") == Credentials("u", "p")


async def test_a_hosts_own_helper_goes_before_the_store(home: Home) -> None:
    """credHelpers, then credsStore, then the entries of the file."""
    own = home.helper("own", """echo '{"Username": "o", "Secret": "1"}'""")
    store = home.helper("store", """echo "credentials not found in native keychain"; exit 1""")
    config = home.config(
        {"credHelpers": {"r.io": "own"}, "credsStore": "store", "auths": {"x.io": {"auth": pair("u:p")}}}
    )
    assert await config.get("r.io") == Credentials("o", "1")
    assert await config.get("x.io") == Credentials("u", "p")
    assert await config.get("y.io") == Credentials()
    assert own.read_text() == "get r.io\n"
    assert store.read_text() == "get x.io\nget y.io\n"


async def test_a_helper_is_asked_once_a_host(home: Home) -> None:
    """A build asks for the same registry many times, its helper once."""
    asked = home.helper("own", """echo '{"Username": "o", "Secret": "1"}'""")
    config = home.config({"credsStore": "own"})
    for _ in range(3):
        await config.get("registry-1.docker.io")
    assert asked.read_text() == f"get {HUB}\n"


async def test_a_helpers_identity_token(home: Home) -> None:
    """The user `<token>` says that the secret is one."""
    home.helper("own", """echo '{"Username": "<token>", "Secret": "t"}'""")
    assert await home.config({"credsStore": "own"}).get("r.io") == Credentials(identity_token="t")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo locked; exit 1", "docker-credential-own: locked"),
        ("echo why >&2; exit 2", "docker-credential-own: why"),
        ("exit 3", "docker-credential-own: ended with status 3"),
        ("echo nonsense", "printed no JSON object"),
        ("echo '[]'", "printed no JSON object"),
    ],
)
async def test_a_failing_helper_is_named(home: Home, script: str, expected: str) -> None:
    """One line with the helper's name and its own words."""
    home.helper("own", script)
    with pytest.raises(UsageError, match=expected):
        await home.config({"credsStore": "own"}).get("r.io")


async def test_a_missing_helper_is_named(home: Home) -> None:
    """A helper that the configuration names and nobody installed."""
    with pytest.raises(UsageError, match="docker-credential-gone cannot be run"):
        await home.config({"credsStore": "gone"}).get("r.io")


async def test_a_hanging_helper_is_ended(home: Home) -> None:
    """No helper holds a build for ever."""
    home.helper("own", "exec sleep 20")
    with pytest.raises(UsageError, match="did not end within"):
        await home.config({"credsStore": "own"}, helper_timeout=0.3).get("r.io")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"auths": {"r.io": {"auth": "%"}}}', "auth of r.io is not base64"),
        (json.dumps({"auths": {"r.io": {"auth": pair("nocolon")}}}), "auth of r.io has no colon"),
    ],
)
async def test_a_broken_configuration_is_named(home: Home, text: str, expected: str) -> None:
    """One line with the file, and never what the secret is."""
    with pytest.raises(UsageError, match=expected) as caught:
        await home.config(text).get("r.io")
    assert str(home.docker) in str(caught.value)
    assert "nocolon" not in str(caught.value)


async def test_the_environment_s_credentials_go_before_the_file_s(home: Home) -> None:
    """DOCKER_AUTH_CONFIG has the shape of the file; for a registry it does not name the file counts."""
    config = home.config({"auths": {"a.io": {"auth": pair("file:a")}, "b.io": {"auth": pair("file:b")}}})
    config = DockerConfig(
        {**home.environ, "DOCKER_AUTH_CONFIG": json.dumps({"auths": {"a.io": {"auth": pair("env:a")}}})}
    )
    assert await config.get("a.io") == Credentials("env", "a")
    assert await config.get("b.io") == Credentials("file", "b")
    config = DockerConfig({**home.environ, "DOCKER_AUTH_CONFIG": "{"})
    assert await config.get("a.io") == Credentials("file", "a")


async def test_an_empty_helper_switches_the_store_off_for_its_registry(home: Home) -> None:
    """As in Docker; the others still ask the store."""
    asked = home.helper("store", """echo '{"Username": "u", "Secret": "stored"}'""")
    config = home.config(
        {"credsStore": "store", "credHelpers": {"a.io": ""}, "auths": {"a.io": {"auth": pair("file:a")}}}
    )
    assert await config.get("a.io") == Credentials("file", "a")
    assert not asked.exists()
    assert await config.get("b.io") == Credentials("u", "stored")


def test_proxies_of_the_configuration_become_build_arguments(home: Home) -> None:
    """As docker buildx takes them; a build argument of the same name, in any case of letters, goes before."""
    default = {"httpProxy": "http://p", "httpsProxy": "http://s", "noProxy": "x", "other": "y", "ftpProxy": ""}
    found = home.config({"proxies": {"default": default}}).proxies()
    assert found == {"HTTP_PROXY": "http://p", "HTTPS_PROXY": "http://s", "NO_PROXY": "x"}
    assert with_proxies(BuildRequest(build_args={"http_proxy": "mine", "A": "b"}), found).build_args == {
        "http_proxy": "mine",
        "A": "b",
        "HTTPS_PROXY": "http://s",
        "NO_PROXY": "x",
    }
    for broken in ("{", {}, {"proxies": []}):
        assert home.config(broken).proxies() == {}


async def test_a_helper_is_asked_once_though_several_nodes_ask_at_once(home: Home) -> None:
    """It may show its user a window."""
    asked = home.helper("slow", """sleep 0.2; echo '{"Username": "u", "Secret": "p"}'""")
    config = home.config({"credsStore": "slow"})
    found = await asyncio.gather(*(config.get("r.io") for _ in range(4)))
    assert set(found) == {Credentials("u", "p")}
    assert asked.read_text() == "get r.io\n"
