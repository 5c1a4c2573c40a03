"""Pods that the keeper of connections watches, on the real cluster: what happens to them between two commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.client_builder import HandMadeBuilder, hand_made
from tests.cluster.kept import Kept, until, user_of

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_KEYS = tuple(f"key-{number}" for number in range(5))


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """Two nodes by hand."""
    with hand_made(cluster, tmp_path_factory.mktemp("w"), "watch") as one:
        yield one


@pytest.fixture
def kept(builder: HandMadeBuilder) -> Iterator[Kept]:
    """A user with no keeper yet."""
    with user_of(builder) as one:
        yield one


def _scale(builder: HandMadeBuilder, pods: int) -> None:
    """Returns once the node has so many pods, and no other."""
    builder.kubectl("scale", "deploy/builder-amd64", f"--replicas={pods}")
    builder.kubectl("rollout", "status", "deployment/builder-amd64", "--timeout=120s", timeout=130)
    until(lambda: len(builder.pods()) == pods)


def _with(builder: HandMadeBuilder, **node: Any) -> dict[str, str]:
    """An environment in which the builder's first node is another."""
    output = json.loads(builder.output.dumps())
    output["nodes"][0].update(node)
    file = builder.folder / "changed.json"
    file.write_text(json.dumps(output))
    return {"BUILDCLIENT_BUILDER": str(file)}


def test_pods_that_come_and_go_are_chosen_from_at_once(kept: Kept) -> None:
    """As a client chooses that lists them: the same pod by the routing key, any pod at random, the least loaded."""
    builder = kept.builder
    _scale(builder, 1)
    assert kept.watched().ready == 1
    _scale(builder, 3)
    for key in _KEYS:
        plain = kept.built("--routing-key", key, keep="")
        with_keeper = kept.built("--routing-key", key)
        assert with_keeper.watched
        assert (with_keeper.pod, with_keeper.ready) == (plain.pod, 3)
    for loadbalance in ("random", "least-loaded"):
        found = [kept.built(**_with(builder, loadbalance=loadbalance)) for _ in range(8)]
        assert all(one.watched and one.ready == 3 for one in found)
        assert len({one.pod for one in found}) > 1
    _scale(builder, 1)
    (left,) = builder.pods()
    how = kept.built()
    assert (f"pod/{how.pod}", how.ready) == (left, 1)


def test_a_pod_that_was_deleted_is_not_chosen(kept: Kept) -> None:
    """Of three, one by one while the keeper has others; the build that follows at once takes one that is there."""
    builder = kept.builder
    _scale(builder, 3)
    for key in _KEYS:
        kept.watched("--routing-key", key)
    for _ in range(3):
        gone = kept.built("--routing-key", "key-0").pod
        builder.kubectl("delete", "pod", gone, "--wait=true")
        how = kept.built("--routing-key", "key-0")
        assert how.pod != gone
        builder.kubectl("rollout", "status", "deployment/builder-amd64", "--timeout=60s", timeout=70)
    # A pod that goes while nobody waits for it is no obstacle either.
    builder.kubectl("delete", "pod", how.pod, "--wait=false")
    assert kept.built("--routing-key", "key-0").ready
    _scale(builder, 1)


def test_a_node_that_was_rolled_is_built_on_in_its_new_pod(kept: Kept) -> None:
    """Also where the keeper has just lost all its tunnels."""
    builder = kept.builder
    kept.watched()
    builder.kubectl("rollout", "restart", "deployment/builder-amd64")
    builder.kubectl("rollout", "status", "deployment/builder-amd64", "--timeout=60s", timeout=70)
    how = kept.built()
    until(lambda: len(builder.pods()) == 1)
    assert builder.pods() == [f"pod/{how.pod}"]


