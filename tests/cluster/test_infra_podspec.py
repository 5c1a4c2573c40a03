"""What options of the pod and of BuildKit's configuration do in a running pod."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.client_builder import BIN
from tests.cluster.infra_project import PulumiProject

pytestmark = pytest.mark.cluster
_IDLE = "trap exit TERM; sleep 999 & wait"


class _Builder:
    """A stack with one node of amd64, and what can be asked of its pod."""

    def __init__(self, project: PulumiProject, namespace: str) -> None:
        self.project, self.namespace = project, namespace

    def up(self, **options: Any) -> None:
        """Brings the stack up with these driver options."""
        opts = {"nodeselector": "kubernetes.io/arch=amd64", "termination-grace-period": "5s", **options}
        self.project.configure(namespace=self.namespace, **{"driver-opts": opts})
        self.project.up()

    def kubectl(self, *arguments: str) -> str:
        """Standard output of kubectl in the namespace."""
        return self.project.kubectl("-n", self.namespace, *arguments)

    def sh(self, command: str, container: str = "buildkitd") -> str:
        """What a command prints in a container of the pod."""
        return self.kubectl("exec", "deploy/kube0", "-c", container, "--", "sh", "-c", command)

    def config_maps(self) -> set[str]:
        """The ConfigMaps with BuildKit's configuration."""
        return {one for one in self.project.objects(self.namespace, "cm") if "kube0-buildkitd-" in one}

    def build(self, folder: Path, dockerfile: str) -> subprocess.CompletedProcess[str]:
        """Runs `buildclient build` with a Dockerfile."""
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile)
        (folder / "builder.json").write_text(json.dumps(self.project.output()))
        return subprocess.run(
            [str(BIN / "buildclient"), "build", "--progress=plain", "--no-cache", str(folder)],
            env={**self.project.environment, "BUILDCLIENT_BUILDER": str(folder / "builder.json")},
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip


def test_options_have_their_effect_and_a_changed_setting_rolls_the_pod(
    cluster: dict[str, str], tmp_path: Path, namespace: str
) -> None:
    """Variables, hosts, volumes and sidecar are in the pod; a mirror is pulled from; another setting, another pod."""
    project = PulumiProject(tmp_path / "project", cluster)
    project.run("pulumi", "stack", "init", "test", "--non-interactive")
    builder = _Builder(project, namespace)
    registry, _, image = cluster["BASE_IMAGE"].partition("/")
    settings: dict[str, Any] = {
        "buildkitd.registry": {"mirrored.example": {"mirrors": [registry]}, registry: {"http": True}},
        "buildkitd.gc.max-used-space": "7G",
        "buildkitd.max-parallelism": 3,
    }
    pod = {
        "env": {"NO_PROXY": "a,b", "EMPTY": ""},
        "hostaliases": {"a.example": "10.1.2.3"},
        "dnsconfig": {"searches": ["searched.example"]},
        "volumes": [{"name": "notes", "emptyDir": {}}],
        "volumemounts": [{"name": "notes", "mountPath": "/notes"}],
        "sidecars": [{"name": "idle", "image": cluster["BASE_IMAGE"], "command": ["sh", "-c", _IDLE]}],
        "serviceaccount.token": False,
        "default-requests": True,
        "pod-patch": {"spec": {"hostname": "patched"}},
    }
    try:
        builder.up(**pod, **settings)
        shown = builder.sh("env; cat /etc/hosts /etc/resolv.conf; touch /notes/x; ls /var/run/secrets 2>&1; hostname")
        for text in ("NO_PROXY=a,b", "EMPTY=", "10.1.2.3\ta.example", "searched.example", "patched"):
            assert text in shown
        assert "kubernetes.io" not in shown, "no token of the ServiceAccount"
        assert builder.sh("echo $0", container="idle").strip() == "sh"
        status = json.loads(builder.kubectl("get", "pods", "-o", "json"))["items"][0]["status"]
        assert status["qosClass"] == "Burstable"
        assert "7GB" in builder.sh("buildctl debug workers -v")
        done = builder.build(tmp_path / "context", f"FROM mirrored.example/{image}\nRUN true\n")
        assert done.returncode == 0, done.stderr
        before = builder.config_maps()
        builder.up(**pod, **{**settings, "buildkitd.gc.max-used-space": "9G"})
        assert "9GB" in builder.sh("buildctl debug workers -v")
        after = builder.config_maps()
        assert len(before) == len(after) == 1
        assert before != after, "the one of before is gone"
        done_again = project.pulumi("preview", "--refresh", "--expect-no-changes")
        assert done_again.status == 0, done_again.output
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview")
