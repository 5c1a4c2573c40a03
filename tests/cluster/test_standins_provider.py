"""What the provider stand-in does beyond the recordings, on the real apiserver."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.standins_project import Project, deployment, resource
from tests.conftest import kubectl
from tests.load import busy

pytestmark = pytest.mark.cluster

MISSING = "10.255.255.1:5000/missing:1"


@pytest.fixture
def project(cluster: dict[str, str], namespace: str, tmp_path: Path) -> Project:
    """A project; what it made is in a namespace that goes away afterwards."""
    return Project.made(tmp_path, cluster)


def config_map(name: str, namespace: str, data: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """A ConfigMap; `name` is also its name in the cluster, unless `metadata` says otherwise."""
    return resource(
        "v1", "ConfigMap", name, {"metadata": {"name": name, "namespace": namespace, **metadata}, "data": data}
    )


# Waiting


def test_an_object_that_never_becomes_ready_is_kept_and_repaired(project: Project, namespace: str) -> None:
    """A create that times out says why, keeps the object in the state, and the next up repairs it in place."""
    broken = deployment("app", namespace, image=MISSING, options={"timeout": f"{round(busy(4))}s"})
    output = project.up([broken], fails=True)
    assert "was successfully created, but the Kubernetes API server reported" in output
    assert "'app' timed out waiting to be Ready" in output
    assert "Minimum number of live Pods was not attained" in output
    assert project.state()["app"]["initErrors"]
    uid = project.state()["app"]["outputs"]["metadata"]["uid"]
    output = project.up([deployment("app", namespace)])
    assert "updated" in output
    assert "initErrors" not in project.state()["app"]
    assert project.state()["app"]["outputs"]["metadata"]["uid"] == uid


def test_skip_await_does_not_wait(project: Project, namespace: str) -> None:
    """With `skipAwait` even a broken Deployment is made at once, and a refresh does not complain of it."""
    broken = deployment("app", namespace, image=MISSING, annotations={"pulumi.com/skipAwait": "true"})
    begun = time.monotonic()
    project.up([broken])
    assert time.monotonic() - begun < busy(10)
    project.run("refresh", "--yes", "--skip-preview")


def test_timeout_annotation_bounds_the_wait(project: Project, namespace: str) -> None:
    """`timeoutSeconds` ends the wait."""
    broken = deployment("app", namespace, image=MISSING, annotations={"pulumi.com/timeoutSeconds": "2"})
    begun = time.monotonic()
    assert "timed out waiting to be Ready" in project.up([broken], fails=True)
    assert time.monotonic() - begun < busy(15)


def test_wait_for_replaces_the_built_in_rules(project: Project, namespace: str) -> None:
    """`waitFor` is satisfied by what it names, though the Deployment is not ready; unmet, it is named in the error."""
    own = json.dumps(["jsonpath={.status.replicas}=1", "condition=Available=False"])
    project.up([deployment("app", namespace, image=MISSING, annotations={"pulumi.com/waitFor": own})])
    annotations = {"pulumi.com/waitFor": "jsonpath={.data.ready}=yes", "pulumi.com/timeoutSeconds": "2"}
    unmet = config_map("own", namespace, {"ready": "no"}, annotations=annotations)
    assert "condition not met: jsonpath={.data.ready}=yes" in project.up([unmet], fails=True)


def test_refresh_notices_an_unready_deployment(project: Project, cluster: dict[str, str], namespace: str) -> None:
    """A Deployment that stopped being ready fails the refresh, and stays in the state."""
    project.up([deployment("app", namespace)])
    patch = json.dumps(
        {
            "spec": {
                "strategy": {"type": "Recreate", "rollingUpdate": None},
                "template": {"spec": {"nodeSelector": {"no": "such"}}},
            }
        }
    )
    kubectl(cluster, "-n", namespace, "patch", "deployment", "app", "-p", patch)
    kubectl(cluster, "-n", namespace, "wait", "deployment/app", "--for=jsonpath={.status.unavailableReplicas}=1")
    output = project.run("refresh", "--yes", "--skip-preview", fails=False)
    assert "was created but failed to initialize" in output
    assert project.state()["app"]["initErrors"]


def test_service_waits_for_its_pods(project: Project, cluster: dict[str, str], namespace: str) -> None:
    """A Service with a selector is ready once its endpoints have settled, and says what it waits for."""
    spec = {"selector": {"app": "app"}, "ports": [{"port": 80}]}
    service = resource("v1", "Service", "service", {"metadata": {"name": "app", "namespace": namespace}, "spec": spec})
    output = project.up([deployment("app", namespace), service])
    assert "[1/3] Finding Pods to direct traffic to" in output
    assert "Service initialization complete" in output
    assert project.state()["service"]["outputs"]["spec"]["clusterIP"]


def claim(name: str, namespace: str, storage_class: str, **extra: Any) -> dict[str, Any]:
    """A claim of 1 Mi."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
        "storageClassName": storage_class,
    }
    return resource(
        "v1",
        "PersistentVolumeClaim",
        name,
        {"metadata": {"name": name, "namespace": namespace}, "spec": spec},
        **extra,
    )