def test_a_watch_that_is_cut_or_silent_is_no_list(kept: Kept) -> None:
    """The next command lists; one after that has the list of the watch that was begun anew."""
    builder = kept.builder
    with _proxied(kept) as proxy:
        assert kept.watched().ready == 1
        proxy.refuses = True
        proxy.cut()
        _scale(builder, 2)
        how = kept.built()
        assert (how.kept, how.watched, how.ready) == (True, False, 2)
        proxy.refuses = False
        assert kept.watched().ready == 2
        proxy.held.set()
        _scale(builder, 1)
        # Pings that are not answered say it within seconds; `scale` has taken longer, or the build has the truth late.
        until(lambda: not kept.built().watched)
        how = kept.built()
        assert (how.watched, how.ready) == (False, 1)


def test_who_may_not_watch_lists(kept: Kept) -> None:
    """With the rights of a build but that one."""
    _as_account(kept, ["list"])
    assert not kept.built().kept
    kept.settled(1)
    for _ in range(3):
        how = kept.built()
        assert (how.kept, how.watched) == (True, False)
    kept.config.write_text("{}")
    kept.settled(0)
    _as_account(kept, ["list", "watch"])
    assert kept.watched().kept


def _as_account(kept: Kept, verbs: list[str]) -> None:
    """Makes the user of the kubeconfig one that may do this with pods, and exec into them."""
    builder = kept.builder
    about = {"name": "client", "namespace": builder.namespace}
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    ]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "client"}
    api = "rbac.authorization.k8s.io/v1"
    builder.apply(
        [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about},
            {"apiVersion": api, "kind": "Role", "metadata": about, "rules": rules},
            {
                "apiVersion": api,
                "kind": "RoleBinding",
                "metadata": about,
                "roleRef": reference,
                "subjects": [{"kind": "ServiceAccount", **about}],
            },
        ]
    )
    config = yaml.safe_load(Path(builder.environment["KUBECONFIG"]).read_text())
    config["users"] = [{"name": "client", "user": {"token": builder.kubectl("create", "token", "client").strip()}}]
    for context in config["contexts"]:
        context["context"]["user"] = "client"
    kept.config.write_text(yaml.safe_dump(config))


class _Proxy:
    """A way to the API server in plain HTTP; those of its connections that are watches can be cut or held."""

    def __init__(self, port: int) -> None:
        self._far = port
        self._loop = asyncio.new_event_loop()
        self._watches: list[asyncio.StreamWriter] = []
        self.refuses = False
        """Whether no watch is let through."""
        self.held = threading.Event()
        """While it is set, watches carry nothing."""
        self.port = 0

    def start(self) -> None:
        """Listens."""
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._accepted, "127.0.0.1", 0), self._loop)
        self.port = server.result(10).sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Ends the watches."""
        for writer in self._watches:
            self._loop.call_soon_threadsafe(writer.transport.abort)
        self._watches.clear()

    def close(self) -> None:
        """Ends everything."""
        asyncio.run_coroutine_threadsafe(self._ended(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _ended(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            watch = b"watch=1" in head.split(b"\r\n")[0] and b"Upgrade: websocket" in head
            if not (watch and self.refuses):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far)
                far_writer.write(head)
                if watch:
                    self._watches += [writer, far_writer]
                ways = self._carry(reader, far_writer, watch), self._carry(far_reader, writer, watch)
                await asyncio.gather(*ways)
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watch: bool) -> None:
        while data := await reader.read(64 << 10):
            while watch and self.held.is_set():
                await asyncio.sleep(0.05)
            writer.write(data)
        writer.close()


@contextlib.contextmanager
def _proxied(kept: Kept) -> Iterator[_Proxy]:
    """Leads the user's kubeconfig through a proxy."""
    command = ["kubectl", "proxy", "--port=0", "--reject-paths=^$"]
    with subprocess.Popen(command, env=kept.builder.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        proxy = _Proxy(int(process.stdout.readline().rsplit(":", 1)[1]))
        proxy.start()
        config = yaml.safe_load(Path(kept.builder.environment["KUBECONFIG"]).read_text())
        for one in config["clusters"]:
            one["cluster"] = {"server": f"http://127.0.0.1:{proxy.port}"}
        kept.config.write_text(yaml.safe_dump(config))
        try:
            yield proxy
        finally:
            kept.config.write_text("{}")
            kept.settled(0)
            proxy.close()
            process.kill()
