"""A builder that is closed to all but its clients: the rights of a build, verb by verb."""

from __future__ import annotations

import base64
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from buildkit_builders.admission import pod_security_lines
from buildkit_builders.kubeconfig import access_to
from buildkit_builders.manifests.pod import pod_template
from buildkit_builders.manifests.podsecurity import ENFORCE, level_of
from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import NodeSpec, check_node

from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from tests.cluster.access_builder import PLANTED, AccessBuilder
from tests.cluster.client_builder import Ran
from tests.cluster.infra_project import PulumiProject
from tests.cluster.processes import watched
from tests.conftest import kubectl
from tests.load import busy
from tests.registries import PASSWORD, USER, htpasswd, registry

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessBuilder]:
    """The builder, up, whose account `ci` has every right that a client can have."""
    one = AccessBuilder(tmp_path_factory.mktemp("access"), cluster)
    try:
        one.up(clients=[{"subject": f"{one.namespace}/ci", "events": True, "scale": True}])
        yield one
    finally:
        one.project.run("kubectl", "delete", "namespace", one.namespace, "--wait=false")


class _Client:
    """What the account of a client does."""

    def __init__(self, builder: AccessBuilder) -> None:
        self.builder = builder
        self.environment = {"KUBECONFIG": str(builder.kubeconfig())}
        self.idle = builder.output_file("idle", "idle", replicas=1)
        # One that is not to be started.
        self.unwanted = builder.output_file("unwanted", "idle", replicas=0, timeoutSeconds=1)

    def run(self, *arguments: str) -> Ran:
        return self.builder.client(*arguments, environment=self.environment)

    def build(self) -> Ran:
        return self.run("build", "--from-cluster", f"{self.builder.namespace}/kube", self.builder.context())

    def wait(self) -> Ran:
        return self.run("inspect", "--bootstrap", "--builder-file", str(self.unwanted))

    def look(self) -> Ran:
        return self.run("ls", "--builder-file", str(self.idle))

    def stop(self) -> Ran:
        return self.run("stop", "--force", "--node", "ready", "--from-cluster", f"{self.builder.namespace}/kube")


CASES: dict[tuple[str, str, str], tuple[Callable[[_Client], Ran], str]] = {
    ("kube-client", "configmaps", "get"): (_Client.build, "configmaps"),
    ("kube-client", "pods", "list"): (_Client.build, "pods"),
    ("kube-client", "pods", "watch"): (_Client.wait, "pods"),
    ("kube-client", "pods/exec", "get"): (_Client.build, "pods/exec"),
    ("kube-client", "pods/exec", "create"): (_Client.build, "pods/exec"),
    ("kube-client-events", "statefulsets", "get"): (_Client.look, "statefulsets.apps"),
    ("kube-client-events", "events", "list"): (_Client.look, "events"),
    ("kube-client-scale", "deployments/scale", "get"): (_Client.stop, "deployments.apps/scale"),
    ("kube-client-scale", "deployments/scale", "patch"): (_Client.stop, "deployments.apps/scale"),
}
"""Role, resource and verb; a command that needs it, and the resource's name in the error."""
_SAME = ("deployments", "statefulsets", "deployments/scale", "statefulsets/scale")
"""Resources of one right in two kinds of workload: one of each is enough."""


def test_the_policy_and_the_level_are_in_the_cluster(builder: AccessBuilder) -> None:
    """Each node's NetworkPolicy is stored as it was meant, and the namespace that we make enforces its pods' level."""
    for node in ("ready", "idle"):
        assert builder.get("networkpolicy", node)["spec"] == {
            "podSelector": {"matchLabels": {"app": node}},
            "policyTypes": ["Ingress", "Egress"],
            "egress": [{}],
            **({"ingress": [{"ports": [{"protocol": "TCP", "port": 1234}]}]} if node == "ready" else {}),
        }
    assert builder.get("namespace", builder.namespace)["metadata"]["labels"][ENFORCE] == "privileged"


