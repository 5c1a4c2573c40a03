"""The readers of foreign text, each with seeds, words of its language, and what it may raise."""

from __future__ import annotations

import asyncio
import atexit
import base64
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from buildkit_builders.kubeconfig import find_cluster
from buildkit_builders.manifests import node_objects
from buildkit_builders.options import OptionErrors, parse_driver_opts
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.quantity import parse_quantity
from buildkit_builders.options.table import TABLE, OptionRow
from buildkit_builders.options.text import as_text
from buildkit_builders.spec import BUILDER_KEYS, check_builder
from google.protobuf.message import DecodeError

from buildclient.base.csvtext import CsvError, csv_fields
from buildclient.base.errors import BuildFailed, ClientError, InvalidBuild, UnreachableError, UsageError
from buildclient.base.ociindex import image_name, index_text, named, put, read_index, single, tag_name
from buildclient.contract.jsontext import read_json
from buildclient.contract.output import BuilderOutput, OutputError
from buildclient.contract.platform import PlatformError, parse_platforms
from buildclient.daemon.provenance import Provenance, provenance_entries
from buildclient.daemon.rpcerror import RpcError
from buildclient.daemon.source_policy import encode_source_policy
from buildclient.daemon.status import events, failure, workers
from buildclient.discovery.addresses import output_of_addresses
from buildclient.discovery.pulumi_state import ProjectFolder
from buildclient.engine.address import is_containerd, parse_address, parse_containerd
from buildclient.engine.errors import EngineError
from buildclient.engine.find import context_address
from buildclient.engine.messages import LoadMessageReader, MessageError, read_info
from buildclient.inputs.giturl import has_query, is_remote
from buildclient.inputs.globs import PatternError
from buildclient.inputs.ignore import ROOT, Filter
from buildclient.inputs.layouts import parse_layout
from buildclient.keep.watches import Held
from buildclient.keep.wire import read_request
from buildclient.kube import channels, frames
from buildclient.kube.kubeconfig import load_kubeconfig
from buildclient.kube.lastpods import read_last_pods, read_versions
from buildclient.kube.lease import read_lease
from buildclient.kube.pod import read_pod
from buildclient.proto import content_pb2
from buildclient.proto import control_pb2 as pb
from buildclient.registry.client import read_challenge
from buildclient.registry.docker_config import DockerConfig
from buildclient.registry.http import Answer, plain_http, said
from buildclient.registry.merge import OCI_INDEX, Source, descriptor_of, merge_sources
from buildclient.registry.reference import InvalidReference, parse_reference, parse_tag
from buildclient.registry.token import TokenRefused, read_token
from buildclient.request.annotations import annotation_attrs, parse_annotations
from buildclient.request.callmethod import CallMethod, parse_call
from buildclient.request.flagtext import key_values, parse_attests, parse_cache, parse_context_names, parse_list
from buildclient.request.limits import parse_entitlements, parse_host, parse_size, parse_ulimits
from buildclient.request.outputs import parse_output
from buildclient.request.platforms import read_platforms
from buildclient.request.policy import combined, parse_policies
from buildclient.request.resources import parse_resources
from buildclient.results.docker_archive import DockerArchive
from buildclient.results.metadata import decode_response
from buildclient.results.subrequest_text import answer_text, check_error_text
from buildclient.results.subrequests import read_check
from buildclient.session import diffcopy, wire
from buildclient.session.call import Status
from buildclient.session.writable import WritableStore
from tests.fuzz.harness import Reader, Report, run
from tests.fuzz.readers_claims import CLAIMS
from tests.fuzz.readers_page import PAGE
from tests.fuzz.readers_progress import PROGRESS
from tests.fuzz.readers_results import RESULTS
from tests.fuzz.readers_secrets import SECRETS
from tests.fuzz.readers_stacks import STACKS
from tests.unit.content_daemon import ContentDaemon

_DATA = Path(__file__).parents[1] / "unit"
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
# No program is found: what a changed name of a helper would start is not tested here.
_ENVIRON = {"HOME": str(_FOLDER), "PATH": str(_FOLDER), "DOCKER_CONFIG": str(_FOLDER)}


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """For readers of arguments and of variables, which hold any bytes so."""
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def _value(read: Callable[[Any], object]) -> Callable[[bytes], object]:
    """For readers of values that were JSON; what is none is no input of theirs."""

    def readable(data: bytes) -> object:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return read(value)

    return readable


