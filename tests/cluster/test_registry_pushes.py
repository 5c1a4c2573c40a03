"""Pushes from two nodes into registries that ask who is there, and the merged index beside docker buildx's."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import urllib3

from buildclient import Builder, build_request
from buildclient.base.errors import ClientError
from buildclient.contract.platform import parse_platform
from buildclient.registry.client import OciRegistry
from buildclient.registry.credentials import Credentials
from buildclient.registry.merge import DOCKER_LIST, OCI_INDEX, Source, digest_of, merge_sources
from buildclient.request.values import BuildResult, Output
from localcluster import tools
from tests.cluster.client_builder import HandMadeBuilder, hand_made
from tests.registries import PASSWORD, USER, TokenServer, basic, htpasswd, image, registry

pytestmark = pytest.mark.cluster
BOTH = (parse_platform("linux/amd64"), parse_platform("linux/arm64"))
ACCEPT = ", ".join((OCI_INDEX, DOCKER_LIST, "application/vnd.oci.image.manifest.v1+json"))


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """A builder of two nodes, ready, and a context without base image."""
    with hand_made(cluster, tmp_path_factory.mktemp("push"), "push") as one:
        one.context("context", "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY file /\n", file="x")
        yield one


@pytest.fixture
def address(builder: HandMadeBuilder) -> str:
    """The address of this machine that pods reach."""
    host, _, port = builder.registry.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))
        return str(probe.getsockname()[0])


def push(builder: HandMadeBuilder, *names: str, auths: Mapping[str, str] | None = None, **more: Any) -> BuildResult:
    """Builds both platforms and pushes them over plain HTTP, with these passwords (`user:password` by host)."""
    docker = builder.folder / uuid.uuid4().hex
    docker.mkdir()
    entries = {host: {"auth": base64.b64encode(pair.encode()).decode()} for host, pair in (auths or {}).items()}
    (docker / "config.json").write_text(json.dumps({"auths": entries}))
    attrs = {"push": "true", "registry.insecure": "true"}
    request = build_request(
        str(builder.folder / "context"),
        tags=names,
        platforms=BOTH,
        outputs=[Output("image", attrs)],
        provenance="false",
        **more,
    )
    return Builder(output=builder.output, environ={**builder.environment, "DOCKER_CONFIG": str(docker)}).build(request)


def stored(name: str, authorization: str = "") -> tuple[int, bytes]:
    """Status and bytes of a manifest, `host/repository:reference`."""
    host, _, rest = name.partition("/")
    repository, _, reference = rest.partition("@") if "@" in rest else rest.rpartition(":")
    headers = {"Accept": ACCEPT, **({"Authorization": authorization} if authorization else {})}
    answer = urllib3.request("GET", f"http://{host}/v2/{repository}/manifests/{reference}", headers=headers)
    return answer.status, answer.data


def architectures(data: bytes) -> list[str]:
    """Those of an index."""
    return [entry["platform"]["architecture"] for entry in json.loads(data)["manifests"]]


def test_a_password_pushes_from_both_nodes(builder: HandMadeBuilder, address: str, tmp_path: Path) -> None:
    """Docker's configuration opens a registry with a password to the pods, and to the merge, under every tag."""
    with registry(tmp_path, htpasswd(tmp_path), address) as host:
        result = push(builder, f"{host}/app:1", f"{host}/app:2", f"{host}/other:3", auths={host: f"{USER}:{PASSWORD}"})
        found = [stored(f"{host}/{name}", basic(USER, PASSWORD)) for name in ("app:1", "app:2", "other:3")]
        assert {status for status, _ in found} == {200}
        assert {digest_of(data) for _, data in found} == {result.digest}
        assert architectures(found[0][1]) == ["amd64", "arm64"]
        assert stored(f"{host}/app:1")[0] == 401