def test_a_client_with_a_certificate_builds_without_rights(builder: AccessBuilder) -> None:
    """The output names the endpoint, and BUILDCLIENT_TLSDIR the certificate: no kubeconfig is there at all."""
    output = builder.output_file("endpoint", "ready")
    folder = builder.tls_folder("client", builder.authority)
    with builder.forwarded():
        done = builder.client(
            "build", "--builder-file", str(output), "-o", "out", "--progress=plain", builder.context(),
            environment={"BUILDCLIENT_TLSDIR": str(folder)},
        )  # fmt: skip
        assert done.status == 0, done.err
        assert (builder.folder / "out" / "Dockerfile").exists()
        shown = builder.client("ls", "--builder-file", str(output), environment={"BUILDCLIENT_TLSDIR": str(folder)}).out
        assert f"tcp://127.0.0.1:{builder.port}" in shown
        assert "running" in shown
    # The same output without a certificate is a builder of pods.
    done = builder.client("ls", "--builder-file", str(output), environment={})
    assert "kubernetes" in done.out + done.err


def test_nobody_else_builds_there(builder: AccessBuilder) -> None:
    """Without a certificate, with one of another authority, without TLS: each is refused in a line."""
    address = f"tcp://{builder.pod_address()}"
    tls = f"{address},cacert={builder.authority.ca},servername={builder.host}"
    stranger = builder.tls_folder("stranger", builder.foreign)
    known = builder.tls_folder("known", builder.authority)
    for addr, said in (
        (tls, "it wants a client certificate"),
        (f"{tls},cert={stranger}/cert.pem,key={stranger}/key.pem", "it does not"),
        (f"{address},cacert={builder.foreign.ca},servername={builder.host}", "its certificate is not trusted"),
        (address, "does it want TLS?"),
    ):
        done = builder.client("build", "--addr", addr, "-q", builder.context(), environment={})
        assert done.status == 125, (addr, done.err)
        assert said in done.last, (addr, done.err)
    addr = f"{tls},cert={known}/cert.pem,key={known}/key.pem"
    done = builder.client("build", "--addr", addr, "-q", builder.context(), environment={})
    assert done.status == 0, done.err


def test_no_credential_is_told(builder: AccessBuilder, tmp_path: Path) -> None:
    """Not in state, outputs, logs or command lines: of kubeconfig, config, registry, build and certificates."""
    host = _reachable_address(builder)
    folder = builder.tls_folder("planted", builder.authority)
    kubeconfig = builder.kubeconfig()
    output = builder.output_file("planted", "ready")
    planted = {
        **PLANTED,
        "password": PASSWORD,
        "login": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
        "token": yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"],
        "client key": _body(folder / "key.pem"),
        "server key": _body(builder.folder / "server-key.pem"),
        "admin": yaml.safe_load(Path(builder.cluster["KUBECONFIG"]).read_text())["users"][0]["user"]["client-key-data"],
    }
    told: dict[str, str] = {}
    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry", htpasswd(tmp_path), host) as address, watched() as lines:
        commands = [sys.executable, "-m", "buildkit_builders.cli.main"]
        for command in (["up", "--refresh", "--yes"], ["preview", "-o", "json"]):
            done = builder.project.run(*commands, "-D", *command, "--stack", "test")
            told[" ".join(command)] = done.output
            assert done.status == 0, done.output
        told["state"] = builder.project.pulumi("stack", "export").output
        login = {"auths": {address: {"auth": planted["login"]}}}
        context = builder.context("FROM BASE\nRUN --mount=type=secret,id=planted test -s /run/secrets/planted\n")
        build = [
            "-D", "build", "--no-cache", "--progress=plain", "--secret", "id=planted,env=SECRET", context,
            "-o", f"type=image,name={address}/planted:1,push=true,registry.insecure=true",
        ]  # fmt: skip
        environment = {"SECRET": PLANTED["secret"], "DOCKER_AUTH_CONFIG": json.dumps(login)}
        exec_way = {**environment, "KUBECONFIG": str(kubeconfig)}
        built = builder.client(*build, "--from-cluster", f"{builder.namespace}/kube", environment=exec_way)
        told["build by exec"] = _checked(built)
        with builder.forwarded():
            tls_way = {**environment, "BUILDCLIENT_TLSDIR": str(folder)}
            told["build over TLS"] = _checked(
                builder.client(*build, "--builder-file", str(output), environment=tls_way)
            )
    told["command lines"] = "\n".join(lines)
    told |= {str(path): path.read_text(errors="replace") for path in _files(builder.project.folder)}
    told["config map"] = builder.kubectl("get", "configmaps", "-o", "yaml")
    assert any("state" in name and "kube-ready-deployment" in text for name, text in told.items())
    leaks = [(what, where) for what, secret in planted.items() for where, text in told.items() if secret in text]
    assert leaks == []
    variables = builder.get("deployment", "ready")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variables == [{"name": "PLANTED", "value": PLANTED["variable"]}], "it gets where it belongs"


