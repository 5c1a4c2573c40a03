"""`--addr`: a builder made of addresses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from buildclient import Builder, Where
from buildclient.base.errors import UsageError
from buildclient.contract.output import NodeOutput
from buildclient.contract.platform import parse_platform
from buildclient.discovery.addresses import output_of_addresses


def test_each_address_is_a_node() -> None:
    """With its platforms, TLS files and name."""
    output = output_of_addresses(
        [
            "unix:///run/buildkit/buildkitd.sock",
            "tcp://arm.example:1234,platform=linux/arm64,platform=linux/arm/v7,cacert=a,cert=b,key=c,servername=d",
            "kube-pod://p?namespace=n,name=mine",
        ]
    )
    assert output.name == "remote"
    assert [node.name for node in output.nodes] == ["buildkitd", "arm-example-1234", "mine"]
    assert output.nodes[1].platforms == (parse_platform("linux/arm64"), parse_platform("linux/arm/v7"))
    assert output.nodes[1].tls == {"ca": "a", "cert": "b", "key": "c", "servername": "d"}
    assert type(output).from_json(output.to_json()) == output


def test_one_address_gives_the_builder_its_name() -> None:
    """Two of the same host are told apart."""
    assert output_of_addresses(["ssh://me@host:22"]).name == "host-22"
    two = output_of_addresses(["unix:///a/buildkitd.sock", "unix:///b/buildkitd.sock"])
    assert [node.name for node in two.nodes] == ["buildkitd", "buildkitd-2"]


def test_the_files_of_a_folder_are_taken_as_buildctl_does(tmp_path: Path) -> None:
    """Its own names first, then those of a Kubernetes secret; a folder without an authority is refused."""
    (tmp_path / "ca.crt").touch()
    (tmp_path / "tls.crt").touch()
    (tmp_path / "cert.pem").touch()
    (node,) = output_of_addresses([f"tcp://h:1,tlsdir={tmp_path}"]).nodes
    assert node.tls == {"ca": f"{tmp_path}/ca.crt", "cert": f"{tmp_path}/cert.pem"}
    with pytest.raises(UsageError, match="there is no ca"):
        output_of_addresses([f"tcp://h:1,tlsdir={tmp_path}/none"])


def test_a_certificate_leads_to_the_endpoints(tmp_path: Path) -> None:
    """Nodes with an endpoint are reached there, others as before; a folder without a key is refused."""
    node: dict[str, Any] = {"name": "a", "workload": {"kind": "Deployment", "name": "a"}, "selector": {"app": "a"}}
    nodes = [{**node, "endpoint": "tcp://a.n.svc:1234"}, {**node, "name": "b"}]
    text = json.dumps({"version": 1, "name": "kube", "namespace": "n", "nodes": nodes})

    def found(**environ: str) -> tuple[NodeOutput, ...]:
        return asyncio.run(Builder(environ={"BUILDCLIENT_BUILDER": text, **environ}).output_async()).nodes

    first, second = found()
    assert (first.address, first.endpoint, second.endpoint) == ("", "tcp://a.n.svc:1234", "")
    for name in ("ca.pem", "cert.pem"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"BUILDCLIENT_TLSDIR: there is no key.pem or tls.key in "):
        found(BUILDCLIENT_TLSDIR=str(tmp_path))
    (tmp_path / "key.pem").touch()
    first, second = found(BUILDCLIENT_TLSDIR=str(tmp_path))
    assert (first.address, first.workload) == ("tcp://a.n.svc:1234", None)
    assert first.tls == {what: f"{tmp_path}/{what}.pem" for what in ("ca", "cert", "key")}
    assert second.workload is not None
    assert second.address == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("host:1", "--addr host:1: must be unix://PATH"),
        ("tcp://h:1,foo=bar", "unknown key 'foo'"),
        ("tcp://h:1,platform", "'platform' is not KEY=VALUE"),
        ("tcp://h:1,platform=a/b/c/d", "platform"),
        ('tcp://h:1,"cert=a', 'missing " in quoted-field'),
        ("unix:///s,cert=a", "TLS is for tcp:// alone"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, words: str) -> None:
    """With the flag and its value."""
    with pytest.raises(UsageError, match=words):
        output_of_addresses([text])


def test_an_address_given_twice_is_refused() -> None:
    """It would be one daemon that builds twice."""
    with pytest.raises(UsageError, match="tcp://h:1 is given twice"):
        output_of_addresses(["tcp://h:1", "tcp://h:1,name=other"])


@pytest.mark.parametrize(
    ("where", "environ", "found"),
    [
        (Where(addr=("tcp://a:1",)), {"BUILDCLIENT_BUILDER": "x", "BUILDKIT_HOST": "tcp://b:1"}, "a-1"),
        (Where(addr=("tcp://a:1",), builder="x"), {}, "a-1"),
        (Where(), {"BUILDKIT_HOST": "tcp://b:1"}, "b-1"),
    ],
)
async def test_addresses_come_first_and_buildctls_variable_last(
    where: Where, environ: dict[str, Any], found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both without asking a cluster or Pulumi."""
    monkeypatch.chdir(tmp_path)
    assert (await Builder(where, environ={"HOME": str(tmp_path), **environ}).output_async()).name == found


async def test_a_project_is_not_passed_over_for_buildctls_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder with a Pulumi project its builder is meant, or an error says why there is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    (tmp_path / "state").mkdir()
    environ = {"HOME": str(tmp_path), "BUILDKIT_HOST": "tcp://b:1", "PULUMI_BACKEND_URL": f"file://{tmp_path}/state"}
    with pytest.raises(Exception, match="has no selected stack"):
        await Builder(Where(), environ=environ).output_async()
