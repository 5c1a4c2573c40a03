"""Kubeconfig files, held to the official client where it has an answer."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.kube.kubeconfig import load_kubeconfig

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
DATA = base64.b64encode(PEM).decode()


def config(user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """A kubeconfig of one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://one.example:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "current-context": "x",
        **top,
    }


def written(folder: Path, name: str, value: dict[str, Any]) -> str:
    """The path of a file with a kubeconfig in it."""
    path = folder / name
    path.write_text(yaml.safe_dump(value))
    return str(path)


CASES = {
    "token": config({"token": "abc"}),
    "basic": config({"username": "me", "password": "secret"}),
    "certificate data": config({"client-certificate-data": DATA, "client-key-data": DATA}),
    "authority data": config({"token": "t"}, {"certificate-authority-data": DATA}),
    "insecure": config({"token": "t"}, {"insecure-skip-tls-verify": True}),
    "server name": config({"token": "t"}, {"tls-server-name": "inner.example"}),
    "proxy": config({"token": "t"}, {"proxy-url": "http://proxy.example:3128"}),
    "empty exec fields": config({"token": "t", "exec": None}),
}


@pytest.mark.parametrize("name", CASES)
def test_reads_what_the_official_client_reads(name: str, tmp_path: Path) -> None:
    """Server, trust, credentials and proxy are those that `kubernetes.config` finds in the same file."""
    kubernetes_client = pytest.importorskip("kubernetes.client")
    from kubernetes import __version__ as version
    from kubernetes import config as oracle

    if name == "proxy" and int(version.partition(".")[0]) < 37:
        pytest.skip(f"kubernetes {version} does not read proxy-url")
    path = written(tmp_path, "config", CASES[name])
    theirs = kubernetes_client.Configuration()
    oracle.load_kube_config(config_file=path, client_configuration=theirs)
    ours = load_kubeconfig({}, path).access("x")
    assert ours.server == theirs.host
    assert ours.insecure == (not theirs.verify_ssl)
    assert (ours.proxy_url or None) == theirs.proxy
    assert (ours.tls_server_name or None) == theirs.tls_server_name
    for material, file in ((ours.ca, theirs.ssl_ca_cert), (ours.certificate, theirs.cert_file)):
        assert material.read() == (Path(file).read_bytes() if file else b"")
    said = next(iter(theirs.api_key.values()), "")
    if ours.token:
        assert said == f"Bearer {ours.token}"
    if ours.username:
        assert said == "Basic " + base64.b64encode(f"{ours.username}:{ours.password}".encode()).decode()