def test_claims_are_awaited_by_the_rules_of_their_class(project: Project, namespace: str) -> None:
    """A claim is awaited until bound; one whose class binds late is done while pending; one that never binds fails."""
    late = resource(
        "storage.k8s.io/v1",
        "StorageClass",
        "late",
        {
            "metadata": {"name": f"{namespace}-late"},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
    )
    volume = resource(
        "v1",
        "PersistentVolume",
        "volume",
        {
            "metadata": {"name": f"{namespace}-volume"},
            "spec": {
                "capacity": {"storage": "1Mi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/tmp"},
                "storageClassName": f"{namespace}-manual",
            },
        },
    )
    good = [
        late,
        volume,
        claim("pending", namespace, f"{namespace}-late", options={"after": ["late"]}),
        claim("bound", namespace, f"{namespace}-manual", options={"after": ["volume"]}),
    ]
    output = project.up(good)
    assert "Waiting for PersistentVolumeClaim to be bound (phase: " in output
    assert project.state()["bound"]["outputs"]["status"]["phase"] == "Bound"
    assert project.state()["pending"]["outputs"]["status"]["phase"] == "Pending"
    never = claim("never", namespace, f"{namespace}-none", options={"timeout": "2s"})
    assert "PersistentVolumeClaim is not bound: phase Pending" in project.up([*good, never], fails=True)
    project.run("destroy", "--yes", "--skip-preview")


def job(namespace: str, command: list[str]) -> dict[str, Any]:
    """A Job of one attempt."""
    container = {"name": "main", "image": "busybox", "command": command}
    pod = {"restartPolicy": "Never", "containers": [container]}
    body = {"metadata": {"name": "job", "namespace": namespace}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}
    return resource("batch/v1", "Job", "job", body, options={"timeout": "120s"})


def test_jobs_are_awaited_until_complete(project: Project, namespace: str) -> None:
    """A Job is done when it has succeeded; a changed template replaces it; a failed one says why."""
    project.up([job(namespace, ["true"])])
    assert project.state()["job"]["outputs"]["status"]["succeeded"] == 1
    failing = job(namespace, ["false"])
    failing["options"]["timeout"] = f"{round(busy(5))}s"
    assert project.preview([failing])["job"]["op"] == "replace"
    assert "[BackoffLimitExceeded]" in project.up(fails=True)


def test_cancelling_ends_a_wait_at_once(project: Project, namespace: str) -> None:
    """^C while pods are awaited ends the command soon, and the object stays in the state."""
    project.describe([deployment("app", namespace, image=MISSING)])
    process = project.start("up", "--yes", "--skip-preview")
    assert process.stdout is not None
    for line in process.stdout:
        if "Waiting for app ReplicaSet" in line:
            break
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - begun < busy(8)
    assert 'Resource operation was cancelled for "app"' in output
    assert project.state()["app"]["initErrors"]


# Previews, updates, ownership


def test_previews_ask_the_server(project: Project, namespace: str) -> None:
    """An object that the server refuses fails the preview, before anything is made."""
    bad = config_map("bad", namespace, {"no spaces allowed": "x"})
    project.describe([bad])
    assert "is invalid" in project.run("preview", fails=True)


def test_previews_go_on_without_namespace_or_kind(project: Project, namespace: str) -> None:
    """What is not there yet, a namespace or a kind, is no reason for a preview to fail."""
    missing = resource("example.com/v1", "Thing", "thing", {"metadata": {"name": "thing", "namespace": namespace}})
    steps = project.preview([config_map("early", "not-there-yet", {"a": "b"}), missing])
    assert {name: step["op"] for name, step in steps.items()} == {"early": "create", "thing": "create"}


def test_new_kind_and_its_object_in_one_program(project: Project, namespace: str) -> None:
    """An object of a kind that the same program defines is retried until the kind is served."""
    group = f"{namespace}.example.com"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x_kubernetes_preserve_unknown_fields": True}},
    }
    definition = resource(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "definition",
        {
            "metadata": {"name": f"things.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
                "versions": [version],
            },
        },
    )
    thing = resource(
        f"{group}/v1", "Thing", "thing", {"metadata": {"name": "thing", "namespace": namespace}, "color": "red"}
    )
    project.up([definition, thing])
    assert project.state()["thing"]["outputs"]["color"] == "red"
    assert project.preview() == {}
    project.run("destroy", "--yes", "--skip-preview")


