"""`builders serve`: where it listens, and what it refuses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.load import busy

BUILDERS = Path(sys.executable).parent / "builders"
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me, user: {}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: me}}]
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with a cluster that nobody answers for."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(tmp_path)}


def refused(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """The status of a `serve` that ends by itself, and what it said."""
    done = subprocess.run(
        [BUILDERS, "serve", *arguments],
        cwd=environment["HOME"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_another_machines_address_is_refused_without_the_flag(environment: dict[str, str]) -> None:
    """The page is for this machine unless someone says otherwise."""
    for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:8080"):
        status, said = refused(environment, "--address", address)
        assert status == 2
        assert "--allow-remote" in said


def test_what_cannot_be_listened_on_or_looked_at_is_one_line(environment: dict[str, str]) -> None:
    """A wrong address, a port in use, an unknown context, no project, and nowhere to look."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = refused(environment, "--address", f"127.0.0.1:{port}")
    assert (status, said) == (
        1,
        f"ERROR: cannot listen on 127.0.0.1:{port}: address already in use; give another --address\n",
    )
    nothing = {**environment, "KUBECONFIG": "/nowhere"}
    for where, arguments, expected in (
        (environment, ["--address", "http://x"], "ERROR: http://x is no address: give HOST:PORT"),
        (environment, ["--context", "staging"], 'ERROR: kubeconfig: there is no context "staging" (known: nowhere)'),
        (environment, ["-C", "none"], "ERROR: there is no Pulumi project in "),
        (nothing, [], "ERROR: nowhere to look for builders"),
    ):
        status, said = refused(where, *arguments)
        assert status == 1
        assert said.startswith(expected)
        assert said.count("\n") == 1


def test_a_cluster_that_cannot_be_reached_is_told_on_the_page_and_ends_an_export(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Served, the page says why it is empty; an export leaves what was written before."""
    status, said = refused(environment, "--export", str(tmp_path / "public"))
    assert status == 1
    assert 'WARNING: context "nowhere": cannot list the builders\' ConfigMaps in all namespaces' in said
    assert not (tmp_path / "public").exists()


def test_it_serves_until_it_is_told_to_stop(environment: dict[str, str]) -> None:
    """It says where it is, answers there, and ends with 0 at SIGTERM."""
    process = subprocess.Popen(
        [BUILDERS, "serve", "--address", "127.0.0.1:0"],
        cwd=environment["HOME"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        url = process.stderr.readline().partition(" ")[0]
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert "BuildKit builders" in answer.read().decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(busy(20)) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
