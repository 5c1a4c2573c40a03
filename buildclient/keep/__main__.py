"""`python -m buildclient.keep KEY CONTEXT SECONDS REQUEST…`: the keeper; commands start it.

The requests are those of its socket (`buildclient.keep.wire`): which tunnels it opens, and which lists it watches.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from buildclient.base.errors import ClientError
from buildclient.keep import wire
from buildclient.keep.rules import keeper_key, private_folder, signature, socket_path
from buildclient.keep.server import Keep, lock
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import load_kubeconfig

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Serves until it ends; 1 if there is nothing to serve, or another one does."""
    key, context, seconds, *requests = arguments
    environ = dict(os.environ)
    # Nobody is there whom an exec plugin could ask, and a signal for the terminal's commands is not for this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        config = load_kubeconfig(environ)
        access = config.access(context)
        if keeper_key(access, signature(access, config.files), environ) != key:
            return 1
        path = socket_path(environ, key)
        if not private_folder(os.path.dirname(path)) or lock(path) < 0:
            return 1
        asked = [wire.read_request(one.encode()) for one in requests]
        pods = [one for one in asked if isinstance(one, wire.Tunnel)]
        lists = [one for one in asked if isinstance(one, wire.Get)]
        asyncio.run(Keep(KubeApi(access, environ), config.files, float(seconds), pods, lists).run(path))
    except (ClientError, OSError, ValueError):
        return 1
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