@pytest.mark.parametrize("kind", ["credHelpers", "credsStore", "DOCKER_AUTH_CONFIG"])
def test_helpers_and_the_environment_open_a_registry(
    builder: HandMadeBuilder, address: str, tmp_path: Path, kind: str
) -> None:
    """A helper for the registry, a store for all, and the variable, as Docker knows them; from the command line."""
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        f'#!/bin/sh\nhost=$(cat)\necho "$1 $host" >> {tmp_path}/asked\n'
        f'printf \'{{"ServerURL": "%s", "Username": "{USER}", "Secret": "{PASSWORD}"}}\' "$host"\n'
    )
    helper.chmod(0o755)
    with registry(tmp_path, htpasswd(tmp_path), address) as host:
        entry = {"auths": {host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}}
        config = {"credHelpers": {"credHelpers": {host: "test"}}, "credsStore": {"credsStore": "test"}}.get(kind, {})
        (tmp_path / "config.json").write_text(json.dumps(config))
        done = builder.run(
            *("build", "--platform", "linux/amd64,linux/arm64", "--provenance=false", "-t", f"{host}/app:1"),
            *("-o", "type=image,push=true,registry.insecure=true", str(builder.folder / "context")),
            DOCKER_CONFIG=str(tmp_path),
            PATH=f"{tmp_path}:{builder.environment['PATH']}",
            DOCKER_AUTH_CONFIG=json.dumps(entry) if kind == "DOCKER_AUTH_CONFIG" else "",
        )
        assert done.status == 0, done.err
        status, data = stored(f"{host}/app:1", basic(USER, PASSWORD))
        assert (status, architectures(data)) == (200, ["amd64", "arm64"])
    asked = (tmp_path / "asked").read_text().splitlines() if (tmp_path / "asked").exists() else []
    # Once for the whole build.
    assert asked == ([] if kind == "DOCKER_AUTH_CONFIG" else [f"get {host}"])


@pytest.mark.parametrize("pair", ["", f"{USER}:wrong"], ids=["none", "wrong"])
def test_without_the_password_nothing_is_pushed(
    builder: HandMadeBuilder, address: str, tmp_path: Path, pair: str
) -> None:
    """A missing or wrong password fails the build, says so, and leaves no tag."""
    with registry(tmp_path, htpasswd(tmp_path), address) as host:
        with pytest.raises(ClientError) as caught:
            push(builder, f"{host}/app:1", auths={host: pair} if pair else None)
        assert host in str(caught.value)
        assert "401" in str(caught.value) or "authoriz" in str(caught.value) or "credentials" in str(caught.value)
        assert stored(f"{host}/app:1", basic(USER, PASSWORD))[0] == 404


def test_tokens_are_fetched_by_the_client(builder: HandMadeBuilder, address: str, tmp_path: Path) -> None:
    """With a token server that only this machine reaches both nodes push: the password does not leave the client."""
    with TokenServer(tmp_path).serving() as server, registry(tmp_path, server.auth, address) as host:
        assert server.realm.startswith("http://127.0.0.1:")
        result = push(builder, f"{host}/app:1", auths={host: f"{USER}:{PASSWORD}"})
        posted = [asked for asked in server.asked if asked.method == "POST"]
        assert posted
        assert all("pull" in asked.body for asked in posted)
        fixed = _Fixed(Credentials(USER, PASSWORD))
        media_type, data = _get(OciRegistry(fixed, [address], {}), f"{host}/app", "1")
        assert (media_type, digest_of(data)) == (OCI_INDEX, result.digest)
        assert architectures(data) == ["amd64", "arm64"]


def test_a_repository_that_refuses_leaves_no_tag(builder: HandMadeBuilder, address: str, tmp_path: Path) -> None:
    """Where one of two registries takes nothing, the other gets no tag either."""
    other = tmp_path / "other"
    other.mkdir()
    with registry(tmp_path, None, address) as host, registry(other, htpasswd(other), address) as closed:
        with pytest.raises(ClientError):
            push(builder, f"{host}/app:1", f"{closed}/app:1")
        assert stored(f"{host}/app:1")[0] == 404