def _checked(done: Ran) -> str:
    assert done.status == 0, done.err
    return done.out + done.err


def _body(path: Path) -> str:
    """A line of a PEM file that no other has."""
    return path.read_text().splitlines()[1]


def _files(folder: Path) -> list[Path]:
    """The project's files but for its programs."""
    return [path for path in folder.rglob("*") if path.is_file() and ".venv" not in path.parts]


def _reachable_address(builder: AccessBuilder) -> str:
    """The address of this machine that pods reach."""
    host, _, port = builder.cluster["REGISTRY"].partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))
        return str(probe.getsockname()[0])


def test_the_client_uses_every_verb_and_is_told_which_is_missing(builder: AccessBuilder) -> None:
    """Each verb of the Roles is taken away in turn: the error names it and who gives it; with all of them it works."""
    given = {
        (role, rule["resources"][0], verb)
        for role in ("kube-client", "kube-client-events", "kube-client-scale")
        for rule in builder.get("role", role)["rules"]
        for verb in rule["verbs"]
    }
    assert {case for case in given if case[1] not in _SAME} == {case for case in CASES if case[1] not in _SAME}
    assert {case[2] for case in given if "/scale" in case[1]} == {"get", "patch"}
    client = _Client(builder)
    done = client.build()
    assert done.status == 0, done.err
    assert "it is scaled to no replicas" in client.look().out
    for (role, resource, verb), (command, name) in CASES.items():
        if resource == "events":
            _without_account(builder)
            assert 'serviceaccount "nobody" not found' in client.look().out
        with builder.without(role, resource, verb):
            done = command(client)
        said = done.out + done.err
        # The exec handler's own refusal does not name the user.
        user = "the user" if verb == "create" else f"system:serviceaccount:{builder.namespace}:ci"
        assert f"{user} may not {verb} {name} in namespace {builder.namespace}" in said, (resource, verb, said)
        assert re.search("builder:clients.* gives", said), said
        assert "Traceback" not in said
    assert "stopped 1 pods" in client.stop().out


def _without_account(builder: AccessBuilder) -> None:
    """Lets node `idle` want pods that cannot be made, of which only an event tells."""
    account = {"spec": {"replicas": 1, "template": {"spec": {"serviceAccountName": "nobody"}}}}
    builder.kubectl("patch", "statefulset", "idle", "-p", json.dumps(account))
    builder.kubectl("wait", "--for=create", "event", "--field-selector=reason=FailedCreate", "--timeout=50s")


def _patch(**container: Any) -> dict[str, Any]:
    return {"pod-patch": {"spec": {"containers": [{"name": "buildkitd", **container}]}}}


def _node(namespace: str, options: Any) -> NodeSpec:
    problems = Problems()
    node = check_node("kube0", {"namespace": namespace, "driver-opts": options}, problems)
    problems.raise_any()
    return node


def _access(environment: dict[str, str]) -> Access:
    found = access_to("", "", environment)
    assert found
    return found