def test_a_login_in_the_servers_url_is_no_part_of_its_name(tmp_path: Path) -> None:
    """It is sent, as Go's HTTP client sends it, and stands in no message."""
    path = written(tmp_path, "config", config({}, {"server": "https://u:PW@one.example:6443/p"}))
    access = load_kubeconfig({}, path).access("x")
    assert (access.server, access.username, access.password) == ("https://one.example:6443/p", "u", "PW")
    assert load_kubeconfig({}, path).server("x") == "https://one.example:6443/p"
    path = written(tmp_path, "config", config({}, {"server": "https://u:PW@one.example:x"}))
    with pytest.raises(ConfigurationError, match="unusable server") as caught:
        load_kubeconfig({}, path).access("x")
    assert "PW" not in str(caught.value)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(n + 1)}: &{chr(n + 1)} [*{chr(n)}, *{chr(n)}]\n" for n in range(ord("a"), ord("z"))
)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        '{"a":' * 100_000,
        "[" * 100_000,
        "a: " + "[" * 3000 + "]" * 3000,
        BOMB,
        "a: &a [*a]",
        "a: 2020-99-99",
        "a: " + "1" * 5000,
    ],
    ids=["brackets", "JSON", "lists", "flow", "aliases", "itself", "date", "number"],
)
def test_a_file_out_of_bounds_is_refused_in_a_line(text: str, tmp_path: Path) -> None:
    """Deep, large once written out, or with a value that Python cannot hold."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(ConfigurationError, match="config") as caught:
        load_kubeconfig({}, str(tmp_path / "config")).access("x")
    assert len(str(caught.value)) < 300


def test_a_file_without_an_end_is_refused() -> None:
    """A device is read as far as a kubeconfig may go."""
    with pytest.raises(ConfigurationError, match="it has more than 16777216 bytes"):
        load_kubeconfig({}, "/dev/zero")


@pytest.mark.parametrize("url", ["https://[", "https://h:x", "https://h:99999", "https://", "https://a b"])
def test_a_url_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    """Whether the server's or the proxy's."""
    for cluster, words in (({"server": url}, "unusable server"), ({"proxy-url": url}, "unusable proxy-url")):
        path = written(tmp_path, "config", config({}, cluster))
        with pytest.raises(ConfigurationError, match=words):
            load_kubeconfig({}, path).access("x")


def test_the_first_file_that_names_a_thing_wins(tmp_path: Path) -> None:
    """Several files are merged as kubectl merges them, and files that are not there are passed over."""
    first = config({"token": "first"})
    second = config({"token": "second"}, {"server": "https://two.example"}, **{"current-context": "y"})
    second["contexts"].append({"name": "y", "context": {"cluster": "c", "user": "v"}})
    second["users"].append({"name": "v", "user": {"token": "v"}})
    paths = [written(tmp_path, "a", first), str(tmp_path / "missing"), written(tmp_path, "b", second)]
    found = load_kubeconfig({"KUBECONFIG": ":".join(paths)})
    assert found.current == "x"
    assert found.access("x").token == "first"
    assert found.access("y").server == "https://one.example:6443"
    assert found.access("y").token == "v"


def test_relative_file_names_belong_to_their_file(tmp_path: Path) -> None:
    """Certificates and token files are looked for beside the kubeconfig that names them."""
    (tmp_path / "ca.crt").write_bytes(PEM)
    path = written(tmp_path, "config", config({"tokenFile": "token"}, {"certificate-authority": "ca.crt"}))
    access = load_kubeconfig({}, path).access("x")
    assert access.ca.read() == PEM
    assert access.token_file == str(tmp_path / "token")


def test_json_is_read_as_yaml(tmp_path: Path) -> None:
    """A kubeconfig in JSON gives the same as one in YAML."""
    path = tmp_path / "config"
    path.write_text(json.dumps(config({"token": "t"})))
    assert load_kubeconfig({}, str(path)) == load_kubeconfig({}, str(path))._replace(files=(str(path),))
    assert load_kubeconfig({}, str(path)).access("x").token == "t"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n", "not a kubeconfig"),
        ("a: [\n", "not YAML at line"),
        (yaml.safe_dump(config({"auth-provider": {"name": "oidc"}})), "auth-provider"),
        (yaml.safe_dump(config({}, {"server": ""})), "unusable server"),
        (yaml.safe_dump(config({"exec": {"apiVersion": "v1"}})), "exec has no command"),
        (yaml.safe_dump({**config(), "clusters": []}), 'cluster "c", which does not exist'),
        (yaml.safe_dump(config({}, {"certificate-authority-data": "%"})), "is not base64"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, words: str, tmp_path: Path) -> None:
    """Each malformed kubeconfig is one line that names the field."""
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(UnreachableError) as caught:
        load_kubeconfig({}, str(path)).access("x")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whom_to_act_as_becomes_headers_of_any_alphabet(tmp_path: Path) -> None:
    """The keys of extra fields are part of a header's name, and escaped as client-go escapes them."""
    user = {"as": "größe", "as-groups": ["a", "b"], "as-user-extra": {"größe/a b": ["v"], "scopes.x-y_z~": ["w"]}}
    assert load_kubeconfig({}, written(tmp_path, "config", config(user))).access("x").impersonate == (
        ("Impersonate-User", "größe"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-gr%C3%B6%C3%9Fe%2Fa%20b", "v"),
        ("Impersonate-Extra-scopes.x-y_z~", "w"),
    )