@pytest.mark.parametrize(
    "annotations",
    [
        (),
        ("index:org.example.one=1 <&> é", "manifest-descriptor:two=2", "manifest-descriptor[linux/arm64]:three=3"),
    ],
    ids=["plain", "annotated"],
)
def test_the_merged_index_is_buildxs_to_the_byte(
    builder: HandMadeBuilder, tmp_path: Path, annotations: tuple[str, ...]
) -> None:
    """Two nodes' images merged here and by docker buildx are the same bytes, annotations included."""
    ours, theirs = (f"{builder.registry}/push/{uuid.uuid4().hex[:8]}:1" for _ in range(2))
    epoch = "1700000000"
    push(builder, ours, annotations=annotations, environ={"SOURCE_DATE_EPOCH": epoch})
    environment = {
        **builder.environment,
        "DOCKER_CONFIG": str(tmp_path),
        "BUILDX_CONFIG": str(tmp_path / "buildx"),
        "SOURCE_DATE_EPOCH": epoch,
    }
    for architecture in ("amd64", "arm64"):
        append = ["--append"] if architecture == "arm64" else []
        _buildx(
            environment,
            *("create", "--name", "two", "--driver", "kubernetes", *append, "--platform", f"linux/{architecture}"),
            *("--node", f"builder-{architecture}", "--driver-opt", f"namespace={builder.namespace}"),
        )
    flags = [part for text in annotations for part in ("--annotation", text)]
    _buildx(
        environment,
        *("build", "--builder", "two", "--platform", "linux/amd64,linux/arm64", "--provenance=false", *flags),
        *("-t", theirs, "-o", "type=image,push=true,registry.insecure=true", str(builder.folder / "context")),
    )
    found = [stored(name) for name in (ours, theirs)]
    assert found[0][0] == found[1][0] == 200
    assert found[0][1] == found[1][1]
    for text in annotations:
        assert text.partition("=")[2].replace("<&>", "\\u003c\\u0026\\u003e") in found[0][1].decode()


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
async def test_merging_is_what_imagetools_does(tmp_path: Path, docker: bool) -> None:
    """`docker buildx imagetools create` makes the same bytes of the same images: variants, attestations, duplicates."""
    with registry(tmp_path) as host:
        client = OciRegistry(_Fixed(Credentials()), environ={})
        nodes = [
            await _node(client, host, docker, architectures) for architectures in (("amd64", "arm"), ("arm64", "amd64"))
        ]
        sources = [Source({"mediaType": kind, "digest": digest_of(data)}, data) for kind, data in nodes]
        environment = {"DOCKER_CONFIG": str(tmp_path), "BUILDX_CONFIG": str(tmp_path / "x"), "PATH": "/usr/bin:/bin"}
        annotation = [] if docker else ["--annotation", "index:a=b", "--annotation", "manifest-descriptor:c=<d>"]
        theirs = _buildx(
            environment,
            *("imagetools", "create", "--dry-run", *annotation, "-t", f"{host}/a:all"),
            *(f"{host}/a@{source.descriptor['digest']}" for source in sources),
        )
        attrs = {"annotation-index.a": "b", "annotation-manifest-descriptor.c": "<d>"}
        media_type, data = merge_sources(sources, {} if docker else attrs)
        assert data.decode() == theirs.rstrip("\n")
        assert media_type == (DOCKER_LIST if docker else OCI_INDEX)


async def _node(client: OciRegistry, host: str, docker: bool, names: tuple[str, ...]) -> tuple[str, bytes]:
    """Pushes images and the index over them as a node does; gives the index."""
    entries: list[dict[str, Any]] = []
    for architecture in names:
        platform = {"os": "linux", "architecture": architecture}
        if architecture == "arm":
            platform["variant"] = "v7"
        media_type, data = image(host, "a", {**platform, "made": "by the test"}, docker=docker)
        digest = await client.put_manifest(f"{host}/a@{digest_of(data)}", media_type, data)
        entries.append({"mediaType": media_type, "digest": digest, "size": len(data), "platform": platform})
        if not docker:
            marks = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest}
            media_type, data = image(host, "a", {"attestation": digest})
            proof = await client.put_manifest(f"{host}/a@{digest_of(data)}", media_type, data)
            unknown = {"architecture": "unknown", "os": "unknown"}
            entries.append(
                {"mediaType": media_type, "digest": proof, "size": len(data), "annotations": marks, "platform": unknown}
            )
    kind = DOCKER_LIST if docker else OCI_INDEX
    data = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
    await client.put_manifest(f"{host}/a@{digest_of(data)}", kind, data)
    return kind, data


class _Fixed:
    """The same credentials for every host."""

    def __init__(self, found: Credentials) -> None:
        self._found = found

    async def get(self, host: str) -> Credentials:
        return self._found


def _get(client: OciRegistry, reference: str, tag: str) -> tuple[str, bytes]:
    import asyncio

    return asyncio.run(client.get_manifest(reference, tag))


def _buildx(environment: Mapping[str, str], *arguments: str) -> str:
    """Standard output of docker buildx."""
    done = subprocess.run(
        [str(tools.ensure("buildx")), *arguments],
        env=dict(environment),
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