def _layout_index(data: bytes) -> None:
    index = read_index(data)
    named(index, "latest")
    single(index)
    read_index(index_text(put(index, index["manifests"][:1], [tag_name("latest"), image_name("a/b:1")])))


_LAYOUTS = (b"oci-layout://a:b@sha256:" + b"a" * 64, b"oci-layout:///x/y", b"oci-layout://")
_CONTENT = (
    b"\2" + content_pb2.WriteContentRequest(ref="r", total=4, expected=f"sha256:{'a' * 64}").SerializeToString(),
    b"\2" + content_pb2.WriteContentRequest(action=content_pb2.COMMIT, ref="r", data=b"blob").SerializeToString(),
    b"\1" + content_pb2.ReadContentRequest(digest=f"sha256:{'a' * 64}", offset=1, size=2).SerializeToString(),
)


def _content(data: bytes) -> None:
    """The first byte says which method gets the rest."""
    store = WritableStore(str(_FOLDER / "layout"))
    daemon = ContentDaemon({"s": store.of_node()}, write_wait=0)
    methods = ("Info", "Read", "Write", "Status", "ListStatuses", "Abort", "List", "Update", "Delete")
    try:
        asyncio.run(daemon.ask(methods[(data[:1] or b"0")[0] % len(methods)], "s", data[1:]))
    finally:
        store.close(published=False)


def _words(text: str) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in text.split())


