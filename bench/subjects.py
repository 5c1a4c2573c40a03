"""Builders of one node whose pods are changed while they are measured: ours, a stack; docker buildx's, by kubectl."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from bench.ground import ROOT, Ground

__all__ = ["PERSISTENT", "Ours", "Peer", "Subject"]

PERSISTENT = "persistent-volume-claim.requests.storage"
_WAITED = "--timeout=240s"


class Subject(Protocol):
    """One kind of builder."""

    title: str
    node: str
    """The name of its node, and of its workload."""

    def make(self) -> None:
        """Makes it, with ready pods."""

    def remove(self) -> None:
        """Removes it as its own tool does."""

    def scale(self, replicas: int) -> None:
        """Changes the number of its pods, and waits for them."""

    def roll_setting(self) -> None:
        """Changes a variable of the pods' environment, and waits until they are replaced."""

    def roll_image(self) -> None:
        """Gives the pods' image its other name, and waits until they are replaced."""

    def command(self) -> list[str]:
        """The beginning of the command line of a build."""


class Ours:
    """A stack."""

    def __init__(self, ground: Ground, node: str, title: str, options: Mapping[str, object]) -> None:
        """`options` are those of the node beside what is changed here."""
        self.title, self.node = title, node
        self._ground = ground
        self._options = dict(options)
        self._replicas, self._round, self._image = 1, 0, ""

    def make(self) -> None:
        """`pulumi up` of the config."""
        options = {
            "nodeselector": {"kubernetes.io/arch": "amd64"},
            "default-requests": False,
            **self._options,
            "replicas": self._replicas,
            "env": {"ROUND": str(self._round)},
            **({"image": self._image} if self._image else {}),
        }
        self._ground.configure({"name": self.node, "platforms": ["linux/amd64"], "driver-opts": options})
        self._ground.up()
        self._ground.output_file(self.node).write_text(json.dumps(self._ground.output()))

    def remove(self) -> None:
        """`pulumi destroy`."""
        self._ground.destroy()

    def scale(self, replicas: int) -> None:
        """Option `replicas`."""
        self._replicas = replicas
        self.make()

    def roll_setting(self) -> None:
        """Option `env`."""
        self._round += 1
        self.make()

    def roll_image(self) -> None:
        """Option `image`."""
        self._image = _other_image(self._image)
        self.make()

    def command(self) -> list[str]:
        """`buildclient build`."""
        program = str(ROOT / ".venv/bin/buildclient")
        return [program, "build", "--builder-file", str(self._ground.output_file(self.node))]


class Peer:
    """What `docker buildx create` makes; it changes nothing of that, so kubectl does."""

    def __init__(self, ground: Ground, node: str, title: str, options: str = "", kind: str = "deployment") -> None:
        """`options` is more text for `--driver-opt`; `kind` is that of the workload which they make."""
        self.title, self.node = title, node
        self._ground = ground
        self._options = f",{options}" if options else ""
        self._workload = f"{kind}/{node}"
        self._round, self._image = 0, ""

    def make(self) -> None:
        """`docker buildx create --bootstrap`."""
        self._ground.run(
            self._ground.buildx, "create", "--bootstrap", "--driver", "kubernetes", "--name", self.node,
            "--node", self.node, "--platform", "linux/amd64", "--driver-opt",
            f"namespace={self._ground.namespace},nodeselector=kubernetes.io/arch=amd64{self._options}",
        )  # fmt: skip

    def remove(self) -> None:
        """`docker buildx rm`."""
        self._ground.run(self._ground.buildx, "rm", "--force", self.node)

    def scale(self, replicas: int) -> None:
        """`kubectl scale`."""
        self._change("scale", self._workload, f"--replicas={replicas}")

    def roll_setting(self) -> None:
        """`kubectl set env`."""
        self._round += 1
        self._change("set", "env", self._workload, f"ROUND={self._round}")

    def roll_image(self) -> None:
        """`kubectl set image`."""
        self._image = _other_image(self._image)
        self._change("set", "image", self._workload, f"buildkitd={self._image}")

    def command(self) -> list[str]:
        """`docker buildx build`."""
        return [self._ground.buildx, "build", "--builder", self.node]

    def _change(self, *arguments: str) -> None:
        for words in (arguments, ("rollout", "status", self._workload, _WAITED)):
            self._ground.run("kubectl", "-n", self._ground.namespace, *words)


def _other_image(image: str) -> str:
    """The same image by its other name."""
    short = "moby/buildkit:buildx-stable-1"
    return short if image.startswith("docker.io/") else f"docker.io/{short}"
