"""Which builder a program or a command line means."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Where"]


class Where(NamedTuple):
    """Which builder is meant, and where to look for it. The fields are the flags of the same names.

        Where(stack="dev")
        Where(from_cluster="buildkit/kube", kube_context="staging")
        Where(addr=("tcp://buildkit.example:1234",))

    Of `addr`, `builder_file`, `from_cluster`, `builder` and `stack` the first that is not empty counts. If all are
    empty, the environment and the project's selected stack decide, as for the command `buildclient`.
    """

    builder_file: str = ""
    """Path of a file with the builder output; `-` is standard input."""
    from_cluster: str = ""
    """`NAMESPACE/NAME` of a builder; its ConfigMap is read from the cluster."""
    builder: str = ""
    """`NAMESPACE/NAME` of a builder in the cluster, or the name of a builder of one of the project's stacks."""
    stack: str = ""
    """Name of a stack of the Pulumi project."""
    project: str = ""
    """Folder of the Pulumi project; empty means the working directory."""
    kube_context: str = ""
    """Name of a kubeconfig context; empty lets the builder output decide."""
    addr: tuple[str, ...] = ()
    """Addresses of BuildKit daemons, each a node: `tcp://HOST:PORT,platform=linux/arm64,cacert=ca.pem`."""