_CONFINED = {"rootless": True, "seccomp": "RuntimeDefault", "apparmor": "Localhost/buildkit"}
_SYSCTL = {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}
PRIVILEGED: dict[str, dict[str, Any]] = {
    "plain": {"rootless": False, "seccomp": "", "apparmor": ""},
    "emulators": {"qemu.install": True},
    "rootless": {"seccomp": "", "apparmor": ""},
    "host's network": {"hostnetwork": True},
    "host's path": {"volumes": [{"name": "a", "hostPath": {"path": "/a"}}]},
    "capability": _patch(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}),
    "port of the host": _patch(ports=[{"containerPort": 1, "hostPort": 1}]),
    "hook to another host": _patch(lifecycle={"postStart": {"tcpSocket": {"port": 1, "host": "10.0.0.1"}}}),
    "host's processes": {"pod-patch": {"spec": {"hostPID": True}}},
    "sysctl": {"pod-patch": {"spec": _SYSCTL}},
    "selinux": {"securitycontext": {"seLinuxOptions": {"type": "spc_t"}}},
}
BASELINE: dict[str, dict[str, Any]] = {
    "confined": {},
    "persistent": {"persistent-volume-claim.requests.storage": "1Gi", "serviceaccount": "missing"},
    "small capability": _patch(securityContext={"capabilities": {"add": ["CHOWN"]}}),
    "own user namespace": {"hostusers": False, "priorityclass": "missing", "runtimeclass": "missing"},
}
"""What is beside `_CONFINED`, by level."""


def test_the_level_of_pods_is_the_apiserver_s(cluster: dict[str, str], namespace: str) -> None:
    """The level that the pods of options need, which is the label of namespaces that we make, is as it judges."""
    kubectl(cluster, "label", "namespace", namespace, f"{ENFORCE}=baseline")
    api = KubeApi(_access(cluster), cluster)
    for level, cases in (("privileged", PRIVILEGED), ("baseline", BASELINE)):
        for name, options in cases.items():
            node = _node(namespace, {**_CONFINED, **options})
            assert level_of(pod_template(node)) == level, name
            lines = list(pod_security_lines(api, [node]))
            assert bool(lines) == (level == "privileged"), (name, lines)
            assert all(f"kubectl label namespace {namespace} {ENFORCE}=privileged" in line for line in lines)


def test_a_preview_says_what_the_cluster_would_refuse(cluster: dict[str, str], namespace: str, tmp_path: Path) -> None:
    """Pods, by a dry run of one, else by the namespace's label, else not; and certificates without cert-manager."""
    kubectl(cluster, "label", "namespace", namespace, f"{ENFORCE}=restricted")
    project = PulumiProject(tmp_path / "project", cluster)
    project.configure(name="kube", namespace=namespace, **{"driver-opts": {"endpoint.issuer": "ca"}})
    done = project.run(sys.executable, "-m", "buildkit_builders.cli.main", "preview", "--stack", "test")
    assert done.status == 0, done.output
    line = f'node kube0: namespace {namespace} refuses its pods: violates PodSecurity "restricted:latest": privileged'
    assert line in done.output, done.output
    line = (
        "the cluster has no cert-manager (cert-manager.io/v1), which endpoint.issuer of kube0 needs: install it first"
    )
    assert line in done.output, done.output
    kubectl(cluster, "-n", namespace, "create", "serviceaccount", "reader")
    api = KubeApi(_access_of(cluster, namespace, "reader", tmp_path), cluster)
    node = _node(namespace, {})
    assert list(pod_security_lines(api, [node])) == []
    kubectl(cluster, "create", "clusterrole", namespace, "--verb=get", "--resource=namespaces")
    bound = f"--serviceaccount={namespace}:reader"
    try:
        kubectl(cluster, "create", "clusterrolebinding", namespace, f"--clusterrole={namespace}", bound)
        (line,) = _until_any(lambda: list(pod_security_lines(api, [node])))
        assert "refuses its pods: it lets in level restricted, and they are privileged; let them in: kubectl" in line
    finally:
        kubectl(cluster, "delete", "clusterrolebinding,clusterrole", namespace)


def _access_of(cluster: dict[str, str], namespace: str, account: str, folder: Path) -> Access:
    config = yaml.safe_load(Path(cluster["KUBECONFIG"]).read_text())
    config["users"][0]["user"] = {"token": kubectl(cluster, "-n", namespace, "create", "token", account).strip()}
    (folder / "config").write_text(yaml.safe_dump(config))
    return _access({"KUBECONFIG": str(folder / "config")})


def _until_any(ask: Callable[[], list[str]]) -> list[str]:
    """What is answered once it is not empty: the authorizer reads bindings through a watch."""
    until = time.monotonic() + busy(10)
    while not (found := ask()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return found
