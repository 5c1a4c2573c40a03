"""Two local clusters, and kubeconfigs that lead to either, by several addresses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, create_server, socket
from typing import Any, NamedTuple

from tests.cluster.infra_project import ROOT

__all__ = ["TwoClusters", "forwarded", "second_cluster"]

_INSTANCE = "two"


class TwoClusters(NamedTuple):
    """Kubeconfigs of two clusters, as objects."""

    a: dict[str, Any]
    b: dict[str, Any]
    environment: dict[str, str]
    """That of the first."""

    def kubeconfig(self, path: Path, current: str, **contexts: dict[str, Any]) -> Path:
        """A kubeconfig with these contexts; each is `a`, `b`, or a variation of one."""
        merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": current}
        merged |= {"contexts": [], "clusters": [], "users": []}
        for name, source in contexts.items():
            merged["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
            merged["clusters"].append({"name": name, "cluster": source["clusters"][0]["cluster"]})
            merged["users"].append({"name": name, "user": source["users"][0]["user"]})
        path.write_text(json.dumps(merged))
        return path


@contextmanager
def second_cluster(environment: dict[str, str]) -> Iterator[TwoClusters]:
    """A second cluster beside that of `environment`, gone afterwards."""
    own = {**os.environ, "LOCALCLUSTER_INSTANCE": _INSTANCE}
    command = [sys.executable, "-m", "localcluster"]
    try:
        subprocess.run([*command, "up"], cwd=ROOT, env=own, timeout=600, check=True, capture_output=True)
        found = subprocess.run(
            [*command, "env", "--json"], cwd=ROOT, env=own, timeout=60, check=True, capture_output=True
        )
        other = json.loads(found.stdout)
        a, b = (json.loads(Path(one["KUBECONFIG"]).read_text()) for one in (environment, other))
        yield TwoClusters(a, b, environment)
    finally:
        subprocess.run([*command, "down"], cwd=ROOT, env=own, timeout=300, check=False, capture_output=True)


@contextmanager
def forwarded(kubeconfig: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same cluster under an address of this machine's loopback, as through a tunnel."""
    cluster = kubeconfig["clusters"][0]["cluster"]
    host, port = cluster["server"].removeprefix("https://").rstrip("/").split(":")
    listener = create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = create_connection((host, int(port)), timeout=10)
            far.settimeout(None)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    address = f"https://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield {**kubeconfig, "clusters": [{"cluster": {**cluster, "server": address, "tls-server-name": host}}]}
    finally:
        listener.close()


def _pump(source: socket, sink: socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    for one in (source, sink):
        try:
            one.shutdown(2)
        except OSError:
            continue