def _json(*values: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


def _kubeconfig(data: bytes) -> None:
    path = _FOLDER / "kubeconfig"
    path.write_bytes(data)
    config = load_kubeconfig({}, str(path))
    for context in config.contexts:
        config.server(context)
        config.access(context)


def _docker_config(data: bytes) -> None:
    (_FOLDER / "config.json").write_bytes(data)
    config = DockerConfig(_ENVIRON)
    config.proxies()
    for host in ("registry-1.docker.io", "registry.example:5000"):
        config._find(host)


def _state(data: bytes) -> None:
    path = _FOLDER / ".pulumi" / "stacks" / "p" / "dev.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    found = ProjectFolder(str(_FOLDER / "Pulumi.yaml"), f"name: p\nbackend:\n  url: file://{_FOLDER}\n", _ENVIRON)
    found.output("dev")


def _project(text: str) -> None:
    for name in ("Pulumi.yaml", "Pulumi.json"):
        ProjectFolder(str(_FOLDER / name), text, _ENVIRON).selected()


def _merge(value: Any) -> None:
    """A list of manifests, pushed by several nodes, each under a descriptor of its own."""
    sources = [
        Source(one["descriptor"], json.dumps(one["manifest"]).encode())
        for one in (value if isinstance(value, list) else [])
        if isinstance(one, dict) and isinstance(one.get("descriptor"), dict) and "manifest" in one
    ]
    marks = {"annotation-index.a": "b", "annotation-manifest-descriptor[linux/amd64].c": "d"}
    merge_sources(sources, marks)


def _failure(data: bytes) -> None:
    str(failure(RpcError("Unknown", "why", data), "here"))


def _detail(name: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        status = pb.Status()
        status.details.add(type_url=f"github.com/moby/buildkit/{name}+json", value=data)
        _failure(status.SerializeToString())

    return read


def _websocket(data: bytes) -> None:
    """The first byte says into pieces of which size the rest is cut."""
    reader, size = frames.MessageReader(), data[:1] + b"\1"
    step = 1 + size[0] * 37
    for at in range(1, len(data), step):
        for opcode, payload in reader.feed(data[at : at + step]):
            frames.close_reason(payload) if opcode == frames.CLOSE else None


def _upgrade(data: bytes) -> None:
    head = frames.read_head(data)
    if head is not None:
        frames.body_of(head, head.rest, ended=False)
        frames.body_of(head, head.rest, ended=True)
        frames.accepted(head, b"k" * 16, channels.SUBPROTOCOLS)


def _engine_messages(data: bytes) -> None:
    reader, step = LoadMessageReader(), 1 + (data[:1] + b"\1")[0] * 37
    for at in range(1, len(data), step):
        reader.feed(data[at : at + step])
    reader.end()


def _docker_archive(data: bytes) -> None:
    archive = DockerArchive(None)
    for at in range(0, len(data), 700):
        list(archive.feed([data[at : at + 700]]))
    list(archive.end())


def _layout_tar() -> bytes:
    digest = "sha256/" + "a" * 64
    blob = {"digest": digest.replace("/", ":")}
    files = {
        f"blobs/{digest}": json.dumps({"config": blob, "layers": [blob]}),
        "index.json": json.dumps({"manifests": [{**blob, "annotations": {"io.containerd.image.name": "a:1"}}]}),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def _session(data: bytes) -> None:
    reader, step = wire.GrpcReader(), 1 + (data[:1] + b"\1")[0] * 37
    for at in range(1, len(data), step):
        for message in reader.feed(data[at : at + step]):
            wire.read_bytes_message(message)


def _filter(text: str) -> None:
    patterns, _, paths = text.partition("\n\n")
    chosen = Filter((), patterns.split("\n")[:50])
    for path in paths.split("\n")[:10]:
        chosen.verdict(path, ROOT, folder=True)


def _merged_response(value: Any) -> None:
    if isinstance(value, dict) and all(isinstance(one, str) for one in value.values()):
        decode_response(value)
        descriptor_of(value)


def _provenance(kind: str) -> Callable[[bytes], object]:
    return lambda data: [provenance_entries({"": Provenance(kind, data)}, mode) for mode in ("min", "max")]


def _stack(value: Any) -> None:
    if isinstance(value, Mapping):
        problems = Problems()
        spec = check_builder(value, "default", problems)
        for node in spec.nodes if not problems.found else ():
            node_objects(node)


def _samples(*rows: OptionRow) -> dict[str, Any]:
    """Each row's example; what is JSON as mappings and lists."""
    samples = {name: text for row in rows for name, text in row.sample.items()}
    return {name: json.loads(text) if text[:1] in "[{" else text for name, text in samples.items()}


_PLATFORMS = _words("linux/amd64 linux/arm64/v8 windows(10.0.17763)/amd64 local arm ,")
_DIGEST = "sha256:" + "a" * 64
_KUBE = {
    "apiVersion": "v1",
    "clusters": [
        {
            "name": "c",
            "cluster": {
                "server": "https://a:1",
                "certificate-authority-data": "YQ==",
                "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {}}],
            },
        }
    ],
    "users": [
        {
            "name": "u",
            "user": {
                "token": "t",
                "as": "x",
                "as-groups": ["g"],
                "as-user-extra": {"k": ["v"]},
                "client-certificate": "a.pem",
                "client-key-data": "YQ==",
                "tokenFile": "f",
            },
        },
        {
            "name": "e",
            "user": {
                "exec": {
                    "command": "./c",
                    "args": ["a"],
                    "env": [{"name": "A", "value": "b"}],
                    "provideClusterInfo": True,
                }
            },
        },
    ],
    "contexts": [
        {"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "n"}},
        {"name": "y", "context": {"cluster": "c", "user": "e"}},
    ],
    "current-context": "x",
}
_KUBE_YAML = b"""\
apiVersion: v1
clusters:
- name: c
  cluster: &c {server: https://a:1}
users:
- name: u
  user: {token: t}
contexts:
- name: x
  context: {cluster: c, user: u}
current-context: x
"""
_KUBE_WORDS = _words(
    "name cluster user context exec command env args as-user-extra - : & * ! << {} [] | > null ~ 2020-01-01 0x1 1_0 *c"
)
_BUILDER = {
    "name": "kube",
    "namespace": "n",
    "nodes": [
        {"name": "a", "platforms": ["linux/amd64"], "driver-opts": _samples(*TABLE.rows[:6])},
        {"driver-opts": "replicas=2"},
    ],
    "driver-opts": _samples(*TABLE.rows[6:]),
    "loadbalance": "sticky",
    "default-load": False,
    "createNamespace": True,
    "clientServiceAccount": "ci/x",
    "clients": ["team/ci", {"subject": "group:team", "nodes": ["a"], "events": True, "scale": "true"}],
}
_MANIFEST = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": _DIGEST,
    "size": 3,
    "platform": {"os": "linux", "architecture": "amd64", "os.features": ["a"]},
    "annotations": {"a": "b"},
    "urls": ["u"],
}
_LEASE = {
    "metadata": {"name": "a", "resourceVersion": "12", "annotations": {"buildkit-builders/number": "7"}},
    "spec": {"holderIdentity": "me", "renewTime": "2026-01-02T03:04:05.678901Z"},
}
_POD = {
    "metadata": {"name": "a", "namespace": "n"},
    "spec": {"nodeName": "x"},
    "status": {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False"}, {"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [
            {
                "name": "b",
                "ready": False,
                "state": {"waiting": {"reason": "r", "message": "m"}},
                "lastState": {"terminated": {"exitCode": 1}},
            }
        ],
        "reason": "r",
    },
}
_SLSA = {
    "buildDefinition": {
        "externalParameters": {
            "configSource": {"uri": "u", "digest": {"sha256": "a"}, "path": "Dockerfile"},
            "request": {"frontend": "f"},
        },
        "internalParameters": {"builderPlatform": "linux/amd64", "buildConfig": {}},
        "resolvedDependencies": [{"uri": "u", "digest": {"a": "b"}}],
    },
    "runDetails": {
        "builder": {"id": "i"},
        "metadata": {"invocationId": "x", "buildkit_completeness": {"request": True}, "buildkit_metadata": {}},
    },
}
_REFUSED = (BuildFailed,)
_LINE = {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}], "sourceIndex": 0}
_CHECK = {
    "warnings": [{"ruleName": "r", "url": "u", "detail": "d", "location": _LINE}, {"ruleName": "s", "location": _LINE}],
    "sources": [{"filename": "Dockerfile", "data": "RlJPTSBhCg==", "language": "Dockerfile"}],
    "buildError": {"message": "m", "location": _LINE},
}
_OUTLINE = {
    "name": "n",
    "args": [{"name": "a", "value": "v", "description": "d"}],
    "secrets": [{"name": "s", "required": True}],
    "ssh": [{"name": "default"}],
    "cache": [{"ID": "/c"}],
}
_TARGETS = {"targets": [{"name": "n", "description": "d", "base": "scratch"}, {"default": True}]}
_SOURCE = {
    "info": {"filename": "Dockerfile", "data": "RlJPTSBhCg=="},
    "ranges": [{"start": {"line": 1}, "end": {"line": 1}}],
}


def _answer(name: str) -> Callable[[bytes], object]:
    """The text of a frontend's answer, and why a Dockerfile cannot be built."""

    def read(data: bytes) -> None:
        response = {"result.json": data.decode("utf-8", "surrogateescape"), "version": "1.0.0"}
        answer_text(CallMethod(name), response, "Dockerfile")
        if name == "lint":
            check_error_text(read_check(response))

    return read


def _status() -> bytes:
    response = pb.StatusResponse()
    vertex = response.vertexes.add(digest=_DIGEST, name="[1/2] RUN a", inputs=[_DIGEST], cached=True, error="e")
    vertex.started.seconds = 5
    response.statuses.add(vertex=_DIGEST, id="i", current=5, total=10).timestamp.seconds = 1 << 62
    response.logs.add(vertex=_DIGEST, stream=1, msg=b"line\n")
    response.warnings.add(vertex=_DIGEST, level=1, short=b"s", detail=[b"d"], url="u").info.data = b"FROM a"
    return response.SerializeToString()


def _watched(event: object) -> None:
    if isinstance(event, dict):
        held = Held({"items": [event.get("object")]})
        held.take(event)
        for one in read_json(held.body())["items"]:
            read_pod(one)


def _workers() -> bytes:
    response = pb.ListWorkersResponse()
    record = response.record.add(id="w", labels={"a": "b"})
    record.platforms.add(os="linux", architecture="arm64", variant="v8")
    return response.SerializeToString()


_PACKETS = (
    diffcopy.encode_stat(b"a/b", 0o755, 3, 5, b"l", (1, 2), {b"k": b"v"}),
    diffcopy.FIN,
    diffcopy.encode_error("no"),
    diffcopy.encode_request(300),
    diffcopy.data_head(1, 2) + b"ab",
)
_OUTPUT = (_DATA / "contract" / "outputs" / "v1.json").read_bytes()
_STATE = {
    "version": 3,
    "checkpoint": {
        "latest": {"resources": [{"type": "pulumi:pulumi:Stack", "outputs": {"builder": json.loads(_OUTPUT)}}]}
    },
}

_ALL = (
    Reader(
        "builder-output",
        BuilderOutput.loads,
        (_OUTPUT,),
        _words("version name nodes workload Deployment tcp:// 1.0 sticky Infinity"),
        (OutputError,),
        json=True,
    ),
    Reader(
        "addresses",
        _text(lambda text: output_of_addresses(text.split("\n"))),
        (
            b'tcp://[::1]:1234,platform=linux/arm64,cacert=a,"cert=b,c",key=d,servername=e\nunix:///run/s,name=n',
            b"ssh://me@host:22/run/s.sock\nkube-pod://p?namespace=n&context=c%2Fd&container=e",
        ),
        _words("tcp:// unix:// ssh:// kube-pod:// tlsdir= platform= name= %00 ? # [ ] @"),
        (UsageError,),
    ),
    Reader("kubeconfig", _kubeconfig, (*_json(_KUBE), _KUBE_YAML), _KUBE_WORDS, (UnreachableError,)),
    Reader("kubeconfig-json", _kubeconfig, _json(_KUBE), _KUBE_WORDS, (UnreachableError,), json=True),
    Reader(
        "builders-kubeconfig",
        lambda data: find_cluster(data.decode(errors="replace"), "", {}, Problems()),
        _json(_KUBE),
        _KUBE_WORDS,
        json=True,
    ),
    Reader(
        "docker-config",
        _docker_config,
        _json(
            {
                "auths": {
                    "https://index.docker.io/v1/": {"auth": "YTpi"},
                    "registry.example:5000": {"username": "u", "password": "p", "identitytoken": "t"},
                },
                "credHelpers": {"gcr.io": "gcloud"},
                "credsStore": "",
                "proxies": {"default": {"httpProxy": "http://p"}},
            }
        ),
        _words("auths credHelpers credsStore registry.example:5000 http://registry.example:5000/v2/"),
        (UsageError,),
        json=True,
    ),
    Reader(
        "driver-opts",
        _text(parse_driver_opts),
        (
            b'namespace=a,"nodeselector=a=b,c=d",replicas=2',
            b'tolerations="key=a,operator=Exists;key=b"',
            b"rootless=true\nlimits.cpu=1",
            *(as_text(row.sample).encode() for row in TABLE.rows if row.kind.json in ("object", "array")),
        ),
        (*(name.encode() for name in TABLE.names), *_words('= , " "" ; :')),
        (OptionErrors,),
    ),
    Reader(
        "stack-config",
        _value(_stack),
        _json(_BUILDER),
        tuple(name.encode() for name in (*TABLE.names, *BUILDER_KEYS)),
        json=True,
    ),
    Reader(
        "quantity",
        _text(parse_quantity),
        _words("100m 1.5Gi 4e9 -1 .5 1E 12345678901234567890n"),
        _words("Ki Mi e E + - . n u m"),
        (ValueError,),
    ),
    Reader(
        "reference",
        _text(lambda text: (parse_reference(text), plain_http(text, ("10.0.0.0/8", "a:5000")))),
        (b"a", b"docker.io/library/a:tag", b"[::1]:5000/a/b_c__d@" + _DIGEST.encode(), b"A.b:5/c.d-e--f"),
        _words(": / @ sha256: .. __ - [ ] localhost"),
        (InvalidReference,),
    ),
    Reader(
        "tag",
        _text(parse_tag),
        (b"a", b"docker.io/library/a:tag", b"a-b/c_d"),
        _words(": / @ sha256: .. __ -"),
        (InvalidReference,),
    ),
    Reader(
        "platforms",
        _text(lambda text: read_platforms([text], "linux/amd64")),
        _PLATFORMS,
        _PLATFORMS,
        (UsageError,),
    ),
    Reader(
        "resources",
        _text(lambda text: parse_resources([text])),
        (b"memory=2g", b"memory-swap=-1", b"cpu-quota=50000", b"cpuset-cpus=0-3"),
        _words("memory= = - . k m g 0 9223372036854775808"),
        (UsageError,),
    ),
    Reader(
        "remote-contexts",
        _text(lambda text: (is_remote(text), has_query(text))),
        (b"https://h/a.git?ref=main#v1:sub", b"git@h:a.git?tag=v1", b"github.com/a/b"),
        _words("? # & = : // @ .git HTTPS ssh"),
        (),
    ),
    Reader("platform-lists", _text(lambda text: parse_platforms([text])), _PLATFORMS, _PLATFORMS, (PlatformError,)),
    Reader("csv", _text(csv_fields), (b'a,"b,""c""",d', b"type=local,dest=x"), _words('" "" , ,"'), (CsvError,)),
    Reader(
        "outputs",
        _text(parse_output),
        (b"type=image,name=a,push=true", b"-", b"out", b"type=oci,dest=-,tar=false"),
        _words("type= dest= , = local tar oci docker image registry"),
        (UsageError,),
    ),
    Reader(
        "layout-index",
        _layout_index,
        _json(
            {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{'a' * 64}", "size": 1, "annotations": {"a": "b"}}]},
            {"manifests": None},
        ),
        _words(
            '"manifests" "digest" "size" "annotations" "org.opencontainers.image.ref.name" null [] {} -1 1e9 sha256:'
        ),
        (ValueError,),
    ),
    Reader(
        "layout-contexts",
        _text(parse_layout),
        _LAYOUTS,
        _words("oci-layout:// : @ / sha256: .. latest"),
        (InvalidBuild,),
    ),
    Reader("content-requests", _content, _CONTENT, (b"sha256:", b"\x08\x02", b"\x32\x04blob", b"r"), (Status,)),
    Reader(
        "engine-addresses",
        _text(lambda text: parse_containerd(text) if is_containerd(text) else parse_address(text)),
        (b"unix:///run/x", b"tcp://[::1]:2376/p", b"ssh://me@host:22/x", b"containerd:///x?namespace=k8s.io"),
        _words("unix:// tcp:// ssh:// npipe:// containerd:// @ : / ? # [ ] namespace= &"),
        (EngineError,),
    ),
    Reader(
        "docker-contexts",
        lambda data: context_address(data, "c"),
        _json({"Name": "c", "Endpoints": {"docker": {"Host": "tcp://h:1", "SkipTLSVerify": True}}}),
        _words('"Endpoints" "docker" "Host" {} [] null true ssh://'),
        (EngineError,),
    ),
    Reader(
        "engine-info",
        read_info,
        _json({"OSType": "linux", "Architecture": "x86_64", "DriverStatus": [["driver-type", "x"]]}),
        _words('"DriverStatus" "OSType" [] {} null windows s390x'),
        (MessageError,),
    ),
    Reader(
        "engine-messages",
        _engine_messages,
        (
            b'\x05{"status":"Loading layer","progressDetail":{"current":1,"total":9},"id":"a"}\r\n{"stream":"x"}',
            b'\x00{"errorDetail":{"message":"no space"},"error":"no space"}\n',
        ),
        _words('"progressDetail" "errorDetail" "current": 1e9 -1 null [] {} \\n'),
        (MessageError,),
    ),
    Reader(
        "oci-layouts-to-load",
        _docker_archive,
        (_layout_tar(),),
        _words("index.json manifests digest sha256: annotations platform null [] {} blobs/"),
        (BuildFailed,),
    ),
    Reader(
        "attests",
        _text(lambda text: parse_attests([text], text, text)),
        (b"type=provenance,mode=max", b"type=sbom,disabled=true", b"true"),
        _words("type= disabled= , = true"),
        (UsageError,),
    ),
    Reader(
        "caches",
        _text(lambda text: (parse_cache([text], {"ACTIONS_CACHE_URL": "u"}), parse_list([text]))),
        (b"type=registry,ref=a", b"user/app:cache", b"type=gha,token=t,version=2"),
        _words("type= ref= , = gha local"),
        (UsageError,),
    ),
    Reader(
        "pairs",
        _text(lambda text: (key_values([text], "--build-arg", {}), parse_context_names([text]))),
        (b"A=b", b"name=docker-image://x"),
        _words("= :"),
        (UsageError,),
    ),
    Reader(
        "annotations",
        _text(lambda text: annotation_attrs(parse_annotations([text]))),
        (b"a=b", b"index,manifest[linux/arm64]:a=b"),
        _words("index manifest-descriptor [ ] , : ="),
        (UsageError,),
    ),
    Reader(
        "ulimits",
        _text(lambda text: parse_ulimits([text])),
        (b"nofile=1024:2048", b"core=-1"),
        _words("nofile= : - + 9223372036854775808"),
        (UsageError,),
    ),
    Reader(
        "sizes",
        _text(lambda text: parse_size(text, "--shm-size")),
        (b"64m", b"1.5gb", b"1 KiB"),
        _words(". k ib PB"),
        (UsageError,),
    ),
    Reader(
        "entitlements",
        _text(lambda text: parse_entitlements([text])),
        (b"device=x", b"network.host"),
        _words("= security.insecure"),
        (UsageError,),
    ),
    Reader(
        "hosts",
        _text(parse_host),
        (b"a=10.0.0.1,[::1]", b"a:::1"),
        _words("= : [ ] , %eth0 host-gateway"),
        (UsageError,),
    ),
    Reader(
        "ignore",
        _text(_filter),
        (b"*.log\n!a.log\n**/x\n\na.log\nb/x", b"a/[a-z]?/**\n\\*\n\na/bc/d"),
        _words("* ** ? [ ] ^ - ! \\ / ( | ) + { } ."),
        (PatternError,),
    ),
    Reader(
        "challenge",
        _text(read_challenge),
        (b'Bearer realm="https://a/token",service="s",scope="repository:a:pull"', b'Basic realm="x"'),
        _words('Bearer Basic realm= " \\ \\" ,'),
    ),
    Reader(
        "token",
        lambda data: read_token("https://a", data),
        _json({"token": "t", "access_token": "a", "expires_in": 300, "issued_at": "2020-01-01T00:00:00Z"}),
        _words("token expires_in issued_at 0001-01-01T00:00:00Z 9999-12-31T23:59:59-23:59"),
        (TokenRefused,),
        json=True,
    ),
    Reader(
        "registry-error",
        lambda data: said(Answer(404, "", {}, data)),
        _json({"errors": [{"code": "DENIED", "message": "m"}]}),
        _words("errors code message"),
        json=True,
    ),
    Reader(
        "merge",
        _value(_merge),
        _json(
            [
                {"descriptor": _MANIFEST, "manifest": {}},
                {"descriptor": {"mediaType": OCI_INDEX}, "manifest": {"manifests": [_MANIFEST, _MANIFEST]}},
            ]
        ),
        _words("manifests platform annotations linux mediaType"),
        (BuildFailed,),
        json=True,
    ),
    Reader(
        "response",
        _value(_merged_response),
        _json(
            {
                "containerimage.digest": _DIGEST,
                "containerimage.descriptor": base64.b64encode(json.dumps(_MANIFEST).encode()).decode(),
                "result.json": "{}",
            }
        ),
        _words("e30= containerimage.descriptor result.json"),
        (BuildFailed,),
        json=True,
    ),
    Reader(
        "check", _answer("lint"), _json(_CHECK), _words("sourceIndex buildError start end line"), _REFUSED, json=True
    ),
    Reader("outline", _answer("outline"), _json(_OUTLINE), _words("name \t \n args ssh"), _REFUSED, json=True),
    Reader("targets", _answer("targets"), _json(_TARGETS), _words("name default \t"), _REFUSED, json=True),
    Reader(
        "policy",
        _text(lambda text: combined(parse_policies([text]), "Dockerfile.rego")),
        (b"filename=a,reset=true,strict=1,log-level=info", b"disabled=true"),
        _words(', = " false'),
        (UsageError,),
    ),
    Reader(
        "source-policy",
        encode_source_policy,
        _json({"version": 1, "rules": [{"action": "DENY", "selector": {"identifier": "docker-image://*"}}]}),
        _words("match_type constraints updates attrs REGEX"),
        (UsageError,),
        json=True,
    ),
    Reader(
        "call",
        _text(parse_call),
        (b"check,format=json,ignorestatus=true", b'"outline"'),
        _words(', = "'),
        (UsageError,),
    ),
    Reader("provenance-1", _provenance("https://slsa.dev/provenance/v1"), _json(_SLSA), (), (BuildFailed,), json=True),
    Reader(
        "provenance-0.2", _provenance("https://slsa.dev/provenance/v0.2"), _json(_SLSA), (), (BuildFailed,), json=True
    ),
    Reader("status", lambda data: list(events(pb.StatusResponse.FromString(data))), (_status(),), (), (DecodeError,)),
    Reader("workers", lambda data: workers(pb.ListWorkersResponse.FromString(data)), (_workers(),), (), (DecodeError,)),
    Reader("error-details", _failure, (b"\x08\x02\x12\x03why\x1a\x04\x0a\x02ab",), ()),
    Reader("error-source", _detail("errdefs.Source"), _json(_SOURCE), _words("start line info ranges"), json=True),
    Reader("error-vertex", _detail("errdefs.Vertex"), _json({"digest": _DIGEST}), (), json=True),
    Reader(
        "exec-status",
        channels.exit_message,
        _json({"status": "Failure", "message": "m", "reason": "r"}),
        _words("status Success"),
        json=True,
    ),
    Reader(
        "websocket",
        _websocket,
        (b"\1\x82\x03abc\x88\x02\x03\xe8", b"\2\x02\x01a\x80\x7e\x00\x02bc"),
        (b"\x82", b"\x7e\xff\xff", b"\x7f" + b"\0" * 7 + b"\5", b"\x88\x00"),
        (frames.WebSocketError,),
    ),
    Reader(
        "upgrade",
        _upgrade,
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: fWqaG1+MrNNJFCD8bf/FloL+yTY=\r\n\r\n",
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (b"\r\n", b"\r\n\r\n", b"chunked", b"Upgrade: websocket"),
        (frames.WebSocketError,),
    ),
    Reader("diffcopy", diffcopy.decode, _PACKETS, (b"\x80\x80\x80", b"\x12", b"\x52"), (diffcopy.DiffCopyError,)),
    Reader(
        "session",
        _session,
        (
            b"\1" + wire.frame(wire.bytes_message(b"abc")),
            b"\2" + wire.frame(b"") + wire.frame(wire.bytes_message(b"x" * 200)),
        ),
        (b"\0\0\0\0", b"\x0a"),
        (wire.WireError,),
    ),
    Reader(
        "keeper",
        read_request,
        (
            b'{"get":"/api/v1/namespaces/n/pods","query":{"labelSelector":"a=b"}}',
            b'{"tunnel":"p-0","namespace":"n","container":"c"}',
            b'{"end":true}',
        ),
        (b"get", b"tunnel", b"..", b"/"),
        (ValueError,),
        json=True,
    ),
    Reader(
        "last-pods",
        lambda data: (read_last_pods(data), read_versions(data)),
        (
            b'{"version":1,"builds":{"0a":[{"namespace":"n","selector":{"app":"x"},"container":"c","pod":"p-0"}]}}',
            b'{"version":1,"builds":{},"versions":{"containerd://%s":"v0.34.2"}}' % (b"0a" * 32),
        ),
        (b"version", b"builds", b"versions", b"selector", b"[]"),
        (ValueError,),
        json=True,
    ),
    Reader("lease", _value(lambda value: read_lease(value) if isinstance(value, dict) else None), _json(_LEASE), ()),
    Reader("pod", _value(lambda value: read_pod(value) if isinstance(value, dict) else None), _json(_POD), ()),
    Reader("watched-pod", _value(_watched), _json({"type": "ADDED", "object": _POD}), ()),
    Reader(
        "pulumi-state",
        _state,
        _json(_STATE),
        _words("checkpoint latest resources outputs 4dabf18193072939515e22adb298388d"),
        (ClientError, OutputError),
        json=True,
    ),
    Reader(
        "pulumi-project",
        _text(_project),
        (b"name: p\nbackend:\n  url: file://~\n", *_json({"name": "p", "backend": {"url": "file://~"}})),
        _words("name: backend: url file:// ~"),
    ),
    *PAGE,
    *PROGRESS,
    *RESULTS,
    *SECRETS,
    *STACKS,
    *CLAIMS,
)
READERS: dict[str, Reader] = {reader.name: reader for reader in _ALL}


def feed(name: str, count: int, seed: int, seconds: float) -> Report:
    """A run of one reader by its name, as a process of its own is told it."""
    return run(READERS[name], count, seed, seconds)