def test_ignored_changes_leave_another_managers_field_alone(
    project: Project, cluster: dict[str, str], namespace: str
) -> None:
    """With `ignoreChanges` on replicas, what `kubectl scale` set survives an update of something else."""
    options = {"ignore": ["spec.replicas"]}
    project.up([deployment("app", namespace, options=options)])
    kubectl(cluster, "-n", namespace, "scale", "deployment", "app", "--replicas=2")
    project.up([deployment("app", namespace, options=options, annotations={"team": "a"})])
    assert kubectl(cluster, "-n", namespace, "get", "deployment", "app", "-o=jsonpath={.spec.replicas}") == "2"


def test_autonamed_objects_keep_their_name_and_are_replaced_new_first(project: Project, namespace: str) -> None:
    """A random name stays over updates; a replaced object gets a new one, and the old goes last."""

    def unnamed(value: str, **labels: str) -> dict[str, Any]:
        body = {"metadata": {"namespace": namespace, "labels": labels}, "data": {"a.b": value}}
        return resource("v1", "ConfigMap", "auto", body)

    project.up([unnamed("1")])
    first = project.state()["auto"]["outputs"]["metadata"]["name"]
    assert first.startswith("auto-")
    assert len(first) == len("auto-") + 8
    project.up([unnamed("1", team="a")])
    assert project.state()["auto"]["outputs"]["metadata"]["name"] == first
    step = project.preview([unnamed("2", team="a")])["auto"]
    assert step["replaceReasons"] == ['data["a.b"]']
    output = project.up()
    assert output.index("created replacement") < output.index("deleted original")
    assert project.state()["auto"]["outputs"]["metadata"]["name"] != first


def test_secrets_are_encrypted_wherever_they_are(project: Project, namespace: str) -> None:
    """Neither a Secret's data nor a secret value in another object stands in the state in plain text."""
    secret = resource(
        "v1",
        "Secret",
        "secret",
        {"metadata": {"name": "secret", "namespace": namespace}, "stringData": {"k": "hunter2"}},
    )
    other = config_map("other", namespace, {"k": "hunter3"})
    other["secret"] = ["data"]
    project.up([secret, other])
    exported = project.run("stack", "export")
    assert "aHVudGVyMg" not in exported
    assert "hunter" not in exported
    assert "aHVudGVyMg" in project.run("stack", "export", "--show-secrets")
    assert project.preview() == {}


def test_import_takes_over_an_object(project: Project, cluster: dict[str, str], namespace: str) -> None:
    """An object made by kubectl is imported by its id, and then nothing is to be changed."""
    kubectl(cluster, "-n", namespace, "create", "configmap", "made", "--from-literal=a=b")
    token = "kubernetes:core/v1:ConfigMap"
    project.run("import", token, "made", f"{namespace}/made", "--yes", "--protect=false", "--generate-code=false")
    assert project.state()["made"]["inputs"]["data"] == {"a": "b"}
    assert project.preview([config_map("made", namespace, {"a": "b"})]) == {}


def test_types_that_need_the_real_provider_say_so(project: Project, namespace: str) -> None:
    """Patch resources are refused in one line."""
    patch = resource("v1", "ConfigMapPatch", "patch", {"metadata": {"name": "x", "namespace": namespace}})
    project.describe([patch])
    output = project.run("preview", fails=True)
    assert "patch and list resources are not supported by the stand-in provider" in output


def test_the_stand_in_says_what_it_is_once(project: Project, namespace: str) -> None:
    """A line names the provider as a stand-in, one however many objects there are, none if the user was told."""
    project.describe([config_map(name, namespace, {}) for name in ("one", "two")])
    messages = [one["message"] for one in json.loads(project.run("preview", "--json"))["diagnostics"]]
    assert sum("stand-in for Pulumi's Kubernetes provider" in message for message in messages) == 1
    told = project.run("preview", "--json", STANDINS_ANNOUNCED="pulumi-resource-kubernetes")
    assert "stand-in for Pulumi's Kubernetes provider" not in told


# Providers and clusters


def test_explicit_provider_with_kubeconfig_contents(project: Project, cluster: dict[str, str], namespace: str) -> None:
    """A provider of its own takes the kubeconfig's contents and a default namespace."""
    contents = kubectl(cluster, "config", "view", "--raw", "--minify")
    given = {"kind": "provider", "name": "own", "inputs": {"kubeconfig": contents, "namespace": namespace}}
    body = {"metadata": {"name": "placed"}, "data": {"a": "b"}}
    placed = resource("v1", "ConfigMap", "placed", body, options={"provider": "own"})
    project.up([given, placed], KUBECONFIG="/nowhere")
    assert project.state()["placed"]["id"] == f"{namespace}/placed"
    assert project.preview(KUBECONFIG="/nowhere") == {}


