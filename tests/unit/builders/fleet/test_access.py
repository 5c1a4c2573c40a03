"""The kubeconfig that a team gets: its contexts, and no secret that lasts."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders.automation import StackError
from buildkit_builders.claims import Resolved, resolve
from buildkit_builders.fleet.access import job_lines, own_kubeconfig, write_private

from buildclient.kube.kubeconfig import parse_kubeconfig
from tests.unit.builders.claims.files import TODAY, read

PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "kubelogin", "args": ["get-token"]}


def _builders(folder: Path) -> list[Resolved]:
    claims = read(folder, payments=[{"name": "main", "owner": "ada"}, {"name": "two", "owner": "ada"}])
    return [resolve(one, claims.platform, TODAY) for one in claims.claims]


def _environ(folder: Path, user: Mapping[str, Any]) -> dict[str, str]:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": "https://api.example:6443", "certificate-authority-data": "Y2E="}}
        ],
        "users": [{"name": "ada", "user": dict(user)}],
        "contexts": [{"name": "prod-eu", "context": {"cluster": "c", "user": "ada"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    return {"KUBECONFIG": str(folder / "kubeconfig")}


def test_the_readers_own_plugin_is_copied(tmp_path: Path) -> None:
    """A context a builder, in its namespace, with the cluster's certificate and the exec plugin of the platform's."""
    granted = own_kubeconfig(_builders(tmp_path), _environ(tmp_path, {"exec": PLUGIN}))
    assert granted.expires == ()
    read_again = parse_kubeconfig(json.dumps(granted.kubeconfig))
    assert (read_again.current, list(read_again.contexts)) == ("payments-main", ["payments-main", "payments-two"])
    access = read_again.access("payments-two")
    assert (access.server, access.namespace, access.ca.data) == ("https://api.example:6443", "builders-payments", b"ca")
    assert access.plugin is not None
    assert access.plugin.command == "kubelogin"


@pytest.mark.parametrize("secret", ["token", "client-key-data", "password", "tokenFile"])
def test_a_secret_that_lasts_is_not_copied(tmp_path: Path, secret: str) -> None:
    """A user with one is refused by name, whether or not it has a plugin too."""
    with pytest.raises(StackError, match=f"'ada' has {secret}, a secret that is not copied"):
        own_kubeconfig(_builders(tmp_path), _environ(tmp_path, {secret: "c2VjcmV0", "exec": PLUGIN}))


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Mode 0600, also in the place of a file that all could read; nothing else is left in the folder."""
    file = tmp_path / "out" / "team.kubeconfig"
    file.parent.mkdir()
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, {"kind": "Config"})
    assert (stat.S_IMODE(file.stat().st_mode), file.read_text()) == (0o600, "kind: Config\n")
    assert list(file.parent.iterdir()) == [file]
    with pytest.raises(StackError, match="cannot write"):
        write_private(tmp_path / "none" / "x", {})


def test_a_job_gets_two_lines(tmp_path: Path) -> None:
    """The kubeconfig, and the build with the builder's place in the cluster."""
    lines = job_lines(_builders(tmp_path)[1], Path("team.kubeconfig"))
    assert lines == (
        "export KUBECONFIG=team.kubeconfig",
        "buildclient build --from-cluster builders-payments/two --push -t REGISTRY/IMAGE:TAG .",
    )
