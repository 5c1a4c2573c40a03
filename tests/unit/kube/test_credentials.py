"""Credentials for a cluster: exec plugins, tokens that are renewed in place, headers."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi
from buildclient.kube.credentials import Authority, run_plugin
from buildclient.kube.kubeconfig import Access, ExecPlugin

V1 = "client.authentication.k8s.io/v1"


def plugin(folder: Path, script: str, **fields: Any) -> ExecPlugin:
    """A plugin that is a shell script."""
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return ExecPlugin(str(path), V1, **fields)


def prints(status: dict[str, Any], version: str = V1) -> str:
    """A script that prints an ExecCredential."""
    return f"cat <<'X'\n{json.dumps({'apiVersion': version, 'kind': 'ExecCredential', 'status': status})}\nX"


def test_a_token_comes_from_a_plugin_with_its_arguments_and_environment(tmp_path: Path) -> None:
    """Arguments and variables reach the plugin, and what it is told is in KUBERNETES_EXEC_INFO."""
    log = tmp_path / "log"
    one = plugin(
        tmp_path,
        f'printf "%s|%s|%s" "$1" "$EXTRA" "$KUBERNETES_EXEC_INFO" > {log}\n' + prints({"token": "abc"}),
        args=("get-token",),
        env=(("EXTRA", "1"),),
        cluster_info={"server": "https://k.example"},
    )
    assert run_plugin(one, {"PATH": "/usr/bin:/bin"}).token == "abc"
    argument, extra, info = log.read_text().split("|", 2)
    assert (argument, extra) == ("get-token", "1")
    assert json.loads(info) == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {"interactive": False, "cluster": {"server": "https://k.example"}},
    }


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo please log in >&2; exit 3", "ended with status 3: please log in"),
        ("echo nonsense", "printed no ExecCredential"),
        (prints({}), "neither a token nor a certificate"),
        (prints({"token": "t"}, "client.authentication.k8s.io/v1beta1"), "the kubeconfig says"),
    ],
)
def test_a_failing_plugin_is_one_line(tmp_path: Path, script: str, words: str) -> None:
    """What a plugin did wrong is said with its name."""
    with pytest.raises(UnreachableError) as caught:
        run_plugin(plugin(tmp_path, script), {"PATH": "/usr/bin:/bin"})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_plugin_gives_its_hint(tmp_path: Path) -> None:
    """The kubeconfig's hint on how to install a plugin is shown."""
    missing = ExecPlugin(str(tmp_path / "none"), V1, install_hint="Install it:\n  pip install it")
    with pytest.raises(UnreachableError, match=r"cannot be run: .*; Install it: pip install it"):
        run_plugin(missing, {})


def test_a_plugin_runs_once_and_again_after_a_refusal(tmp_path: Path) -> None:
    """Its credential serves every request until the cluster refuses it."""
    count = tmp_path / "count"
    one = plugin(tmp_path, f"echo x >> {count}\n" + prints({"token": "abc"}))
    authority = Authority(Access("https://k.example", plugin=one), {"PATH": "/usr/bin:/bin"})
    assert authority.headers() == authority.headers() == [("Authorization", "Bearer abc")]
    assert count.read_text() == "x\n"
    assert authority.forget()
    authority.headers()
    assert count.read_text() == "x\nx\n"


def test_a_token_file_is_read_for_every_request(tmp_path: Path) -> None:
    """Service account tokens are renewed in place."""
    path = tmp_path / "token"
    authority = Authority(Access("https://k.example", token_file=str(path)), {})
    for token in ("one", "two"):
        path.write_text(f"{token}\n")
        assert authority.headers() == [("Authorization", f"Bearer {token}")]


@pytest.mark.parametrize(
    "user",
    [
        {"token": "a\nb"},
        {"token": "a\x1b"},
        {"impersonate": (("Impersonate-User", "a\r\nX: y"),)},
        {"impersonate": (("Impersonate-Group", "a\x7f"),)},
    ],
)
def test_what_no_header_can_hold_is_refused(user: dict[str, Any]) -> None:
    """In one line that names the header, not what was to be sent."""
    with pytest.raises(UnreachableError, match=r"(Authorization|Impersonate-(User|Group))$"):
        Authority(Access("https://k.example", "kube", **user), {}).headers()


async def test_names_of_any_alphabet_reach_the_cluster() -> None:
    """In UTF-8, as client-go sends them: users, groups and passwords."""
    seen: list[http.client.HTTPMessage] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None:
            return None

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        named = (("Impersonate-User", "größe"), ("Impersonate-Group", "早餐"))
        access = Access(f"http://127.0.0.1:{server.server_port}", impersonate=named, username="早", password="ü")
        await KubeApi(access, {}).get("/", {}, "nothing")
        server.shutdown()
    told = {name.lower(): value.encode("latin-1").decode() for name, value in seen[0].items()}
    assert (told["impersonate-user"], told["impersonate-group"]) == ("größe", "早餐")
    assert base64.b64decode(told["authorization"].split()[1]).decode() == "早:ü"


def test_basic_and_impersonation_headers() -> None:
    """A user name and whom to act as become headers."""
    access = Access("https://k", username="me", password="p:w", impersonate=(("Impersonate-User", "you"),))
    pair = base64.b64encode(b"me:p:w").decode()
    assert Authority(access, {}).headers() == [("Impersonate-User", "you"), ("Authorization", f"Basic {pair}")]