def test_unreachable_cluster(project: Project, cluster: dict[str, str], namespace: str, tmp_path: Path) -> None:
    """Without the cluster a preview goes on, everything else fails with the reason, and the state can be cleared."""
    project.up([config_map("one", namespace, {"a": "b"})])
    broken = tmp_path / "broken.yaml"
    config = json.loads(kubectl(cluster, "config", "view", "--raw", "-o=json"))
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    broken.write_text(json.dumps(config))
    away = {"KUBECONFIG": str(broken)}
    both = [config_map("one", namespace, {"a": "b"}), config_map("two", namespace, {"a": "b"})]
    assert set(project.preview(both, **away)) == {"two"}
    output = project.up(fails=True, **away)
    assert "configured Kubernetes cluster is unreachable: unable to load schema information" in output
    assert "onnection refused" in output
    assert "PULUMI_K8S_DELETE_UNREACHABLE" in project.run("refresh", "--yes", "--skip-preview", fails=True, **away)
    project.run("refresh", "--yes", "--skip-preview", PULUMI_K8S_DELETE_UNREACHABLE="true", **away)
    assert "one" not in project.state()


# Settings


def test_existing_objects_can_be_taken_over(project: Project, cluster: dict[str, str], namespace: str) -> None:
    """With `upsertExistingObjects` a create applies to what is there already; without, it is an error with advice."""
    kubectl(cluster, "-n", namespace, "create", "configmap", "made", "--from-literal=a=b")
    wanted = config_map("made", namespace, {"c": "d"})
    output = project.up([wanted], fails=True)
    assert 'configmaps "made" already exists' in output
    assert "Adopting a resource into Pulumi: use `pulumi import`" in output
    assert "made" not in project.state()
    project.up(PULUMI_K8S_UPSERT_EXISTING_OBJECTS="true")
    assert project.state()["made"]["outputs"]["data"] == {"a": "b", "c": "d"}


def test_mutable_config_maps_are_updated_in_place(project: Project, namespace: str) -> None:
    """With `enableConfigMapMutable` changed data is an update."""
    project.up([config_map("one", namespace, {"a": "b"})])
    changed = [config_map("one", namespace, {"a": "c"})]
    assert project.preview(changed)["one"]["op"] == "replace"
    mutable = {"PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE": "true"}
    assert project.preview(**mutable)["one"]["op"] == "update"
    project.up(**mutable)
    assert project.state()["one"]["outputs"]["data"] == {"a": "c"}


def test_client_side_apply(project: Project, namespace: str) -> None:
    """Without server-side apply objects bear Pulumi's label, and updates add, change and remove fields."""
    off = {"PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY": "false", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE": "true"}
    project.up([config_map("one", namespace, {"a": "b", "c": "d"}, labels={"x": "y"})], **off)
    made = project.state()["one"]["outputs"]
    assert made["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "pulumi", "x": "y"}
    project.up([config_map("one", namespace, {"a": "1", "e": "f"})], **off)
    updated = project.state()["one"]["outputs"]
    assert updated["data"] == {"a": "1", "e": "f"}
    assert updated["metadata"]["uid"] == made["metadata"]["uid"]
    assert project.preview(**off) == {}


def test_deletion_can_leave_dependents(project: Project, cluster: dict[str, str], namespace: str) -> None:
    """With `deletionPropagationPolicy: orphan` the Deployment goes and its pods stay."""
    orphan = {"pulumi.com/deletionPropagationPolicy": "orphan"}
    project.up([deployment("app", namespace, annotations=orphan)])
    project.up([])
    assert "app-" in kubectl(cluster, "-n", namespace, "get", "replicasets", "-o=name")
    assert "app" not in project.state()


def test_an_object_deleted_by_others_is_deleted_without_error(
    project: Project, cluster: dict[str, str], namespace: str
) -> None:
    """Destroying what is gone already is done."""
    project.up([config_map("one", namespace, {"a": "b"})])
    kubectl(cluster, "-n", namespace, "delete", "configmap", "one")
    project.run("destroy", "--yes", "--skip-preview")
    assert "one" not in project.state()


def test_a_refused_update_names_the_reason_and_changes_nothing(project: Project, namespace: str) -> None:
    """What the server finds invalid fails the preview and the update, in its own words."""
    project.up([deployment("app", namespace)])
    bad = deployment("app", namespace, replicas=-1)
    project.describe([bad])
    assert "must be greater than or equal to 0" in project.run("preview", fails=True)
    assert "must be greater than or equal to 0" in project.up(fails=True)
    assert project.state()["app"]["outputs"]["spec"]["replicas"] == 1
    project.up([deployment("app", namespace)])
    assert "initErrors" not in project.state()["app"]
